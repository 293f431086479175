//! Backward passes of element-wise functions: cotangent * f'(x), in one pass.

use std::f32::consts::{FRAC_2_SQRT_PI, SQRT_2};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::exp::exp;
use crate::pool;
use crate::simd::vectorized;

/// The derivative of a function y = f(x), from x, y or both, whichever is cheapest and loses no digits: from y, the
/// slopes of a saturated sigmoid or tanh would round to zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Slope {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Cos,
    Cosh,
    Erf,
    /// y.
    Exp,
    /// The tanh form; the power of x in its cubic term (tract's fast variant takes 2).
    GeluApproximate(i32),
    GeluExact,
    HardSwish,
    LeakyRelu(f32),
    Ln,
    PowConst(f32),
    Recip,
    Rsqrt,
    Sigmoid,
    Silu,
    Sin,
    Sinh,
    Sqrt,
    Square,
    Tan,
    Tanh,
}

impl Slope {
    /// Multiplies each cotangent by the slope. An infinite slope counts as zero: it stands at the edge of the domain, or
    /// where the value itself overflowed in a branch that was not taken.
    #[inline(always)]
    fn scale(self, x: &[f32], y: &[f32], cotangent: &mut [f32]) {
        #[inline(always)]
        fn each(x: &[f32], y: &[f32], cotangent: &mut [f32], slope: impl Fn(f32, f32) -> f32) {
            for ((g, x), y) in cotangent.iter_mut().zip(x).zip(y) {
                let slope = slope(*x, *y);
                *g = if slope.is_finite() { *g * slope } else { 0.0 };
            }
        }
        match self {
            Self::Abs => each(x, y, cotangent, |x, _| if x == 0.0 { 0.0 } else { x.signum() }),
            Self::Acos => each(x, y, cotangent, |x, _| -((1.0 - x) * (1.0 + x)).sqrt().recip()),
            Self::Acosh => each(x, y, cotangent, |x, _| ((x - 1.0) * (x + 1.0)).sqrt().recip()),
            Self::Asin => each(x, y, cotangent, |x, _| ((1.0 - x) * (1.0 + x)).sqrt().recip()),
            Self::Asinh => each(x, y, cotangent, |x, _| x.hypot(1.0).recip()),
            Self::Atan => each(x, y, cotangent, |x, _| (1.0 + x * x).recip()),
            Self::Atanh => each(x, y, cotangent, |x, _| ((1.0 - x) * (1.0 + x)).recip()),
            Self::Cos => each(x, y, cotangent, |x, _| -x.sin()),
            Self::Cosh => each(x, y, cotangent, |x, _| x.sinh()),
            Self::Erf => each(x, y, cotangent, |x, _| FRAC_2_SQRT_PI * exp(-x * x)),
            Self::Exp => each(x, y, cotangent, |_, y| y),
            Self::GeluApproximate(power) => {
                each(x, y, cotangent, |x, _| gelu_approximate(x, power));
            }
            Self::GeluExact => each(x, y, cotangent, |x, y| {
                let density = FRAC_2_SQRT_PI / (2.0 * SQRT_2) * exp(-0.5 * x * x);
                if x == 0.0 { 0.5 } else { y / x + x * density }
            }),
            Self::HardSwish => each(x, y, cotangent, |x, _| {
                if x <= -3.0 {
                    0.0
                } else if x >= 3.0 {
                    1.0
                } else {
                    x / 3.0 + 0.5
                }
            }),
            Self::LeakyRelu(alpha) => {
                each(x, y, cotangent, |x, _| if x > 0.0 { 1.0 } else { alpha });
            }
            Self::Ln => each(x, y, cotangent, |x, _| x.recip()),
            Self::PowConst(0.0) => cotangent.fill(0.0),
            Self::PowConst(exponent) => {
                each(x, y, cotangent, |x, _| exponent * x.powf(exponent - 1.0));
            }
            Self::Recip => each(x, y, cotangent, |_, y| -y * y),
            Self::Rsqrt => each(x, y, cotangent, |_, y| -0.5 * y * y * y),
            Self::Sigmoid => each(x, y, cotangent, |x, _| {
                let tail = exp(-x.abs());
                tail / ((1.0 + tail) * (1.0 + tail))
            }),
            Self::Silu => each(x, y, cotangent, |x, _| {
                let tail = exp(-x.abs());
                let (above, below) = ((1.0 + tail).recip(), tail / (1.0 + tail));
                if x >= 0.0 { above + x * above * below } else { below + x * above * below }
            }),
            Self::Sin => each(x, y, cotangent, |x, _| x.cos()),
            Self::Sinh => each(x, y, cotangent, |x, _| x.cosh()),
            Self::Sqrt => each(x, y, cotangent, |_, y| 0.5 / y),
            Self::Square => each(x, y, cotangent, |x, _| 2.0 * x),
            Self::Tan => each(x, y, cotangent, |_, y| 1.0 + y * y),
            Self::Tanh => each(x, y, cotangent, |x, _| {
                let tail = exp(-2.0 * x.abs());
                4.0 * tail / ((1.0 + tail) * (1.0 + tail))
            }),
        }
    }

    /// What the slope is computed from: (x, y).
    pub(crate) fn reads(self) -> (bool, bool) {
        use Slope::{Exp, GeluExact, Recip, Rsqrt, Sqrt, Tan};
        match self {
            GeluExact => (true, true),
            Exp | Recip | Rsqrt | Sqrt | Tan => (false, true),
            _ => (true, false),
        }
    }
}

/// d/dx of x/2 (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^power).
fn gelu_approximate(x: f32, power: i32) -> f32 {
    let scale = FRAC_2_SQRT_PI / SQRT_2;
    let tanh = (scale * (x + 0.044_715 * x.powi(power))).tanh();
    let inner = scale * (1.0 + 0.044_715 * power as f32 * x.powi(power - 1));
    0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh) * (1.0 + tanh) * inner
}

/// Inputs x, y = f(x), cotangent; output cotangent * f'(x). All of one shape, in f32.
///
/// An input that the slope does not read may be given as any tensor of that shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UnaryGrad(pub Slope);

impl Eq for UnaryGrad {}

impl Op for UnaryGrad {
    fn name(&self) -> StaticName {
        "UnaryGrad".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}", self.0)])
    }

    op_as_typed_op!();
}

impl EvalOp for UnaryGrad {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (x, y, cotangent) = args_3!(inputs);
        let mut cotangent = cotangent.into_tensor();
        {
            let (x, y) = (x.try_as_plain_ram()?, y.try_as_plain_ram()?);
            let mut out = cotangent.try_as_plain_ram_mut()?;
            let (x, y) = (x.as_slice::<f32>()?, y.as_slice::<f32>()?);
            let out = out.as_slice_mut::<f32>()?;
            vectorized(
                #[inline(always)]
                || self.0.scale(x, y, out),
            );
        }
        pool::give(ctx, x);
        pool::give(ctx, y);
        Ok(tvec![cotangent.into_tvalue()])
    }
}

impl TypedOp for UnaryGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.iter().all(|fact| fact.datum_type == f32::datum_type()), "not in f32");
        ensure!(inputs.iter().all(|fact| fact.shape == inputs[2].shape), "shapes differ");
        Ok(tvec![f32::fact(&*inputs[2].shape)])
    }

    as_op!();
}
