//! The numbers of a report: small pure functions, each with its definition.

mod corruption;
mod distance;
mod interval;
mod tally;

pub use corruption::{corruption_error, mean_corruption_error, relative_corruption_error};
pub use distance::{Spread, spread};
pub use interval::wilson95;
pub use tally::{Tally, worst_case};
