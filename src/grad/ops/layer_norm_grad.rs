//! The backward pass of layer norms.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::folds::{dot, sum};
use crate::pool;
use crate::simd::vectorized;

/// (the normed rows, their scales, their cotangent) -> cotangent of the rows, in f32: with rows y of scale s, the cotangent w becomes
/// s (w - mean(w) - y mean(w y)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerNormGrad;

impl Op for LayerNormGrad {
    fn name(&self) -> StaticName {
        "LayerNormGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for LayerNormGrad {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (y, scales, cotangent) = args_3!(inputs);
        let mut cotangent = cotangent.into_tensor();
        {
            let (y, scales) = (y.try_as_plain_ram()?, scales.try_as_plain_ram()?);
            let mut out = cotangent.try_as_plain_ram_mut()?;
            let (y, scales) = (y.as_slice::<f32>()?, scales.as_slice::<f32>()?);
            let out = out.as_slice_mut::<f32>()?;
            vectorized(
                #[inline(always)]
                || apply(y, scales, out),
            );
        }
        pool::give(ctx, y);
        Ok(tvec![cotangent.into_tvalue()])
    }
}

#[inline(always)]
fn apply(y: &[f32], scales: &[f32], cotangent: &mut [f32]) {
    let length = (y.len() / scales.len().max(1)).max(1);
    let rows = y.chunks_exact(length).zip(scales);
    for ((y, scale), row) in rows.zip(cotangent.chunks_exact_mut(length)) {
        let (mean, along) = (sum(row) / length as f32, dot(row, y) / length as f32);
        for (w, y) in row.iter_mut().zip(y) {
            *w = scale * (*w - mean - y * along);
        }
    }
}

impl TypedOp for LayerNormGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs[0].shape == inputs[2].shape, "shapes differ");
        Ok(tvec![inputs[2].without_value()])
    }

    as_op!();
}
