//! Replacing operators.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, MaxPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::nn::Softmax;

use super::affine::Affine;
use super::conv::{self, Windowed};
use super::dense::Dense;
use super::einsum::of_einsum;
use super::gelu::Gelu;
use super::halving::MaxHalving;
use super::matrices::Matrices;
use super::pairwise::Pairwise;
use super::softmax::RowSoftmax;
use super::{layer_norm, parts, picks};

/// What an operator of ours takes, and the operator.
pub(super) type Replacement = (Vec<OutletId>, Box<dyn TypedOp>);

/// Simplifies a decluttered graph further, before it is differentiated.
pub(crate) fn prepare(mut model: TypedModel) -> TractResult<TypedModel> {
    // First: tract would move axes through their parts.
    layer_norm::put_together(&mut model)?;
    while picks::to_slices(&mut model)? || picks::over_softmax(&mut model)? {
        model = model.into_decluttered()?;
    }
    Ok(model)
}

/// Replaces the operators of a decluttered graph that we have faster ones for.
pub(crate) fn lower(model: &mut TypedModel) -> TractResult<()> {
    parts::concatenate(model)?;
    for id in model.eval_order()? {
        let (node, facts) = (model.node(id), model.node_input_facts(id)?);
        let first = || node.inputs[..1].to_vec();
        let out = &node.outputs[0].fact;
        let found: Option<Replacement> = if let Some(op) = node.op_as::<Conv>() {
            conv::of_conv(op, &facts, is_pooled(model, id))?.map(|op| (first(), op.into()))
        } else if let Some(op) = node.op_as::<Deconv>() {
            conv::of_deconv(op, &facts)?.map(|op| (first(), op.into()))
        } else if let Some(op) = node.op_as::<EinSum>() {
            of_einsum(model, node, op)?
        } else if let Some(op) = node.op_as::<MaxPool>() {
            MaxHalving::of(op, &facts)?.map(|op| (first(), op.into()))
        } else if let Some(op) = node.op_as::<Softmax>() {
            RowSoftmax::of(op, &facts).map(|op| (first(), op.into()))
        } else if let Some(op) = node.op_as::<ElementWiseOp>() {
            Gelu::of(op, &facts).map(|op| (first(), op.into()))
        } else if let Some(op) = node.op_as::<TypedBinOp>() {
            Pairwise::of(op, &facts, out).map(|op| (node.inputs.clone(), op.into()))
        } else {
            None
        };
        let Some((inputs, op)) = found else { continue };
        let patch = TypedModelPatch::replace_single_op(model, node, &inputs, op)?;
        drop(facts);
        patch.apply(model)?;
    }
    for id in model.eval_order()? {
        if let Some((inputs, op)) = fused(model, id)? {
            let node = model.node(id);
            TypedModelPatch::replace_single_op(model, node, &inputs, op)?.apply(model)?;
        }
    }
    model.compact()
}

/// Whether maxima are taken of what a node gives, behind operators that treat each value alone.
fn is_pooled(model: &TypedModel, id: usize) -> bool {
    model.node(id).outputs[0].successors.iter().any(|inlet| {
        let next = model.node(inlet.node);
        let is_konst =
            |outlet: &OutletId| model.outlet_fact(*outlet).is_ok_and(|fact| fact.konst.is_some());
        let is_alone = next.op_is::<ElementWiseOp>()
            || next.op_is::<TypedBinOp>() && next.inputs.iter().any(is_konst);
        next.op_is::<MaxPool>() || is_alone && is_pooled(model, inlet.node)
    })
}

/// An operator of ours that does what one of ours and one with a constant behind it do, where nothing else looks at ours; or only
/// the latter.
fn fused(model: &TypedModel, id: usize) -> TractResult<Option<Replacement>> {
    let node = model.node(id);
    let Some(op) = node.op_as::<TypedBinOp>() else { return Ok(None) };
    for (at, other) in [(0, 1), (1, 0)] {
        let outlet = node.inputs[at];
        let (ours, fact) = (model.node(outlet.node), model.outlet_fact(outlet)?);
        let Some(konst) = &model.outlet_fact(node.inputs[other])?.konst else { continue };
        if konst.datum_type() != f32::datum_type() || fact.shape != node.outputs[0].fact.shape {
            continue;
        }
        let is_only = model.outlet_successors(outlet).len() == 1
            && !model.output_outlets()?.contains(&outlet);
        if is_only && let Some(op) = then(ours, op, konst)? {
            return Ok(Some((ours.inputs.clone(), op)));
        }
        if let Some(op) = Affine::of(op, konst, fact)? {
            return Ok(Some((vec![outlet], op.into())));
        }
    }
    Ok(None)
}

fn then(
    ours: &TypedNode,
    op: &TypedBinOp,
    konst: &Tensor,
) -> TractResult<Option<Box<dyn TypedOp>>> {
    if let Some(ours) = ours.op_as::<Windowed>() {
        return Ok(ours.then(op, konst)?.map(Into::into));
    }
    if let Some(ours) = ours.op_as::<Dense>() {
        return Ok(ours.then(op, konst)?.map(Into::into));
    }
    if let Some(ours) = ours.op_as::<Matrices>() {
        return Ok(ours.then(op, konst)?.map(Into::into));
    }
    if let Some(ours) = ours.op_as::<Pairwise>() {
        return Ok(ours.then(op, konst)?.map(Into::into));
    }
    match ours.op_as::<Affine>() {
        Some(ours) => Ok(ours.then(op, konst)?.map(Into::into)),
        None => Ok(None),
    }
}
