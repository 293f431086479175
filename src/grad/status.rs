//! What is known of the derivative of each node of a graph.

use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

use super::rules::{self, Derivative, Rule};
use super::straight_through::StraightThrough;
use super::walk::{passes, visit};

/// How gradients pass an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GradientStatus {
    /// By its exact derivative.
    Exact,
    /// Not at all: its derivative is zero by definition.
    Zero,
    /// By a surrogate that was asked for: see
    /// [`ModelOptions::straight_through`](crate::ModelOptions::straight_through).
    StraightThrough,
    /// It has no rule: no gradient can be had.
    Unsupported,
}

impl GradientStatus {
    /// "exact", "zero", "straight-through" or "unsupported".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Zero => "zero",
            Self::StraightThrough => "straight-through",
            Self::Unsupported => "unsupported",
        }
    }

    fn of(node: &TypedNode, through: &StraightThrough) -> Self {
        match rules::find(node.op.as_ref()) {
            Some(rule) if passes(through, node, rule) => Self::StraightThrough,
            Some(Rule { derivative: Derivative::Exact(_), .. }) => Self::Exact,
            Some(Rule { derivative: Derivative::Zero, .. }) => Self::Zero,
            None => Self::Unsupported,
        }
    }
}

/// The nodes between `input` and `output` in the order of evaluation, and how gradients pass them.
pub(crate) fn statuses(
    model: &TypedModel,
    output: OutletId,
    input: OutletId,
    through: &StraightThrough,
) -> TractResult<Vec<(usize, GradientStatus)>> {
    let mut found = vec![];
    visit(model, output, input, |node| {
        found.push((node.id, GradientStatus::of(node, through)));
        true
    })?;
    found.reverse();
    Ok(found)
}
