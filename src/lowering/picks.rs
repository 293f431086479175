//! Picking one row of an axis, as vision transformers do of their tokens: as a slice, which tract moves up to where all rows are
//! needed.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Gather, Slice};

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
