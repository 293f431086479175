//! The checks: one file each, one line in the table.

mod accuracy;
mod activity;
mod batch;
mod bounds;
mod classes;
mod domain;
mod finite;
mod gradient;
mod probabilities;
mod range;
mod repeat;

pub(crate) use finite::NON_FINITE_REMEDY;

use super::subject::Subject;
use crate::error::Result;
use crate::finding::Finding;

/// A check of a subject.
type Check = fn(&Subject<'_>) -> Result<Vec<Finding>>;

/// Every check, with what it looks at; findings come in this order.
pub(super) static CHECKS: &[(&str, Check)] = &[
    ("bounds", bounds::check),
    ("the domain", domain::check),
    ("classes", classes::check),
    ("finite logits", finite::check),
    ("repeated runs", repeat::check),
    ("probabilities", probabilities::check),
    ("batches", batch::check),
    ("gradients", gradient::check),
    ("activations", activity::check),
    ("the data's range", range::check),
    ("accuracy", accuracy::check),
];
