//! The backward pass of softmax.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::tract_num_traits::Float;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::SoftmaxKind;

use super::groups::Groups;

/// (output of the softmax, its cotangent) -> cotangent of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SoftmaxGrad {
    pub axes: TVec<usize>,
    pub kind: SoftmaxKind,
}

impl Op for SoftmaxGrad {
    fn name(&self) -> StaticName {
        format!("{:?}Grad", self.kind).into()
    }

    op_as_typed_op!();
}

impl EvalOp for SoftmaxGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (y, cotangent) = args_2!(inputs);
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
