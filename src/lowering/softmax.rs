//! Softmax of rows: with sums whose order does not hang on where a row lies in memory, as tract's does.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};

use crate::exp::exp;
use crate::folds::{folded, sum};
use crate::simd::vectorized;

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
            let x = x.as_slice_mut::<f32>()?;
            vectorized(
                #[inline(always)]
                || softmax(x, self.row),
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

// A loop, not `for_each`: what calls it would not be inlined.
#[inline(always)]
fn softmax(x: &mut [f32], length: usize) {
    for row in x.chunks_exact_mut(length) {
        let max = folded(row, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
        for x in &mut *row {
            *x = exp(*x - max);
        }
        let sum = sum(row);
        for x in row {
            *x /= sum;
        }
    }
}
