//! What a model is like around a sample: how steep, and how far away another answer may be.
//!
//! Nothing here is a proof, nor an attack: [`Slopes`] bounds a local Lipschitz constant from below, [`Clever`] extrapolates to
//! an estimate of the distance within which the answer cannot change.

mod builder;
mod clever;
mod pair;
mod slopes;

pub use builder::Vicinity;
pub use clever::{Clever, CleverScore, RivalScore};
pub use slopes::{SampleSlopes, Slopes};
