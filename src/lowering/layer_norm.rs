//! Layer norms, which tract takes apart: as one operator, before a graph is differentiated.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::{Mul, Sub};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer, RmsNorm};

use crate::folds::{dot, sum};
use crate::simd::vectorized;

/// `(x - mean) * scale` along the last axis, in f32, where `scale = 1 / sqrt(mean((x - mean)^2) + eps)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LayerNorm {
    eps: f32,
    /// Whether the scales come out as well.
    scales: bool,
}

impl Eq for LayerNorm {}

impl LayerNorm {
    #[cfg(test)]
    pub(crate) fn new(eps: f32) -> Self {
        Self { eps, scales: false }
    }

    /// The same with another output: the scale of each row.
    pub(crate) fn with_scales(&self) -> Self {
        Self { scales: true, ..self.clone() }
    }

    #[inline(always)]
    fn apply(&self, x: &mut [f32], scales: &mut [f32]) {
        let length = x.len() / scales.len().max(1);
        for (row, scale) in x.chunks_exact_mut(length.max(1)).zip(scales) {
            let mean = sum(row) / length as f32;
            for x in &mut *row {
                *x -= mean;
            }
            *scale = 1.0 / (dot(row, row) / length as f32 + self.eps).sqrt();
            for x in row {
                *x *= *scale;
            }
        }
    }
}

/// Replaces layer norms that tract has taken apart.
pub(super) fn put_together(model: &mut TypedModel) -> TractResult<()> {
    for id in model.eval_order()? {
        if let Some((x, op)) = behind(model, id)? {
            let node = model.node(id);
            TypedModelPatch::replace_single_op(model, node, &[x], op)?.apply(model)?;
        }
    }
    model.compact()
}

/// The layer norm that ends in this node, and its input.
fn behind(model: &TypedModel, id: usize) -> TractResult<Option<(OutletId, LayerNorm)>> {
    let node = model.node(id);
    let Some(RmsNorm { axis, eps }) = node.op_as::<RmsNorm>() else { return Ok(None) };
    let centred = model.node(node.inputs[0].node);
    let is_difference = centred.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Sub>());
    if !is_difference || model.single_succ(centred.id)?.is_none() {
        return Ok(None);
    }
    let [x, mean] = centred.inputs[..] else { return Ok(None) };
    let fact = model.outlet_fact(x)?;
    let Some(length) = fact.shape.last().and_then(|dim| dim.as_i64()) else { return Ok(None) };
    let is_ours = fact.datum_type == f32::datum_type()
        && fact.shape.as_concrete().is_some()
        && *axis + 1 == fact.rank()
        && is_mean(model, mean, x, *axis, length as f64)?
        && !model.output_outlets()?.contains(&node.inputs[0]);
    let eps = eps.cast_to_scalar::<f32>()?;
    Ok(is_ours.then_some((x, LayerNorm { eps, scales: false })))
}

fn is_mean(
    model: &TypedModel,
    mean: OutletId,
    x: OutletId,
    axis: usize,
    length: f64,
) -> TractResult<bool> {
    let node = model.node(mean.node);
    if !node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Mul>()) {
        return Ok(false);
    }
    for (sum, share) in [(0, 1), (1, 0)] {
        let konst = model.outlet_fact(node.inputs[share])?.konst.as_ref();
        let Some(share) = konst.and_then(|konst| konst.as_uniform()) else { continue };
        let is_share = (share.cast_to_scalar::<f64>()? * length - 1.0).abs() <= 1e-6;
        let sum = model.node(node.inputs[sum].node);
        let is_sum = sum.op_as::<Reduce>().is_some_and(|op| {
            op.reducer == Reducer::Sum && op.axes[..] == [axis] && sum.inputs[..] == [x]
        });
        if is_share && is_sum {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Op for LayerNorm {
    fn name(&self) -> StaticName {
        "LayerNorm".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("eps: {}", self.eps)])
    }

    op_as_typed_op!();
}

impl EvalOp for LayerNorm {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut x = args_1!(inputs).into_tensor();
        let mut scales = Tensor::zero::<f32>(&of_rows(x.shape()))?;
        {
            let (mut x, mut scales) = (x.try_as_plain_ram_mut()?, scales.try_as_plain_ram_mut()?);
            let (x, scales) = (x.as_slice_mut::<f32>()?, scales.as_slice_mut::<f32>()?);
            vectorized(
                #[inline(always)]
                || self.apply(x, scales),
            );
        }
        let mut outputs = tvec![x.into_tvalue()];
        if self.scales {
            outputs.push(scales.into_tvalue());
        }
        Ok(outputs)
    }
}

/// The shape of one value for each row.
fn of_rows(shape: &[usize]) -> TVec<usize> {
    let mut shape: TVec<usize> = shape.into();
    if let Some(last) = shape.last_mut() {
        *last = 1;
    }
    shape
}

impl TypedOp for LayerNorm {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = inputs[0].shape.as_concrete().context("a shape that is known")?;
        let mut facts = tvec![f32::fact(shape)];
        if self.scales {
            facts.push(f32::fact(&*of_rows(shape)));
        }
        Ok(facts)
    }

    /// Rows are normed by themselves.
    fn axes_mapping(
        &self,
        inputs: &[&TypedFact],
        outputs: &[&TypedFact],
    ) -> TractResult<AxesMapping> {
        let mut mapping = AxesMapping::disconnected(inputs, outputs)?;
        for (axis, label) in (0..inputs[0].rank().saturating_sub(1)).zip('a'..) {
            mapping = mapping.renaming((InOut::In(0), axis), label)?;
            for slot in 0..outputs.len() {
                mapping = mapping.linking(label, (InOut::Out(slot), axis))?;
            }
        }
        Ok(mapping)
    }

    fn slice(
        &self,
        patch: &mut TypedModelPatch,
        model: &TypedModel,
        node: &TypedNode,
        prefix: &str,
        inputs: &[OutletId],
        axis: usize,
        _start: &TDim,
        _end: &TDim,
    ) -> TractResult<Option<TVec<OutletId>>> {
        let is_along_rows = axis + 1 == model.outlet_fact(node.inputs[0])?.rank();
        (!is_along_rows).then(|| patch.wire_node(prefix, self.clone(), inputs)).transpose()
    }

    as_op!();
}
