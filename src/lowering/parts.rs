//! Sums of tensors that are zero where the others are not, such as the cotangents of slices: as their concatenation.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{Pad, PadMode, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::Add;

/// Replaces such sums where their parts are the whole.
pub(super) fn concatenate(model: &mut TypedModel) -> TractResult<()> {
    // The last sum of a chain first.
    for id in model.eval_order()?.into_iter().rev() {
        let mut terms = vec![];
        if is_sum(model.node(id)) {
            gather(model, id, &mut terms)?;
        }
        let Some((axis, parts)) = parts(model, &terms)? else { continue };
        let node = model.node(id);
        TypedModelPatch::replace_single_op(model, node, &parts, TypedConcat::new(axis))?
            .apply(model)?;
    }
    model.compact()
}

fn is_sum(node: &TypedNode) -> bool {
    node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Add>())
}

/// The terms of a sum, and of those in it that nothing else looks at.
fn gather(model: &TypedModel, id: usize, terms: &mut Vec<OutletId>) -> TractResult<()> {
    for outlet in &model.node(id).inputs {
        let term = model.node(outlet.node);
        let is_only = term.outputs[outlet.slot].successors.len() == 1
            && !model.output_outlets()?.contains(outlet);
        if is_sum(term) && is_only {
            gather(model, term.id, terms)?;
        } else {
            terms.push(*outlet);
        }
    }
    Ok(())
}

/// What lies beside each other along an axis to make up the sum of these terms.
fn parts(model: &TypedModel, terms: &[OutletId]) -> TractResult<Option<(usize, Vec<OutletId>)>> {
    let mut found: Vec<(usize, usize, usize, OutletId)> = vec![];
    for term in terms {
        let node = model.node(term.node);
        let Some(pad) = node.op_as::<Pad>() else { return Ok(None) };
        let PadMode::Constant(value) = &pad.mode else { return Ok(None) };
        let mut padded = pad.pads.iter().enumerate().filter(|(_, ends)| **ends != (0, 0));
        let (Some((axis, &(before, after))), None) = (padded.next(), padded.next()) else {
            return Ok(None);
        };
        if value.cast_to_scalar::<f64>()? != 0.0 {
            return Ok(None);
        }
        found.push((axis, before, after, node.inputs[0]));
    }
    let Some(&(axis, ..)) = found.first() else { return Ok(None) };
    let Some(whole) = model.outlet_fact(terms[0])?.shape[axis].as_i64() else { return Ok(None) };
    found.sort_by_key(|(_, before, ..)| *before);
    let mut end = 0;
    for (other, before, after, _) in &found {
        if *other != axis || *before != end {
            return Ok(None);
        }
        end = whole as usize - after;
    }
    let parts = found.into_iter().map(|(.., part)| part).collect();
    Ok((end == whole as usize).then_some((axis, parts)))
}
