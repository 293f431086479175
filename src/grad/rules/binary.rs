//! Binary operators with broadcasting.
//!
//! Conventions: at a tie, max and min give nothing to an operand whose rival does not depend on the attacked tensor
//! (relu'(0) = 0, clips are flat at their ends), and half to each when both do. x^0 has slope 0 everywhere; a^b has no
//! slope in b where a <= 0.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math;

use super::{Cotangents, Step};
use crate::grad::ops::{BinaryGrad, Partial};
use crate::grad::tape::Tape;

/// The sides of a binary node.
const A: usize = 0;
const B: usize = 1;

pub(super) fn add(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    sides(tape, step, |_, cotangent, _| Ok(cotangent))
}

pub(super) fn sub(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    difference(tape, step, B)
}

/// b - a.
pub(super) fn subf(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    difference(tape, step, A)
}

pub(super) fn mul(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    sides(tape, step, |tape, cotangent, side| {
        tape.emit(math::mul(), &[cotangent, step.input(1 - side)])
    })
}

pub(super) fn div(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    sides(tape, step, |tape, cotangent, side| {
        let quotient = tape.emit(math::div(), &[cotangent, step.input(B)])?;
        if side == A {
            return Ok(quotient);
        }
        let scaled = tape.emit(math::mul(), &[quotient, step.output()])?;
        tape.emit(math::neg(), &[scaled])
    })
}

pub(super) fn max(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    extremum(tape, step, |tie| Partial::Max { tie })
}

pub(super) fn min(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    extremum(tape, step, |tie| Partial::Min { tie })
}

pub(super) fn pow(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    sides(tape, step, |tape, cotangent, side| {
        let partial = if side == A { Partial::PowBase } else { Partial::PowExponent };
        tape.emit_in_f32(BinaryGrad(partial), &[step.input(A), step.input(B), cotangent])
    })
}

pub(super) fn rem(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    sides(tape, step, |tape, cotangent, side| {
        if side == A {
            return Ok(cotangent);
        }
        tape.emit_in_f32(
            BinaryGrad(Partial::RemDivisor),
            &[step.input(A), step.input(B), cotangent],
        )
    })
}

fn difference(tape: &mut Tape<'_>, step: &Step<'_>, subtrahend: usize) -> TractResult<Cotangents> {
    sides(tape, step, |tape, cotangent, side| {
        if side == subtrahend { tape.emit(math::neg(), &[cotangent]) } else { Ok(cotangent) }
    })
}

fn extremum(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    partial: impl Fn(f32) -> Partial,
) -> TractResult<Cotangents> {
    let both = step.wants == [true, true];
    let tie = if both { 0.5 } else { 0.0 };
    sides(tape, step, |tape, cotangent, side| {
        // The output is ahead of the rival wherever the input is: so the input need not be kept.
        let ahead = if both { step.input(side) } else { clipped(tape, step, 1 - side)? };
        let inputs = [ahead, step.input(1 - side), cotangent];
        tape.emit_in_f32(BinaryGrad(partial(tie)), &inputs)
    })
}

/// The node's output; where it is one half of a clip, that of the other, which is ahead of this one's rival wherever this one is: so
/// what lies between need not be kept either.
fn clipped(tape: &Tape<'_>, step: &Step<'_>, rival: usize) -> TractResult<OutletId> {
    let output = step.output();
    let [next] = tape.model().outlet_successors(output) else { return Ok(output) };
    let node = tape.model().node(next.node);
    let Some(op) = node.op_as::<TypedBinOp>() else { return Ok(output) };
    let end = |outlet: OutletId| -> TractResult<Option<f64>> {
        let konst = tape.fact(outlet)?.konst.as_ref().and_then(|konst| konst.as_uniform());
        konst.map(|konst| konst.cast_to_scalar::<f64>()).transpose()
    };
    let ends = (end(step.input(rival))?, end(node.inputs[1 - next.slot])?);
    let (Some(own), Some(other)) = ends else { return Ok(output) };
    let is_clip = if step.op::<TypedBinOp>()?.0.is::<math::Max>() {
        op.0.is::<math::Min>() && own < other
    } else {
        op.0.is::<math::Max>() && own > other
    };
    let is_alike = tape.fact(output)?.shape == node.outputs[0].fact.shape;
    Ok(if is_clip && is_alike { OutletId::new(node.id, 0) } else { output })
}

/// The cotangent of each wanted side: `partial` gives it in the output's shape.
fn sides(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    partial: impl Fn(&mut Tape<'_>, OutletId, usize) -> TractResult<OutletId>,
) -> TractResult<Cotangents> {
    let cotangent = step.cotangent()?;
    [A, B]
        .into_iter()
        .map(|side| {
            if !step.wants[side] {
                return Ok(None);
            }
            let scaled = partial(tape, cotangent, side)?;
            let shape = tape.shape(step.input(side))?;
            tape.unbroadcast(scaled, &shape).map(Some)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::binary::TypedBinOp;

    use super::*;
    use crate::grad::testing::{EXACT, check, gradient_and_cotangent, one_node, values};

    type Domain = (f64, f64);

    /// (op, domain of a, domain of b).
    fn table() -> Vec<(TypedBinOp, Domain, Domain)> {
        let any = (-2.0, 2.0);
        vec![
            (math::add(), any, any),
            (math::sub(), any, any),
            (math::subf(), any, any),
            (math::mul(), any, any),
            (math::div(), any, (0.5, 3.0)),
            (math::max(), any, (-1.3, 1.4)),
            (math::min(), any, (-1.3, 1.4)),
            (math::pow(), (0.3, 2.0), any),
            (math::rem(), (0.1, 9.7), (1.13, 2.21)),
        ]
    }

    /// Two shapes of one rank, each axis of either possibly 1.
    fn shapes() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
        let axis = (1usize..4, any::<bool>(), any::<bool>())
            .prop_map(|(len, a, b)| (if a { 1 } else { len }, if b { 1 } else { len }));
        prop::collection::vec(axis, 1..4).prop_map(|axes| axes.into_iter().unzip())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn either_side_with_broadcasting((shape, other) in shapes()) {
            for (op, a, b) in table() {
                for side in [A, B] {
                    // tract swaps the operands of a remainder whose dividend is broadcast; such nodes are refused.
                    let (a_shape, b_shape) = if side == A { (&shape, &other) } else { (&other, &shape) };
                    let len = |shape: &[usize]| shape.iter().product::<usize>();
                    if op.0.is::<math::Rem>() && len(a_shape) < len(b_shape) {
                        continue;
                    }
                    let (domain, rival) = if side == A { (a, b) } else { (b, a) };
                    let constant = values(&other, rival.0, rival.1);
                    let build = |dt| binary(&op, dt, &shape, &constant, side);
                    check(build, &[values(&shape, domain.0, domain.1)], EXACT);
                }
            }
        }
    }

    #[test]
    fn both_sides_at_once() {
        for (op, a, _) in table() {
            let build = |dt: DatumType| {
                let mut model = TypedModel::default();
                let x = model.add_source("x", dt.fact([2, 3]))?;
                let half = tensor0(0.37).cast_to_dt(dt)?.into_owned().broadcast_into_rank(2)?;
                let half = model.add_const("half", half)?;
                let scaled = model.wire_node("scaled", math::mul(), &[x, half])?[0];
                let y = model.wire_node("y", op.clone(), &[x, scaled])?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            check(build, &[values(&[2, 3], a.0.max(0.3), a.1)], EXACT);
        }
    }

    #[test]
    fn ties_give_nothing_against_a_constant_and_half_to_each_variable() {
        for op in [math::max(), math::min()] {
            for side in [A, B] {
                let build = |dt| binary(&op, dt, &[2], &tensor1(&[0.0, 0.0]), side);
                let (gradient, _) = gradient_and_cotangent(&build, &[tensor1(&[0.0, -0.0])]);
                assert_eq!(gradient, [0.0, 0.0], "{op:?}");
            }
            let build = |dt: DatumType| {
                let mut model = TypedModel::default();
                let x = model.add_source("x", dt.fact([1]))?;
                let other = model.wire_node("other", math::square(), &[x])?[0];
                let y = model.wire_node("y", op.clone(), &[x, other])?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            let (gradient, weight) = gradient_and_cotangent(&build, &[tensor1(&[1.0])]);
            let slope = gradient[0] / weight[0];
            assert!((slope - 1.5).abs() < 1e-6, "half of 1 and half of 2: {slope}");
        }
    }

    #[test]
    fn powers_at_zero_and_below() {
        let base = tensor1(&[-2.0, 0.0, 0.0, 0.0, -1.5]);
        let exponent = tensor1(&[3.0, 0.0, 1.0, 2.0, -2.0]);
        let slopes = |side: usize| {
            let (x, constant) =
                if side == A { (base.clone(), &exponent) } else { (exponent.clone(), &base) };
            let build = |dt| binary(&math::pow(), dt, &[5], constant, side);
            let (gradient, weight) = gradient_and_cotangent(&build, &[x]);
            gradient.iter().zip(&weight).map(|(g, w)| g / w).collect::<Vec<f64>>()
        };
        let expected = [12.0, 0.0, 1.0, 0.0, -2.0 * (-1.5f64).powi(-3)];
        for (found, expected) in slopes(A).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        }
        assert!(slopes(B).iter().all(|slope| *slope == 0.0));
    }

    /// x on `side` of the operator, a constant on the other.
    fn binary(
        op: &TypedBinOp,
        dt: DatumType,
        shape: &[usize],
        constant: &Tensor,
        side: usize,
    ) -> TractResult<TypedModel> {
        if side == A {
            return one_node(op.clone(), dt, &[shape], std::slice::from_ref(constant));
        }
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact(shape))?;
        let constant = model.add_const("c", constant.cast_to_dt(dt)?.into_owned())?;
        let y = model.wire_node("y", op.clone(), &[constant, x])?;
        model.select_output_outlets(&y)?;
        Ok(model)
    }
}
