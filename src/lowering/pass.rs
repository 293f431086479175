//! Replacing operators.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{Add, Max};

use super::conv::{self, Windowed};
use super::dense::Dense;

/// Replaces the operators of a decluttered graph that we have faster ones for.
pub(crate) fn lower(model: &mut TypedModel) -> TractResult<()> {
    for id in model.eval_order()? {
        let (node, facts) = (model.node(id), model.node_input_facts(id)?);
        let found: Option<(usize, Box<dyn TypedOp>)> = if let Some(op) = node.op_as::<Conv>() {
            conv::of_conv(op, &facts)?.map(|op| (0, op.into()))
        } else if let Some(op) = node.op_as::<Deconv>() {
            conv::of_deconv(op, &facts)?.map(|op| (0, op.into()))
        } else if let Some(op) = node.op_as::<EinSum>() {
            Dense::of_einsum(op, &facts, &node.outputs[0].fact)?.map(|(slot, op)| (slot, op.into()))
        } else {
            None
        };
        let Some((slot, op)) = found else { continue };
        let patch = TypedModelPatch::replace_single_op(model, node, &node.inputs[slot..=slot], op)?;
        drop(facts);
        patch.apply(model)?;
    }
    for id in model.eval_order()? {
        if let Some((input, op)) = fused(model, id)? {
            let node = model.node(id);
            TypedModelPatch::replace_single_op(model, node, &[input], op)?.apply(model)?;
        }
    }
    model.compact()
}

/// An operator of ours that does what `max(ours, constant)` or `ours + constant` does, where nothing else looks at ours.
fn fused(model: &TypedModel, id: usize) -> TractResult<Option<(OutletId, Box<dyn TypedOp>)>> {
    let node = model.node(id);
    let Some(op) = node.op_as::<TypedBinOp>() else { return Ok(None) };
    for (at, other) in [(0, 1), (1, 0)] {
        let outlet = node.inputs[at];
        let ours = model.node(outlet.node);
        let Some(konst) = &model.outlet_fact(node.inputs[other])?.konst else { continue };
        let is_only = model.outlet_successors(outlet).len() == 1
            && !model.output_outlets()?.contains(&outlet)
            && ours.outputs[0].fact.shape == node.outputs[0].fact.shape;
        if !is_only || konst.datum_type() != f32::datum_type() {
            continue;
        }
        let (windowed, dense) = (ours.op_as::<Windowed>(), ours.op_as::<Dense>());
        let found: Option<Box<dyn TypedOp>> = if op.0.is::<Max>() {
            let Some(floor) = konst.as_uniform() else { continue };
            let floor = floor.cast_to_scalar::<f32>()?;
            let windowed = windowed.and_then(|op| op.rectified(floor)).map(Into::into);
            windowed.or_else(|| dense.and_then(|op| op.rectified(floor)).map(Into::into))
        } else if op.0.is::<Add>() {
            let biased = dense.map(|op| op.biased(konst)).transpose()?;
            biased.flatten().map(Into::into)
        } else {
            None
        };
        if let Some(op) = found {
            return Ok(Some((ours.inputs[0], op)));
        }
    }
    Ok(None)
}
