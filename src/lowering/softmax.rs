//! Softmax of rows: with sums whose order does not hang on where a row lies in memory, as tract's does.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};

use crate::exp::exp;
use crate::simd::vectorized;

/// Sums and maxima of a row are taken of so many of its values at once, on every machine.
const LANES: usize = 16;

/// Softmax over the last axes, in f32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowSoftmax {
    shape: TVec<usize>,
    row: usize,
}

impl RowSoftmax {
    /// The operator for a softmax, if there is one.
    pub(super) fn of(op: &Softmax, facts: &[&TypedFact]) -> Option<Self> {
        let [x] = facts else { return None };
        let shape = x.shape.as_concrete()?;
        let mut axes = op.axes.clone();
        axes.sort_unstable();
        let first = shape.len().checked_sub(axes.len())?;
        let is_ours = op.kind == SoftmaxKind::Softmax
            && op.quant_output_dt.is_none()
            && x.datum_type == f32::datum_type()
            && x.is_plain()
            && axes.iter().copied().eq(first..shape.len());
        let row = shape[first..].iter().product();
        (is_ours && row > 0).then(|| Self { shape: shape.into(), row })
    }
}

impl Op for RowSoftmax {
    fn name(&self) -> StaticName {
        "RowSoftmax".into()
    }

    op_as_typed_op!();
}

impl EvalOp for RowSoftmax {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut x = args_1!(inputs).into_tensor();
        {
            let mut x = x.try_as_plain_ram_mut()?;
            let rows = x.as_slice_mut::<f32>()?.chunks_exact_mut(self.row);
            vectorized(
                #[inline(always)]
                || rows.for_each(softmax),
            );
        }
        Ok(tvec![x.into_tvalue()])
    }
}

impl TypedOp for RowSoftmax {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let max = folded(row, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
    row.iter_mut().for_each(|x| *x = exp(*x - max));
    let sum = folded(row, 0.0, |a, b| a + b);
    row.iter_mut().for_each(|x| *x /= sum);
}

/// All values put together, lane by lane and then these by halves.
#[inline(always)]
fn folded(row: &[f32], start: f32, fold: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = fold(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = fold(*lane, *x);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for at in 0..width {
            lanes[at] = fold(lanes[at], lanes[at + width]);
        }
        width /= 2;
    }
    lanes[0]
}
