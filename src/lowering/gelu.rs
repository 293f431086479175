//! The Gaussian error linear unit, and its slope on the way.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::nn::GeluExact;

use crate::exp::exp;
use crate::pool;
use crate::simd::vectorized;

/// `x P(x)`, in f32, where P is the normal distribution's function; and the derivative in x.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gelu {
    slopes: bool,
}

impl Gelu {
    /// With another output: the slopes.
    pub(crate) const WITH_SLOPES: Self = Self { slopes: true };

    /// The operator for a function of tract's, if there is one.
    pub(super) fn of(op: &ElementWiseOp, facts: &[&TypedFact]) -> Option<Self> {
        let is_ours = op.0.is::<GeluExact>()
            && facts.iter().all(|fact| fact.datum_type == f32::datum_type() && fact.is_plain());
        is_ours.then_some(Self { slopes: false })
    }
}

/// The function and its slope. P is that of Abramowitz and Stegun, 7.1.26, to within 8e-8.
#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    /// Beyond, the density is nothing; an infinity times that would be no number.
    const FAR: f32 = 16.0;
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let density = exp(-z * z);
    let mut tail = 1.061_405_4;
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        tail = tail * t + coefficient;
    }
    let tail = 0.5 * tail * t * density;
    let share = if x < 0.0 { tail } else { 1.0 - tail };
    let scale = 0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI;
    (x * share, share + x.clamp(-FAR, FAR) * (scale * density))
}

impl Op for Gelu {
    fn name(&self) -> StaticName {
        "Gelu".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Gelu {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut x = args_1!(inputs).into_tensor();
        let slopes = self.slopes.then(|| pool::take(ctx, x.shape())).transpose()?;
        let mut outputs = tvec![];
        if let Some(mut slopes) = slopes {
            {
                let (mut x, mut slopes) =
                    (x.try_as_plain_ram_mut()?, slopes.try_as_plain_ram_mut()?);
                let (x, slopes) = (x.as_slice_mut::<f32>()?, slopes.as_slice_mut::<f32>()?);
                vectorized(
                    #[inline(always)]
                    || {
                        for (x, slope) in x.iter_mut().zip(&mut *slopes) {
                            (*x, *slope) = gelu(*x);
                        }
                    },
                );
            }
            outputs.push(slopes.into_tvalue());
        } else {
            let mut x = x.try_as_plain_ram_mut()?;
            let x = x.as_slice_mut::<f32>()?;
            vectorized(
                #[inline(always)]
                || {
                    for x in &mut *x {
                        *x = gelu(*x).0;
                    }
                },
            );
        }
        outputs.insert(0, x.into_tvalue());
        Ok(outputs)
    }
}

impl TypedOp for Gelu {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].without_value(); 1 + usize::from(self.slopes)])
    }

    as_op!();
}
