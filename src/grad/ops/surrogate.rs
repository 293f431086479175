//! Backward passes of functions that round, by the slopes of what they round.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// The slope of a surrogate, as a function of a value of the forward pass.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SurrogateSlope {
    /// 1 strictly between the ends, 0 at them and beyond: of a result, where a clipped one stands at an end.
    Inside { ends: (f32, f32) },
    /// `scale` where `round(x * scale) + zero_point` lies within the ends, 0 where it is clipped.
    Quantize { scale: f32, zero_point: f32, ends: (f32, f32) },
    /// 1 where |x| <= 1, 1 / x² outside.
    Sign,
    /// One slope per level, from level `first` on.
    Table { first: f32, slopes: Arc<[f32]> },
}

impl SurrogateSlope {
    fn at(&self, value: f32) -> f32 {
        let within = |inside: bool, slope: f32| if inside { slope } else { 0.0 };
        match self {
            Self::Inside { ends: (low, high) } => within(*low < value && value < *high, 1.0),
            Self::Quantize { scale, zero_point, ends: (low, high) } => {
                let level = (value * scale).round_ties_even() + zero_point;
                within((*low..=*high).contains(&level), *scale)
            }
            Self::Sign => value.abs().max(1.0).powi(-2),
            Self::Table { first, slopes } => {
                slopes.get((value - first) as usize).copied().unwrap_or(0.0)
            }
        }
    }
}

/// Inputs value, cotangent; output cotangent * slope(value). All of one shape, in f32.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SurrogateGrad(pub SurrogateSlope);

impl Eq for SurrogateGrad {}

impl Op for SurrogateGrad {
    fn name(&self) -> StaticName {
        "SurrogateGrad".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}", self.0)])
    }

    op_as_typed_op!();
}

impl EvalOp for SurrogateGrad {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (values, cotangent) = args_2!(inputs);
        let mut cotangent = cotangent.into_tensor();
        {
            let values = values.try_as_plain_ram()?;
            let mut out = cotangent.try_as_plain_ram_mut()?;
            for (g, value) in out.as_slice_mut::<f32>()?.iter_mut().zip(values.as_slice::<f32>()?) {
                *g *= self.0.at(*value);
            }
        }
        Ok(tvec![cotangent.into_tvalue()])
    }
}

impl TypedOp for SurrogateGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.iter().all(|fact| fact.datum_type == f32::datum_type()), "not in f32");
        ensure!(inputs[0].shape == inputs[1].shape, "shapes differ");
        Ok(tvec![f32::fact(&*inputs[1].shape)])
    }

    as_op!();
}

/// (x, cotangent of the scale) -> cotangent of x, where scale = (max(x, 0) - min(x, 0)) / 255: the first maximum above
/// zero takes a share of 1/255, the first minimum below zero the opposite. All in f32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DynamicScaleGrad;

impl Op for DynamicScaleGrad {
    fn name(&self) -> StaticName {
        "DynamicScaleGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for DynamicScaleGrad {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (x, cotangent) = args_2!(inputs);
        let share = cotangent.cast_to_scalar::<f32>()? / 255.0;
        let mut out = Tensor::zero::<f32>(x.shape())?;
        {
            let x = x.try_as_plain_ram()?;
            let x = x.as_slice::<f32>()?;
            let mut out = out.try_as_plain_ram_mut()?;
            let out = out.as_slice_mut::<f32>()?;
            let first = |beats: fn(f32, f32) -> bool| {
                x.iter().enumerate().fold((None, 0.0), |best, (at, value)| {
                    if beats(*value, best.1) { (Some(at), *value) } else { best }
                })
            };
            if let (Some(at), _) = first(|value, best| value > best) {
                out[at] += share;
            }
            if let (Some(at), _) = first(|value, best| value < best) {
                out[at] -= share;
            }
        }
        Ok(tvec![out.into_tvalue()])
    }
}

impl TypedOp for DynamicScaleGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*inputs[0].shape)])
    }

    as_op!();
}
