//! Functions that tract has in single precision only.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math::{Erf, PowConst};
use tract_onnx::tract_core::ops::nn::{
    GeluApproximate, GeluExact, HardSwish, LeakyRelu, Sigmoid, Silu,
};

/// A function of each element, computed in f64 whatever the tensor holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wide {
    Erf,
    /// The power of x in the cubic term.
    GeluApproximate(i32),
    GeluExact,
    HardSwish,
    LeakyRelu(f32),
    Power(f32),
    Sigmoid,
    Silu,
}

impl Eq for Wide {}

impl Wide {
    /// Puts such a function in the place of each node that lacks double precision.
    pub(super) fn replace_in(model: &mut TypedModel) {
        for node in &mut model.nodes {
            if let Some(wide) = node.op_as::<ElementWiseOp>().and_then(Self::of) {
                node.op = Box::new(wide);
            }
        }
    }

    fn of(op: &ElementWiseOp) -> Option<Self> {
        let op = &op.0;
        if let Some(power) = op.downcast_ref::<PowConst>() {
            return Some(Self::Power(power.exponent));
        }
        if let Some(leaky) = op.downcast_ref::<LeakyRelu>() {
            return Some(Self::LeakyRelu(leaky.alpha));
        }
        if let Some(gelu) = op.downcast_ref::<GeluApproximate>() {
            return Some(Self::GeluApproximate(if gelu.fast_impl { 2 } else { 3 }));
        }
        let known = [
            (op.is::<Erf>(), Self::Erf),
            (op.is::<GeluExact>(), Self::GeluExact),
            (op.is::<HardSwish>(), Self::HardSwish),
            (op.is::<Sigmoid>(), Self::Sigmoid),
            (op.is::<Silu>(), Self::Silu),
        ];
        known.into_iter().find_map(|(is, wide)| is.then_some(wide))
    }

    fn value(self, x: f64) -> f64 {
        let sigmoid = |x: f64| (1.0 + (-x).exp()).recip();
        match self {
            Self::Erf => libm::erf(x),
            Self::GeluApproximate(power) => {
                let inner = x + 0.044_715 * x.powi(power);
                0.5 * x * (1.0 + (FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * inner).tanh())
            }
            Self::GeluExact => 0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2)),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::LeakyRelu(alpha) => {
                if x > 0.0 {
                    x
                } else {
                    x * f64::from(alpha)
                }
            }
            Self::Power(exponent) => x.powf(f64::from(exponent)),
            Self::Sigmoid => sigmoid(x),
            Self::Silu => x * sigmoid(x),
        }
    }
}

impl Op for Wide {
    fn name(&self) -> StaticName {
        "Wide".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{self:?}")])
    }

    op_as_typed_op!();
}

impl EvalOp for Wide {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let dt = input.datum_type();
        let mut wide = input.cast_to::<f64>()?.into_owned();
        let mut view = wide.try_as_plain_ram_mut()?;
        view.as_slice_mut::<f64>()?.iter_mut().for_each(|x| *x = self.value(*x));
        Ok(tvec![wide.cast_to_dt(dt)?.into_owned().into_tvalue()])
    }
}

impl TypedOp for Wide {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].without_value()])
    }

    as_op!();
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_core::ops::element_wise::ElementWiseMiniOp;

    use super::*;

    #[test]
    fn each_function_is_that_of_single_precision() {
        let ops: [Box<dyn ElementWiseMiniOp>; 8] = [
            Box::new(Erf {}),
            Box::new(GeluApproximate { fast_impl: false }),
            Box::new(GeluExact {}),
            Box::new(HardSwish {}),
            Box::new(LeakyRelu { alpha: 0.1 }),
            Box::new(PowConst { exponent: 1.7 }),
            Box::new(Sigmoid {}),
            Box::new(Silu {}),
        ];
        for op in ops {
            let op = ElementWiseOp(op, None);
            let power = op.0.is::<PowConst>();
            let wide = Wide::of(&op).unwrap();
            let x: Vec<f32> = (-40..=40).map(|i| i as f32 * 0.1).collect();
            let x: Vec<f32> = x.into_iter().filter(|x| !power || *x > 0.0).collect();
            let context = EvalContext::out_of_plan();
            let single = op.eval(&context, tvec![tensor1(&x).into_tvalue()]).unwrap().remove(0);
            let double = wide.eval(&context, tvec![tensor1(&x).into_tvalue()]).unwrap().remove(0);
            let (single, double) =
                (single.try_as_plain_ram().unwrap(), double.try_as_plain_ram().unwrap());
            let pairs =
                single.as_slice::<f32>().unwrap().iter().zip(double.as_slice::<f32>().unwrap());
            // tract's own are approximations.
            pairs.for_each(|(a, b)| {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{wide:?}: {a} {b}");
            });
        }
    }
}
