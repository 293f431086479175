//! The forward graph in double precision, to take differences of.

mod plan;
mod wide;

pub(super) use plan::Precise;
