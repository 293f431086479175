//! The backward pass of interpolation along an axis.

use tract_onnx::prelude::tract_num_traits::Float;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Cotangent of an axis whose entry `i` was the sum of weight * value over `taps[i]`, as (weight, index of the value)
/// -> cotangent of the axis before, of length `len`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResampleGrad {
    pub axis: usize,
    pub len: usize,
    pub taps: Arc<[TVec<(f32, usize)>]>,
}

// Weights are finite.
impl Eq for ResampleGrad {}

impl Op for ResampleGrad {
    fn name(&self) -> StaticName {
        "ResampleGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for ResampleGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let cotangent = args_1!(inputs);
        let mut shape: TVec<usize> = cotangent.shape().into();
        shape[self.axis] = self.len;
        let mut output = Tensor::zero_dt(cotangent.datum_type(), &shape)?;
        if cotangent.len() > 0 {
            dispatch_floatlike!(spread(cotangent.datum_type())(self, &cotangent, &mut output))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for ResampleGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.clone();
        shape.set(self.axis, self.len.to_dim());
        Ok(tvec![inputs[0].datum_type.fact(shape)])
    }

    as_op!();
}

fn spread<T: Datum + Float>(
    op: &ResampleGrad,
    cotangent: &Tensor,
    output: &mut Tensor,
) -> TractResult<()> {
    let inner: usize = cotangent.shape()[op.axis + 1..].iter().product();
    let cotangent = cotangent.try_as_plain_ram()?;
    let mut output = output.try_as_plain_ram_mut()?;
    let from = cotangent.as_slice::<T>()?.chunks_exact(op.taps.len() * inner);
    let to = output.as_slice_mut::<T>()?.chunks_exact_mut(op.len * inner);
    for (from, to) in from.zip(to) {
        for (from, taps) in from.chunks_exact(inner).zip(op.taps.iter()) {
            for &(weight, index) in taps {
                let weight = T::from(weight).context("a weight beyond the type's range")?;
                let sums = to[index * inner..][..inner].iter_mut();
                sums.zip(from).for_each(|(sum, &value)| *sum = *sum + weight * value);
            }
        }
    }
    Ok(())
}
