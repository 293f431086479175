//! Where a gradient is cut: operators that round leave nothing to propagate.

use tract_onnx::prelude::*;

use super::rules::{self, Derivative};
use super::straight_through::StraightThrough;
use super::walk::{cotangents, passes, visit};

/// The nodes that make d `output` / d `input` zero whatever the input, as (name, ONNX operator) in forward order: the
/// first that the way back from the output meets. None where the gradient is not zero by the structure of the graph.
///
/// # Errors
/// As [`backward`](super::backward).
pub(crate) fn cuts(
    model: &TypedModel,
    output: OutletId,
    input: OutletId,
    through: &StraightThrough,
) -> TractResult<Option<Vec<(String, String)>>> {
    let mut copy = model.clone();
    let fact = copy.outlet_fact(output)?.without_value();
    let cotangent = copy.add_source("ironbound.cotangent", fact)?;
    if cotangents(&mut copy, output, cotangent, input, through)?.contains_key(&input) {
        return Ok(None);
    }
    let mut cuts = rounding(model, output, input, through, Reach::Frontier)?;
    cuts.dedup();
    Ok(Some(cuts))
}

/// The nodes between `input` and `output` that a straight-through gradient passes, as (name, ONNX operator).
pub(crate) fn passed(
    model: &TypedModel,
    output: OutletId,
    input: OutletId,
    through: &StraightThrough,
) -> TractResult<Vec<(String, String)>> {
    rounding(model, output, input, through, Reach::Passed)
}

/// Which nodes [`rounding`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Those with a zero derivative that stop the way back.
    Frontier,
    /// Those that round and are passed, wherever they lie.
    Passed,
}

fn rounding(
    model: &TypedModel,
    output: OutletId,
    input: OutletId,
    through: &StraightThrough,
    reach: Reach,
) -> TractResult<Vec<(String, String)>> {
    let mut found = vec![];
    visit(model, output, input, |node| {
        let rule = rules::find(node.op.as_ref());
        let passed = rule.is_some_and(|rule| passes(through, node, rule));
        // An operator that tract has on integers alone rounds nothing, but has no rule either.
        let zero = rule.map_or(!node.outputs[0].fact.datum_type.is_float(), |rule| {
            matches!(rule.derivative, Derivative::Zero)
        });
        let cuts = zero && !passed && reach == Reach::Frontier;
        if cuts || (passed && reach == Reach::Passed) {
            let kind = rule
                .and_then(|rule| rule.surrogate)
                .map_or_else(|| node.op.name().into_owned(), |surrogate| surrogate.kind.into());
            found.push((node.name.clone(), kind));
        }
        !cuts
    })?;
    found.reverse();
    Ok(found)
}
