//! Backward passes of binary functions that are not products: the derivative in one operand, in one pass.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::pool;
use crate::simd::vectorized;

/// The derivative of y = f(a, b) in one operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Partial {
    /// d max(a, b) / da: 1 where a > b, `tie` where they are equal.
    Max { tie: f32 },
    /// d min(a, b) / da: 1 where a < b, `tie` where they are equal.
    Min { tie: f32 },
    /// d a^b / da = b a^(b-1); 0 where b = 0.
    PowBase,
    /// d a^b / db = ln(a) a^b; 0 where a <= 0.
    PowExponent,
    /// d (a mod b) / db = -trunc(a / b).
    RemDivisor,
}

impl Partial {
    /// Multiplies each cotangent by the derivative, where it is finite; `b` may be a single value.
    #[inline(always)]
    fn scale(self, a: &[f32], b: &[f32], cotangent: &mut [f32]) {
        #[inline(always)]
        fn each(a: &[f32], b: &[f32], cotangent: &mut [f32], partial: impl Fn(f32, f32) -> f32) {
            let scale = |g: &mut f32, a: f32, b: f32| {
                let partial = partial(a, b);
                *g = if partial.is_finite() { *g * partial } else { 0.0 };
            };
            if let [b] = b {
                cotangent.iter_mut().zip(a).for_each(|(g, a)| scale(g, *a, *b));
            } else {
                cotangent.iter_mut().zip(a).zip(b).for_each(|((g, a), b)| scale(g, *a, *b));
            }
        }
        #[expect(clippy::float_cmp, reason = "a tie is exact equality")]
        match self {
            // The hot ones (relu, clip): without a share at ties they are one selection per value.
            Self::Max { tie: 0.0 } => select(a, b, cotangent, |a, b| a > b),
            Self::Min { tie: 0.0 } => select(a, b, cotangent, |a, b| a < b),
            Self::Max { tie } => each(a, b, cotangent, |a, b| share(a > b, a == b, tie)),
            Self::Min { tie } => each(a, b, cotangent, |a, b| share(a < b, a == b, tie)),
            Self::PowBase => {
                each(a, b, cotangent, |a, b| if b == 0.0 { 0.0 } else { b * a.powf(b - 1.0) });
            }
            Self::PowExponent => {
                each(a, b, cotangent, |a, b| if a > 0.0 { a.ln() * a.powf(b) } else { 0.0 });
            }
            Self::RemDivisor => each(a, b, cotangent, |a, b| -(a / b).trunc()),
        }
    }
}

/// Keeps each cotangent where `keeps` holds, and zeroes it elsewhere.
#[inline(always)]
fn select(a: &[f32], b: &[f32], cotangent: &mut [f32], keeps: impl Fn(f32, f32) -> bool) {
    let keep = |g: &mut f32, a: f32, b: f32| *g = if keeps(a, b) { *g } else { 0.0 };
    if let [b] = b {
        cotangent.iter_mut().zip(a).for_each(|(g, a)| keep(g, *a, *b));
    } else {
        cotangent.iter_mut().zip(a).zip(b).for_each(|((g, a), b)| keep(g, *a, *b));
    }
}

fn share(ahead: bool, equal: bool, tie: f32) -> f32 {
    if ahead {
        1.0
    } else if equal {
        tie
    } else {
        0.0
    }
}

/// Inputs a, b, cotangent of the common shape; output cotangent times the derivative, of that shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BinaryGrad(pub Partial);

impl Eq for BinaryGrad {}

impl Op for BinaryGrad {
    fn name(&self) -> StaticName {
        "BinaryGrad".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}", self.0)])
    }

    op_as_typed_op!();
}

impl EvalOp for BinaryGrad {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (a, b, cotangent) = args_3!(inputs);
        let mut cotangent = cotangent.into_tensor();
        let a = broadcast(a, cotangent.shape())?;
        let b = if b.len() == 1 { b } else { broadcast(b, cotangent.shape())? };
        {
            let (a, b) = (a.try_as_plain_ram()?, b.try_as_plain_ram()?);
            let mut out = cotangent.try_as_plain_ram_mut()?;
            let (a, b) = (a.as_slice::<f32>()?, b.as_slice::<f32>()?);
            let out = out.as_slice_mut::<f32>()?;
            vectorized(
                #[inline(always)]
                || self.0.scale(a, b, out),
            );
        }
        pool::give(ctx, a);
        pool::give(ctx, b);
        Ok(tvec![cotangent.into_tvalue()])
    }
}

fn broadcast(value: TValue, shape: &[usize]) -> TractResult<TValue> {
    if value.shape() == shape {
        return Ok(value);
    }
    Ok(value.broadcast_to_shape(shape)?.into_tvalue())
}

impl TypedOp for BinaryGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.iter().all(|fact| fact.datum_type == f32::datum_type()), "not in f32");
        ensure!(inputs.iter().all(|fact| fact.rank() == inputs[2].rank()), "ranks differ");
        Ok(tvec![f32::fact(&*inputs[2].shape)])
    }

    as_op!();
}
