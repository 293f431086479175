//! Signs that the gradients hide the way: the model then looks more robust to attacks that follow them than it is.
//!
//! All are statistical, so they are warnings. Those of [`SIGNS`] are read off the rows and cost nothing; the [`Probe`]
//! asks about a few samples that were left robust.

mod bar;
mod contests;
mod more_steps;
mod probe;

pub(super) use probe::{Probe, Probed};

use super::results::Row;
use crate::finding::Finding;

/// A sign that rows can show.
type Sign = fn(&[Row]) -> Vec<Finding>;

/// Every sign; findings come in this order.
pub(super) static SIGNS: &[Sign] = &[contests::check, more_steps::check];
