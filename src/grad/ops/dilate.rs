//! The transpose of strided selection.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Spreads a tensor along an axis: entry `i` goes to `start + i * stride` of `len`, zeros go between. A negative
/// stride counts from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dilate {
    pub axis: usize,
    pub stride: isize,
    pub start: usize,
    pub len: usize,
}

impl Op for Dilate {
    fn name(&self) -> StaticName {
        "Dilate".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Dilate {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let mut shape: TVec<usize> = input.shape().into();
        shape[self.axis] = self.len;
        let mut output = Tensor::zero_dt(input.datum_type(), &shape)?;
        if input.len() > 0 {
            dispatch_copy!(spread(input.datum_type())(self, &input, &mut output))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for Dilate {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.clone();
        shape.set(self.axis, self.len.to_dim());
        Ok(tvec![inputs[0].datum_type.fact(shape)])
    }

    as_op!();
}

fn spread<T: Datum + Copy>(op: &Dilate, input: &Tensor, output: &mut Tensor) -> TractResult<()> {
    let shape: TVec<usize> = input.shape().into();
    let inner: usize = shape[op.axis + 1..].iter().product();
    let step = op.stride.unsigned_abs();
    let input = input.try_as_plain_ram()?;
    let mut output = output.try_as_plain_ram_mut()?;
    let from = input.as_slice::<T>()?.chunks_exact(shape[op.axis] * inner);
    let to = output.as_slice_mut::<T>()?.chunks_exact_mut(op.len * inner);
    for (from, to) in from.zip(to) {
        if inner == 1 && op.stride > 0 {
            to[op.start..].iter_mut().step_by(step).zip(from).for_each(|(to, from)| *to = *from);
            continue;
        }
        for (index, from) in from.chunks_exact(inner).enumerate() {
            let at =
                if op.stride > 0 { op.start + index * step } else { op.len - 1 - index * step };
            to[at * inner..][..inner].copy_from_slice(from);
        }
    }
    Ok(())
}
