//! The backward pass of local response normalisation.

use std::ops::Range;

use tract_onnx::prelude::tract_num_traits::Float;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx_opl::lrn::Lrn;

/// (input, cotangent of the output) -> cotangent of the input. Channels are axis 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LrnGrad {
    pub op: Lrn,
}

impl Op for LrnGrad {
    fn name(&self) -> StaticName {
        "LrnGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for LrnGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (input, cotangent) = args_2!(inputs);
        let mut output = Tensor::zero_dt(input.datum_type(), input.shape())?;
        if input.len() > 0 {
            dispatch_floatlike!(gradient(input.datum_type())(
                &self.op,
                &input,
                &cotangent,
                &mut output
            ))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for LrnGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].without_value()])
    }

    as_op!();
}

/// With d = bias + alpha / size * (the sum of x^2 over a window of channels) and y = x d^-beta:
/// dx = dy d^-beta - 2 alpha beta / size * x * (the sum of dy x d^(-beta - 1) over the windows that x is in).
fn gradient<T: Datum + Float>(
    op: &Lrn,
    input: &Tensor,
    cotangent: &Tensor,
    output: &mut Tensor,
) -> TractResult<()> {
    let constant = |value: f64| T::from(value).context("a constant beyond the type's range");
    let (alpha, beta) = (f64::from(op.alpha) / op.size as f64, f64::from(op.beta));
    let (per_square, exponent) = (constant(alpha)?, constant(-beta)?);
    let (bias, slope) = (constant(op.bias.into())?, constant(2.0 * alpha * beta)?);
    let (channels, plane) = (input.shape()[1], input.shape()[2..].iter().product::<usize>());
    let (below, above) = ((op.size - 1) / 2, op.size / 2);
    let (input, cotangent) = (input.try_as_plain_ram()?, cotangent.try_as_plain_ram()?);
    let mut output = output.try_as_plain_ram_mut()?;
    let samples = input.as_slice::<T>()?.chunks_exact(channels * plane);
    let cotangents = cotangent.as_slice::<T>()?.chunks_exact(channels * plane);
    let outputs = output.as_slice_mut::<T>()?.chunks_exact_mut(channels * plane);
    let mut shared = vec![T::zero(); channels * plane];
    let mut sums = vec![T::zero(); plane];
    for ((x, dy), dx) in samples.zip(cotangents).zip(outputs) {
        for channel in 0..channels {
            sum_window(
                &mut sums,
                channel.saturating_sub(below)..channels.min(channel + above + 1),
                |index| x[index] * x[index],
            );
            for (index, &sum) in (channel * plane..).zip(&sums) {
                let scale = bias + per_square * sum;
                dx[index] = dy[index] * scale.powf(exponent);
                shared[index] = dx[index] * x[index] / scale;
            }
        }
        for channel in 0..channels {
            sum_window(
                &mut sums,
                channel.saturating_sub(above)..channels.min(channel + below + 1),
                |index| shared[index],
            );
            for (index, &sum) in (channel * plane..).zip(&sums) {
                dx[index] = dx[index] - slope * x[index] * sum;
            }
        }
    }
    Ok(())
}

/// Sums `value` over `channels`, pixel by pixel of a plane.
fn sum_window<T: Float>(sums: &mut [T], channels: Range<usize>, value: impl Fn(usize) -> T) {
    let plane = sums.len();
    sums.fill(T::zero());
    for channel in channels {
        for (index, sum) in (channel * plane..).zip(sums.iter_mut()) {
            *sum = *sum + value(index);
        }
    }
}
