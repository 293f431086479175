//! The backward pass of softmax.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::tract_num_traits::Float;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::SoftmaxKind;

use super::groups::Groups;
use crate::folds::dot;
use crate::pool;
use crate::simd::vectorized;

/// (output of the softmax, its cotangent) -> cotangent of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SoftmaxGrad {
    pub axes: TVec<usize>,
    pub kind: SoftmaxKind,
}

impl SoftmaxGrad {
    /// How long the rows are, where it is a softmax of rows in f32.
    fn row(&self, y: &Tensor) -> Option<usize> {
        let mut axes = self.axes.clone();
        axes.sort_unstable();
        let first = y.rank().checked_sub(axes.len())?;
        let is_ours = self.kind == SoftmaxKind::Softmax
            && y.datum_type() == f32::datum_type()
            && axes.iter().copied().eq(first..y.rank());
        let length = y.shape()[first..].iter().product();
        (is_ours && length > 0).then_some(length)
    }
}

impl Op for SoftmaxGrad {
    fn name(&self) -> StaticName {
        format!("{:?}Grad", self.kind).into()
    }

    op_as_typed_op!();
}

impl EvalOp for SoftmaxGrad {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (y, cotangent) = args_2!(inputs);
        if let Some(length) = self.row(&y) {
            return by_rows(ctx, y, cotangent, length);
        }
        let mut output = Tensor::zero_dt(y.datum_type(), y.shape())?;
        if y.len() > 0 {
            let groups = Groups::new(y.shape(), &self.axes);
            dispatch_floatlike!(softmax(y.datum_type())(
                self.kind,
                &groups,
                &y,
                &cotangent,
                &mut output
            ))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for SoftmaxGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].without_value()])
    }

    as_op!();
}

/// Softmax over the last axes, in f32.
fn by_rows(
    ctx: &EvalContext<'_>,
    y: TValue,
    cotangent: TValue,
    length: usize,
) -> TractResult<TVec<TValue>> {
    let mut cotangent = cotangent.into_tensor();
    {
        let (y, mut out) = (y.try_as_plain_ram()?, cotangent.try_as_plain_ram_mut()?);
        let (y, out) = (y.as_slice::<f32>()?, out.as_slice_mut::<f32>()?);
        vectorized(
            #[inline(always)]
            || {
                for (y, row) in y.chunks_exact(length).zip(out.chunks_exact_mut(length)) {
                    let sum = dot(y, row);
                    for (w, y) in row.iter_mut().zip(y) {
                        *w = y * (*w - sum);
                    }
                }
            },
        );
    }
    pool::give(ctx, y);
    Ok(tvec![cotangent.into_tvalue()])
}

fn softmax<T: Datum + Float>(
    kind: SoftmaxKind,
    groups: &Groups,
    y: &Tensor,
    cotangent: &Tensor,
    output: &mut Tensor,
) -> TractResult<()> {
    let (y, cotangent) = (y.try_as_plain_ram()?, cotangent.try_as_plain_ram()?);
    let mut output = output.try_as_plain_ram_mut()?;
    let (y, cotangent) = (y.as_slice::<T>()?, cotangent.as_slice::<T>()?);
    let output = output.as_slice_mut::<T>()?;
    let len = groups.offsets.len();
    if groups.are_rows() {
        let rows = y.chunks_exact(len).zip(cotangent.chunks_exact(len));
        for ((y, cotangent), output) in rows.zip(output.chunks_exact_mut(len)) {
            let terms = y.iter().copied().zip(cotangent.iter().copied());
            let sum = total(kind, terms.clone());
            for (output, (y, cotangent)) in output.iter_mut().zip(terms) {
                *output = component(kind, sum, y, cotangent);
            }
        }
    } else {
        for &first in &groups.first {
            let places = groups.offsets.iter().map(|offset| first + offset);
            let sum = total(kind, places.clone().map(|at| (y[at], cotangent[at])));
            for at in places {
                output[at] = component(kind, sum, y[at], cotangent[at]);
            }
        }
    }
    Ok(())
}

fn total<T: Float>(kind: SoftmaxKind, terms: impl Iterator<Item = (T, T)>) -> T {
    match kind {
        SoftmaxKind::Softmax => terms.fold(T::zero(), |sum, (y, w)| sum + y * w),
        SoftmaxKind::LogSoftmax => terms.fold(T::zero(), |sum, (_, w)| sum + w),
    }
}

fn component<T: Float>(kind: SoftmaxKind, sum: T, y: T, cotangent: T) -> T {
    match kind {
        SoftmaxKind::Softmax => y * (cotangent - sum),
        SoftmaxKind::LogSoftmax => cotangent - y.exp() * sum,
    }
}
