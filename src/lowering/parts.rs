//! Sums of tensors that are zero where the others are not, such as the cotangents of slices: as their concatenation.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Pad, PadMode};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::Add;

use crate::pool;

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
        let fact = &node.outputs[0].fact;
        let shape = fact.shape.as_concrete().filter(|_| fact.datum_type == f32::datum_type());
        let Some(shape) = shape else { continue };
        let op = Concatenation { axis, shape: shape.into() };
        TypedModelPatch::replace_single_op(model, node, &parts, op)?.apply(model)?;
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

/// Tensors beside each other along an axis, in f32.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Concatenation {
    axis: usize,
    /// Of what comes out.
    shape: TVec<usize>,
}

impl Op for Concatenation {
    fn name(&self) -> StaticName {
        "Concatenation".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Concatenation {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut out = pool::take(ctx, &self.shape)?;
        let whole = self.shape[self.axis..].iter().product();
        let mut start = 0;
        for part in inputs {
            let length = part.shape()[self.axis..].iter().product();
            {
                let (part, mut out) = (part.try_as_plain_ram()?, out.try_as_plain_ram_mut()?);
                let from = part.as_slice::<f32>()?.chunks_exact(length);
                let to = out.as_slice_mut::<f32>()?.chunks_exact_mut(whole);
                for (from, to) in from.zip(to) {
                    to[start..][..length].copy_from_slice(from);
                }
            }
            start += length;
            pool::give(ctx, part);
        }
        Ok(tvec![out.into_tvalue()])
    }
}

impl TypedOp for Concatenation {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}
