//! Operators that move, repeat or drop values. All are linear, so their rules are exact everywhere.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{
    MultiBroadcastTo, Pad, PadMode, Slice, Tile, TypedConcat,
};
use tract_onnx::tract_core::ops::cast::{self, Cast};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::{Cotangents, Step};
use crate::grad::ops::ScatterAdd;
use crate::grad::tape::Tape;

/// The reverse change of axes.
pub(super) fn axis_op(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let reverse = step.op::<AxisOp>()?.recip();
    Ok(tvec![Some(tape.emit(reverse, &[step.cotangent()?])?)])
}

pub(super) fn broadcast(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    ensure!(step.node.op_is::<MultiBroadcastTo>());
    let mut cotangent = step.cotangent()?;
    let shape = tape.shape(step.input(0))?;
    // Ranks align to the right.
    let extra = tape.fact(cotangent)?.rank() - shape.len();
    if extra > 0 {
        cotangent = sum(tape, cotangent, (0..extra).collect())?;
        for _ in 0..extra {
            cotangent = tape.emit(AxisOp::Rm(0), &[cotangent])?;
        }
    }
    Ok(tvec![Some(tape.unbroadcast(cotangent, &shape)?)])
}

/// To a float: rounding to a narrower one counts as the identity, and an integer's cotangent is in f32.
pub(super) fn cast(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let from = tape.fact(step.input(0))?.datum_type;
    let to = if from.is_float() { from } else { f32::datum_type() };
    Ok(tvec![Some(tape.emit(cast::cast(to), &[step.cotangent()?])?)])
}

pub(super) fn casts_to_float(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<Cast>().is_some_and(|op| op.to.is_float())
}

/// Whether the result is an integer or a boolean. Quantised types are neither: they stand for reals.
pub(super) fn casts_to_discrete(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<Cast>().is_some_and(|op| {
        let integer = op.to.is_integer() && !op.to.is_quantized();
        integer || op.to == bool::datum_type() || op.to == TDim::datum_type()
    })
}

/// To each wanted input, its slice.
pub(super) fn concat(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let axis = step.op::<TypedConcat>()?.axis;
    let cotangent = step.cotangent()?;
    let mut parents = tvec![];
    let mut start = 0;
    for (slot, &wanted) in step.wants.iter().enumerate() {
        let end = start + tape.shape(step.input(slot))?[axis];
        parents.push(match wanted {
            true => Some(tape.emit(Slice::new(axis, start, end), &[cotangent])?),
            false => None,
        });
        start = end;
    }
    Ok(parents)
}

pub(super) fn identity(_tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    Ok(tvec![Some(step.cotangent()?)])
}

/// A value takes the cotangents of all its copies; a constant border takes none away.
pub(super) fn pad(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Pad>()?;
    let shape = tape.shape(step.input(0))?;
    let mut cotangent = step.cotangent()?;
    // Borders of several axes are copies of copies, so axes can be undone one by one.
    for (axis, (&len, &(before, after))) in shape.iter().zip(&op.pads).enumerate() {
        if (before, after) == (0, 0) {
            continue;
        }
        cotangent = if let PadMode::Constant(_) = op.mode {
            tape.emit(Slice::new(axis, before, before + len), &[cotangent])?
        } else {
            let sources = border_sources(&op.mode, len, before, after)?;
            let sources = tape.constant(tensor1(&sources))?;
            tape.emit(ScatterAdd { axis, len }, &[cotangent, sources])?
        };
    }
    Ok(tvec![Some(cotangent)])
}

/// For each position along a padded axis, the position that it copies.
fn border_sources(
    mode: &PadMode,
    len: usize,
    before: usize,
    after: usize,
) -> TractResult<Vec<i64>> {
    let (before, after, len) = (before as i64, after as i64, len as i64);
    let last = len - 1;
    ensure!(last >= 0, "a border of nothing");
    let positions = -before..len + after;
    if *mode == PadMode::Edge {
        return Ok(positions.map(|at| at.clamp(0, last)).collect());
    }
    ensure!(before <= last && after <= last, "a reflected border wider than the tensor");
    Ok(positions.map(|at| last - (last - at.abs()).abs()).collect())
}

/// The cotangent between zeros.
pub(super) fn slice(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Slice>()?;
    let shape = tape.shape(step.input(0))?;
    let mut pads = vec![(0, 0); shape.len()];
    pads[op.axis] = (op.start.to_usize()?, shape[op.axis] - op.end.to_usize()?);
    let pad = Pad { pads, mode: PadMode::default() };
    Ok(tvec![Some(tape.emit(pad, &[step.cotangent()?])?)])
}

/// The sum over the copies.
pub(super) fn tile(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let shape = tape.shape(step.input(0))?;
    let mut cotangent = step.cotangent()?;
    for (axis, multiplier) in step.op::<Tile>()?.multipliers.iter().enumerate() {
        let copies = multiplier.to_usize()?;
        if copies == 1 {
            continue;
        }
        let (from, to) =
            (tvec![(copies * shape[axis]).into()], tvec![copies.into(), shape[axis].into()]);
        cotangent = tape.emit(AxisOp::Reshape(axis, from, to), &[cotangent])?;
        cotangent = sum(tape, cotangent, tvec![axis])?;
        cotangent = tape.emit(AxisOp::Rm(axis), &[cotangent])?;
    }
    Ok(tvec![Some(cotangent)])
}

fn sum(tape: &mut Tape<'_>, cotangent: OutletId, axes: TVec<usize>) -> TractResult<OutletId> {
    tape.emit(Reduce { axes, reducer: Reducer::Sum }, &[cotangent])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::array::StridedSlice;
    use tract_onnx::tract_core::ops::identity::Identity;
    use tract_onnx::tract_core::ops::math;

    use super::*;
    use crate::grad::testing::{EXACT, check, emitted_gradient, one_node, values};

    fn check_op<O: Into<Box<dyn TypedOp>> + Clone>(op: O, shape: &[usize]) {
        let x = values(shape, -1.0, 1.0);
        check(|dt| one_node(op.clone(), dt, &[shape], &[]), &[x], EXACT);
    }

    fn dims(dims: &[usize]) -> TVec<TDim> {
        dims.iter().map(|dim| dim.to_dim()).collect()
    }

    #[test]
    fn axes_added_removed_and_reshaped() {
        check_op(AxisOp::Add(1), &[2, 3]);
        check_op(AxisOp::Rm(1), &[2, 1, 3]);
        check_op(AxisOp::Reshape(1, dims(&[6]), dims(&[2, 3])), &[2, 6, 2]);
        check_op(AxisOp::Reshape(0, dims(&[2, 3, 4]), dims(&[4, 6])), &[2, 3, 4]);
    }

    #[test]
    fn every_move_of_an_axis() {
        for from in 0..4 {
            for to in 0..4 {
                check_op(AxisOp::Move(from, to), &[2, 3, 4, 2]);
            }
        }
    }

    #[test]
    fn slices_of_every_axis() {
        for axis in 0..3 {
            check_op(Slice::new(axis, 1, 3), &[3, 4, 5]);
            check_op(Slice::new(axis, 0, 1), &[3, 4, 5]);
        }
    }

    #[test]
    fn overlapping_slices_accumulate() {
        let shape = [2, 5];
        let build = |dt: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact(shape))?;
            let left = model.wire_node("left", Slice::new(1, 0, 3), &[x])?;
            let right = model.wire_node("right", Slice::new(1, 2, 5), &[x])?;
            let y = model.wire_node("y", math::add(), &[left[0], right[0]])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        check(build, &[values(&shape, -1.0, 1.0)], EXACT);
    }

    #[test]
    fn strided_slices_become_slices_and_downsamplings() {
        for (begin, end, step) in [(1, 6, 2), (-1, i64::MIN, -1), (5, 0, -2), (-2, -6, -3)] {
            let op = StridedSlice {
                optional_axes_input: Some(3),
                optional_steps_input: Some(4),
                begin_mask: 0,
                end_mask: 0,
                shrink_axis_mask: 0,
            };
            let constants = [begin, end, 1, step].map(|value: i64| tensor1(&[value]));
            let x = values(&[2, 7], -1.0, 1.0);
            check(|dt| one_node(op.clone(), dt, &[&[2, 7]], &constants), &[x], EXACT);
        }
    }

    #[test]
    fn concatenations() {
        let op = TypedConcat { axis: 1 };
        let other = values(&[2, 2, 3], -1.0, 1.0);
        let x = values(&[2, 4, 3], -1.0, 1.0);
        let build = |dt| one_node(op.clone(), dt, &[&[2, 4, 3]], std::slice::from_ref(&other));
        check(build, std::slice::from_ref(&x), EXACT);
        // The attacked tensor last and twice.
        let build = |dt: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact([2, 4, 3]))?;
            let other = model.add_const("other", other.cast_to_dt(dt)?.into_owned())?;
            let y = model.wire_node("y", op.clone(), &[x, other, x])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        check(build, &[x], EXACT);
    }

    #[test]
    fn paddings() {
        let constant = PadMode::Constant(rctensor0(0.7_f32));
        for mode in [constant, PadMode::Reflect, PadMode::Edge] {
            for pads in [
                vec![(0, 0), (1, 0), (0, 2)],
                vec![(1, 1), (2, 2), (3, 3)],
                vec![(0, 1), (0, 0), (2, 0)],
            ] {
                check_op(Pad { pads, mode: mode.clone() }, &[2, 3, 4]);
            }
        }
    }

    #[test]
    fn an_edge_wider_than_the_tensor() {
        check_op(Pad { pads: vec![(3, 4), (2, 1)], mode: PadMode::Edge }, &[2, 1]);
    }

    #[test]
    fn broadcasts() {
        for (from, to) in [
            (&[2, 1, 3][..], &[2, 4, 3][..]),
            (&[1, 1], &[3, 2]),
            (&[3], &[2, 4, 3]),
            (&[1, 3], &[2, 2, 2, 3]),
            (&[2, 3], &[2, 3]),
        ] {
            check_op(MultiBroadcastTo { shape: ShapeFact::from_dims(to) }, from);
        }
    }

    #[test]
    fn tiles() {
        check_op(Tile { multipliers: dims(&[2, 1, 3]) }, &[2, 3, 2]);
        check_op(Tile { multipliers: dims(&[2, 3]) }, &[1, 2]);
    }

    #[test]
    fn an_identity_passes_the_cotangent() {
        check_op(Identity, &[2, 3]);
        let mut model = one_node(Identity, f32::datum_type(), &[&[2]], &[]).unwrap();
        let (input, output) = (model.inputs[0], model.outputs[0]);
        let cotangent = model.add_const("cotangent", tensor1(&[1_f32, 2.0])).unwrap();
        let found =
            crate::grad::walk::backward(&mut model, output, cotangent, input, &Default::default())
                .unwrap();
        assert_eq!(found, cotangent);
    }

    fn through(to: DatumType) -> impl Fn(DatumType) -> TractResult<TypedModel> {
        move |dt| {
            let mut model = one_node(cast::cast(to), dt, &[&[2, 3]], &[])?;
            let narrow = model.output_outlets()?[0];
            let y = model.wire_node("back", cast::cast(dt), &[narrow])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        }
    }

    #[test]
    fn a_cast_to_a_float_passes_the_cotangent() {
        let x = values(&[2, 3], -1.0, 1.0);
        check(through(f64::datum_type()), std::slice::from_ref(&x), EXACT);
        let gradient = emitted_gradient(&through(f16::datum_type()), &[x]).unwrap();
        assert!(gradient.iter().all(|&component| component != 0.0));
    }

    #[test]
    fn a_cast_to_an_integer_stops_it() {
        for to in [i64::datum_type(), u8::datum_type(), bool::datum_type()] {
            check(through(to), &[values(&[2, 3], 0.1, 0.9)], EXACT);
        }
    }

    #[test]
    fn quantised_casts_are_not_declared_zero() {
        let to = i8::datum_type().quantize(QParams::ZpScale { zero_point: 0, scale: 0.1 });
        let (quantised, float) = (cast::cast(to), cast::cast(f32::datum_type()));
        assert!(!casts_to_discrete(&quantised) && !casts_to_float(&quantised));
        assert!(!casts_to_discrete(&float) && casts_to_float(&float));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_padding(
            axes in prop::collection::vec((1..4_usize, 0..4_usize, 0..4_usize), 1..4),
            mode in 0..3,
        ) {
            let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
            let mode = match mode {
                0 => PadMode::default(),
                1 => PadMode::Edge,
                _ => PadMode::Reflect,
            };
            let limit = |axis: &(usize, _, _), pad: usize| match mode {
                PadMode::Reflect => pad.min(axis.0 - 1),
                _ => pad,
            };
            let pads = axes.iter().map(|axis| (limit(axis, axis.1), limit(axis, axis.2))).collect();
            check_op(Pad { pads, mode: mode.clone() }, &shape);
        }
    }
}
