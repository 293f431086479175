//! The backward pass of the reductions that are not linear.

use std::ops::Mul;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::tract_num_traits::One;
use tract_onnx::tract_core::internal::*;

use super::groups::Groups;

/// (reduced tensor, cotangent of the reduction) -> cotangent of the tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReduceGrad {
    pub axes: TVec<usize>,
    pub kind: ReduceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReduceKind {
    /// The first maximum, in index order, takes the cotangent.
    Max,
    /// The first minimum, in index order, takes the cotangent.
    Min,
    /// Each value takes the product of the others, without a division.
    Prod,
}

impl Op for ReduceGrad {
    fn name(&self) -> StaticName {
        format!("ReduceGrad<{:?}>", self.kind).into()
    }

    op_as_typed_op!();
}

impl EvalOp for ReduceGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (input, cotangent) = args_2!(inputs);
        let mut output = Tensor::zero_dt(input.datum_type(), input.shape())?;
        if input.len() > 0 {
            let groups = Groups::new(input.shape(), &self.axes);
            dispatch_floatlike!(reduce(input.datum_type())(
                self.kind,
                &groups,
                &input,
                &cotangent,
                &mut output
            ))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for ReduceGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].without_value()])
    }

    as_op!();
}

fn reduce<T: Datum + Copy + PartialOrd + Mul<Output = T> + One>(
    kind: ReduceKind,
    groups: &Groups,
    input: &Tensor,
    cotangent: &Tensor,
    output: &mut Tensor,
) -> TractResult<()> {
    let (input, cotangent) = (input.try_as_plain_ram()?, cotangent.try_as_plain_ram()?);
    let mut output = output.try_as_plain_ram_mut()?;
    let (input, cotangents) = (input.as_slice::<T>()?, cotangent.as_slice::<T>()?);
    let output = output.as_slice_mut::<T>()?;
    match kind {
        ReduceKind::Max => extremum(groups, input, cotangents, output, |best, value| best < value),
        ReduceKind::Min => extremum(groups, input, cotangents, output, |best, value| best > value),
        ReduceKind::Prod => product(groups, input, cotangents, output),
    }
    Ok(())
}

fn extremum<T: Copy>(
    groups: &Groups,
    input: &[T],
    cotangents: &[T],
    output: &mut [T],
    loses: impl Fn(T, T) -> bool,
) {
    for (&first, &cotangent) in groups.first.iter().zip(cotangents) {
        let mut best = first;
        for offset in &groups.offsets {
            if loses(input[best], input[first + offset]) {
                best = first + offset;
            }
        }
        output[best] = cotangent;
    }
}

fn product<T: Copy + Mul<Output = T> + One>(
    groups: &Groups,
    input: &[T],
    cotangents: &[T],
    output: &mut [T],
) {
    for (&first, &cotangent) in groups.first.iter().zip(cotangents) {
        let mut before = cotangent;
        for offset in &groups.offsets {
            output[first + offset] = before;
            before = before * input[first + offset];
        }
        let mut after = T::one();
        for offset in groups.offsets.iter().rev() {
            output[first + offset] = output[first + offset] * after;
            after = after * input[first + offset];
        }
    }
}
