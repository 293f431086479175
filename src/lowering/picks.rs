//! Picking one row of an axis, as vision transformers do of their tokens: as a slice, which tract moves up to where all rows are
//! needed.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Gather, Slice};
use tract_onnx::tract_core::ops::nn::Softmax;

/// Replaces gathers of a single known row; says whether there were any.
pub(super) fn to_slices(model: &mut TypedModel) -> TractResult<bool> {
    let mut found = false;
    for id in model.eval_order()? {
        let Some((axis, row)) = picked(model, id)? else { continue };
        let node = model.node(id);
        let mut patch = TypedModelPatch::default();
        let x = patch.tap_model(model, node.inputs[0])?;
        let slice = Slice::new(axis, row, row + 1);
        let slice = patch.wire_node(format!("{}.row", node.name), slice, &[x])?;
        let picked = patch.wire_node(&node.name, AxisOp::Rm(axis), &slice)?;
        patch.shunt_outside(model, id.into(), picked[0])?;
        patch.apply(model)?;
        found = true;
    }
    Ok(found)
}

/// Moves slices over the softmax of rows, which tract leaves behind it; says whether there were any.
pub(super) fn over_softmax(model: &mut TypedModel) -> TractResult<bool> {
    let mut found = false;
    for id in model.eval_order()? {
        let node = model.node(id);
        let (Some(slice), Some(input)) = (node.op_as::<Slice>(), node.inputs.first()) else {
            continue;
        };
        let whole = model.node(input.node);
        let Some(softmax) = whole.op_as::<Softmax>() else { continue };
        let is_only = model.single_succ(whole.id)?.is_some() && !model.outputs.contains(input);
        if softmax.axes.contains(&slice.axis) || !is_only {
            continue;
        }
        let mut patch = TypedModelPatch::default();
        let x = patch.tap_model(model, whole.inputs[0])?;
        let x = patch.wire_node(format!("{}.rows", node.name), slice.clone(), &[x])?;
        let rows = patch.wire_node(&node.name, softmax.clone(), &x)?;
        patch.shunt_outside(model, id.into(), rows[0])?;
        patch.apply(model)?;
        found = true;
    }
    Ok(found)
}

/// The axis and the row that a node picks.
fn picked(model: &TypedModel, id: usize) -> TractResult<Option<(usize, usize)>> {
    let node = model.node(id);
    let Some(Gather { axis, output_type: None }) = node.op_as::<Gather>() else { return Ok(None) };
    let fact = model.outlet_fact(node.inputs[0])?;
    let Some(rows) = fact.shape[*axis].as_i64().filter(|_| fact.is_plain()) else {
        return Ok(None);
    };
    let Some(index) = &model.outlet_fact(node.inputs[1])?.konst else { return Ok(None) };
    if index.rank() > 0 {
        return Ok(None);
    }
    let index = index.cast_to_scalar::<i64>()?;
    let row = if index < 0 { index + rows } else { index };
    Ok((0..rows).contains(&row).then_some((*axis, row as usize)))
}
