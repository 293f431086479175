//! The numbers of a report: small pure functions, each with its definition.

mod distance;
mod interval;
mod tally;

pub use distance::{Spread, spread};
pub use interval::wilson95;
pub use tally::{Tally, worst_case};
