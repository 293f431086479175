//! Element-wise functions.
//!
//! Conventions: abs'(0) = 0; leaky relu has its lower slope at 0; hard-swish has its outer slopes at -3 and 3. An infinite
//! slope (sqrt at 0, asin at 1, exp where it overflows) counts as 0.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_core::ops::math::{PowConst, mul};
use tract_onnx::tract_core::ops::nn::{GeluApproximate, LeakyRelu};

use super::{Cotangents, Step};
use crate::grad::ops::{Slope, UnaryGrad};
use crate::grad::tape::Tape;
use crate::lowering::Gelu;

macro_rules! rules {
    ($($rule:ident => $slope:ident,)*) => { $(
        pub(super) fn $rule(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
            scale(tape, step, Slope::$slope)
        }
    )* };
}

rules! {
    abs => Abs,
    acos => Acos,
    acosh => Acosh,
    asin => Asin,
    asinh => Asinh,
    atan => Atan,
    atanh => Atanh,
    cos => Cos,
    cosh => Cosh,
    erf => Erf,
    exp => Exp,
    hard_swish => HardSwish,
    ln => Ln,
    recip => Recip,
    rsqrt => Rsqrt,
    sigmoid => Sigmoid,
    silu => Silu,
    sin => Sin,
    sinh => Sinh,
    sqrt => Sqrt,
    square => Square,
    tan => Tan,
    tanh => Tanh,
}

pub(super) fn neg(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let negated = tape.emit(tract_onnx::tract_core::ops::math::neg(), &[step.cotangent()?])?;
    Ok(tvec![Some(negated)])
}

/// The forward pass computes the slopes: much of that is the function itself.
pub(super) fn gelu_exact(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    if tape.fact(step.output())?.datum_type != f32::datum_type() {
        return scale(tape, step, Slope::GeluExact);
    }
    tape.extend(step.node.id, Gelu::WITH_SLOPES)?;
    let slopes = OutletId::new(step.node.id, 1);
    Ok(tvec![Some(tape.emit(mul(), &[step.cotangent()?, slopes])?)])
}

pub(super) fn gelu_approximate(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let power = if mini::<GeluApproximate>(step)?.fast_impl { 2 } else { 3 };
    scale(tape, step, Slope::GeluApproximate(power))
}

pub(super) fn leaky_relu(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    scale(tape, step, Slope::LeakyRelu(mini::<LeakyRelu>(step)?.alpha))
}

pub(super) fn pow_const(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    scale(tape, step, Slope::PowConst(mini::<PowConst>(step)?.exponent))
}

fn mini<'a, T: ElementWiseMiniOp>(step: &Step<'a>) -> TractResult<&'a T> {
    let op = step.node.op_as::<ElementWiseOp>().context("an element-wise rule")?;
    op.0.downcast_ref::<T>().context("the function of this rule")
}

fn scale(tape: &mut Tape<'_>, step: &Step<'_>, slope: Slope) -> TractResult<Cotangents> {
    let (x, y) = match slope.reads() {
        (true, true) => (step.input(0), step.output()),
        (true, false) => (step.input(0), step.input(0)),
        _ => (step.output(), step.output()),
    };
    Ok(tvec![Some(tape.emit_in_f32(UnaryGrad(slope), &[x, y, step.cotangent()?])?)])
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_core::ops::binary::TypedBinOp;
    use tract_onnx::tract_core::ops::cast::cast;
    use tract_onnx::tract_core::ops::{math, nn};

    use super::*;
    use crate::grad::testing::{
        Tolerance, check_against, gradient_and_cotangent, one_node, values,
    };

    type Function = fn(f64) -> f64;

    /// erf by its Maclaurin series: exact to f64 for |x| <= 3.
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    fn gelu_tanh(x: f64) -> f64 {
        let scale = (2.0 / std::f64::consts::PI).sqrt();
        0.5 * x * (1.0 + (scale * (x + 0.044715 * x.powi(3))).tanh())
    }

    /// (op, its function in f64, domain).
    fn table() -> Vec<(ElementWiseOp, Function, f64, f64)> {
        vec![
            (math::abs(), f64::abs, -2.0, 2.0),
            (math::acos(), f64::acos, -0.9, 0.9),
            (math::acosh(), f64::acosh, 1.1, 4.0),
            (math::asin(), f64::asin, -0.9, 0.9),
            (math::asinh(), f64::asinh, -4.0, 4.0),
            (math::atan(), f64::atan, -4.0, 4.0),
            (math::atanh(), f64::atanh, -0.9, 0.9),
            (math::cos(), f64::cos, -4.0, 4.0),
            (math::cosh(), f64::cosh, -3.0, 3.0),
            (math::erf(), erf, -2.5, 2.5),
            (math::exp(), f64::exp, -4.0, 4.0),
            (nn::gelu_approximate::gelu_approximate(false), gelu_tanh, -4.0, 4.0),
            (nn::gelu_exact::gelu_exact(), |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt())), -3.5, 3.5),
            (nn::hard_swish(), |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0), -4.0, 4.0),
            (nn::leaky_relu(0.1), |x| if x > 0.0 { x } else { 0.1 * x }, -2.0, 2.0),
            (math::ln(), f64::ln, 0.1, 4.0),
            (math::neg(), |x| -x, -2.0, 2.0),
            (math::pow_const(2.5), |x| x.powf(2.5), 0.1, 3.0),
            (math::pow_const(3.0), |x| x.powi(3), -3.0, 3.0),
            (math::pow_const(0.0), |_| 1.0, -3.0, 3.0),
            (math::pow_const(-1.5), |x| x.powf(-1.5), 0.3, 3.0),
            (math::recip(), f64::recip, 0.2, 4.0),
            (math::rsqrt(), |x| x.sqrt().recip(), 0.2, 4.0),
            (nn::sigmoid(), sigmoid, -6.0, 6.0),
            (nn::silu::silu(), |x| x * sigmoid(x), -6.0, 6.0),
            (math::sin(), f64::sin, -4.0, 4.0),
            (math::sinh(), f64::sinh, -3.0, 3.0),
            (math::sqrt(), f64::sqrt, 0.1, 4.0),
            (math::square(), |x| x * x, -3.0, 3.0),
            (math::tan(), f64::tan, -1.2, 1.2),
            (math::tanh(), f64::tanh, -3.0, 3.0),
        ]
    }

    #[test]
    fn every_function_matches_its_closed_form() {
        // tract's sigmoid, tanh and erf kernels are rational approximations, good to some 1e-6.
        let tolerance = Tolerance { absolute: 5e-5, relative: 2e-4 };
        for (op, function, low, high) in table() {
            let x = values(&[3, 7], low, high);
            let build = |dt| one_node(op.clone(), dt, &[&[3, 7]], &[]);
            check_against(build, &[x], tolerance, |inputs| {
                inputs[0].iter().map(|x| function(*x)).collect()
            });
        }
    }

    #[test]
    fn other_float_types_pass_through_f32() {
        for (op, expected) in [(math::max().into(), 1.0), (nn::sigmoid().into(), 0.235_004)] {
            let op: Box<dyn TypedOp> = op;
            let build = |dt: DatumType| {
                let mut model = TypedModel::default();
                let x = model.add_source("x", dt.fact([1]))?;
                let half = model.wire_node("half", cast(f16::datum_type()), &[x])?[0];
                let mut inputs = tvec![half];
                if op.is::<TypedBinOp>() {
                    inputs.push(model.add_const("zero", tensor1(&[f16::from_f32(0.0)]))?);
                }
                let z = model.wire_node("z", op.clone(), &inputs)?;
                let y = model.wire_node("y", cast(dt), &z)?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            let (gradient, weight) = gradient_and_cotangent(&build, &[tensor1(&[0.5])]);
            let slope = gradient[0] / weight[0];
            assert!((slope - expected).abs() < 2e-3, "{op:?}: {slope}, not {expected}");
        }
    }

    #[test]
    fn kinks_and_extremes_have_finite_slopes() {
        let slope_at = |op: ElementWiseOp, x: f32| {
            let build = |dt| one_node(op.clone(), dt, &[&[1]], &[]);
            let at = tensor1(&[x]);
            let (gradient, weight) = gradient_and_cotangent(&build, &[at]);
            gradient[0] / weight[0]
        };
        let cases: [(ElementWiseOp, f32, f64); 19] = [
            (math::sqrt(), 0.0, 0.0),
            (math::ln(), 0.0, 0.0),
            (math::asin(), 1.0, 0.0),
            (math::exp(), 100.0, 0.0),
            (math::recip(), 0.0, 0.0),
            (math::abs(), 0.0, 0.0),
            (math::abs(), -0.0, 0.0),
            (nn::leaky_relu(0.25), 0.0, 0.25),
            (nn::hard_swish(), -3.0, 0.0),
            (nn::hard_swish(), 3.0, 1.0),
            (nn::silu::silu(), -100.0, 0.0),
            (nn::silu::silu(), 100.0, 1.0),
            (nn::sigmoid(), 100.0, 0.0),
            (math::tanh(), 50.0, 0.0),
            (nn::gelu_exact::gelu_exact(), 0.0, 0.5),
            (nn::gelu_exact::gelu_exact(), 40.0, 1.0),
            (nn::gelu_exact::gelu_exact(), -40.0, 0.0),
            (math::square(), 0.0, 0.0),
            (math::pow_const(2.0), 0.0, 0.0),
        ];
        for (op, x, expected) in cases {
            let found = slope_at(op.clone(), x);
            assert!((found - expected).abs() < 1e-5, "{op:?} at {x}: {found}, not {expected}");
        }
        for (op, x, expected) in
            [(nn::sigmoid(), 40.0, (-40f64).exp()), (math::tanh(), -20.0, 4.0 * (-40f64).exp())]
        {
            let found = slope_at(op.clone(), x);
            assert!((found / expected - 1.0).abs() < 1e-4, "{op:?} at {x}: {found}");
        }
    }
}
