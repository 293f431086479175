//! Requantisations that tract cannot simplify.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearI8, QuantizeLinearU8};

/// Writes a dequantisation whose values are quantised again, to the other of i8 and u8, as a cast, a difference and a
/// product, with the same results bit for bit: tract 0.23.9 makes a table of such a chain, of the wrong type, and fails.
pub(super) fn split_requantisations(model: &mut TypedModel) -> TractResult<()> {
    let nodes: Vec<usize> = model.nodes().iter().map(|node| node.id).collect();
    for id in nodes {
        let node = model.node(id);
        let Some(op) = node.op_as::<DequantizeLinearF32>().cloned() else {
            continue;
        };
        let from = model.outlet_fact(node.inputs[0])?.datum_type;
        if from.size_of() != 1 || quantised_to(model, id)?.is_none_or(|to| to == from) {
            continue;
        }
        let mut patch = TypedModelPatch::new("split a requantisation");
        let mut wire = patch.tap_model(model, node.inputs[0])?;
        let rank = patch.outlet_fact(wire)?.rank();
        let name = &node.name;
        wire = patch.wire_node(format!("{name}.cast"), cast(f32::datum_type()), &[wire])?[0];
        let zero = tensor0(op.zero_point as f32).broadcast_into_rank(rank)?;
        let zero = patch.add_const(format!("{name}.zero_point"), zero)?;
        wire = patch.wire_node(format!("{name}.sub"), math::sub(), &[wire, zero])?[0];
        let scale = tensor0(op.scale).broadcast_into_rank(rank)?;
        let scale = patch.add_const(format!("{name}.scale"), scale)?;
        wire = patch.wire_node(name, math::mul(), &[wire, scale])?[0];
        patch.shunt_outside(model, id.into(), wire)?;
        patch.apply(model)?;
    }
    Ok(())
}

/// The type that the only successors of a node, one after the other, end up quantised to.
fn quantised_to(model: &TypedModel, id: usize) -> TractResult<Option<DatumType>> {
    let mut at = id;
    while let Some(next) = model.single_succ(at)? {
        if let Some(op) = next.op_as::<ElementWiseOp>() {
            if op.0.is::<QuantizeLinearU8>() {
                return Ok(Some(u8::datum_type()));
            }
            if op.0.is::<QuantizeLinearI8>() {
                return Ok(Some(i8::datum_type()));
            }
        }
        at = next.id;
    }
    Ok(None)
}
