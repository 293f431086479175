//! Operators that choose among values.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::Gather;
use tract_onnx::tract_core::ops::logic::Iff;

use super::{Cotangents, Step};
use crate::grad::ops::ScatterAdd;
use crate::grad::tape::Tape;

/// Each value goes to the branch that it came from; the condition, a boolean, takes nothing.
pub(super) fn iff(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let cotangent = step.cotangent()?;
    let condition = step.input(0);
    let zero = tape.scalar(0.0, cotangent)?;
    let mut parents = tvec![None];
    for (slot, branches) in [(1, [cotangent, zero]), (2, [zero, cotangent])] {
        parents.push(if step.wants[slot] {
            let shape = tape.shape(step.input(slot))?;
            let part = tape.emit(Iff, &[condition, branches[0], branches[1]])?;
            Some(tape.unbroadcast(part, &shape)?)
        } else {
            None
        });
    }
    Ok(parents)
}

/// A value that is read more than once takes the sum. Linear in the data, so exact; the indices take nothing.
pub(super) fn gather(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    if !step.wants[0] {
        return Ok(tvec![None]);
    }
    let axis = step.op::<Gather>()?.axis;
    let scatter = ScatterAdd { axis, len: tape.shape(step.input(0))?[axis] };
    Ok(tvec![Some(tape.emit(scatter, &[step.cotangent()?, step.input(1)])?)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::internal::*;
    use tract_onnx::tract_core::ops::cast::cast;

    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    /// Selects among the source, a constant and the shifted source, in every arrangement.
    fn check_iff(condition: &[usize], shape: &[usize], other: &[usize]) {
        let len = condition.iter().product::<usize>();
        let mask: Vec<bool> = (0..len).map(|at| (at * 7 + 1) % 3 != 0).collect();
        let mask = Tensor::from_shape(condition, &mask).unwrap();
        for order in [[0, 1], [1, 0], [0, 0]] {
            let build = |dt: DatumType| {
                let mut model = TypedModel::default();
                let x = model.add_source("x", dt.fact(shape))?;
                let mask = model.add_const("mask", mask.clone())?;
                let other = values(other, -1.0, 1.0).cast_to_dt(dt)?.into_owned();
                let branches = [x, model.add_const("other", other)?];
                let inputs = [mask, branches[order[0]], branches[order[1]]];
                let y = model.wire_node("y", Iff, &inputs)?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            check(build, &[values(shape, -1.0, 1.0)], EXACT);
        }
    }

    #[test]
    fn selections() {
        check_iff(&[2, 3], &[2, 3], &[2, 3]);
    }

    #[test]
    fn broadcast_selections() {
        check_iff(&[2, 1, 4], &[1, 3, 4], &[2, 3, 1]);
        check_iff(&[2, 3, 4], &[1, 1, 1], &[1, 3, 1]);
        check_iff(&[1, 1, 1], &[2, 3, 4], &[2, 1, 1]);
    }

    fn check_gather(axis: usize, indices: Tensor, shape: &[usize]) {
        let x = values(shape, -1.0, 1.0);
        let constants = [indices];
        check(|dt| one_node(Gather::new(axis), dt, &[shape], &constants), &[x], EXACT);
    }

    #[test]
    fn gathers_of_every_axis() {
        for axis in 0..3 {
            check_gather(axis, tensor1(&[2_i64, 0, 2, -1, -3]), &[3, 4, 3]);
        }
    }

    #[test]
    fn scalar_and_matrix_indices() {
        check_gather(1, tensor0(1_i64), &[2, 3, 2]);
        check_gather(1, tensor2(&[[1_i64, 0, 1], [2, 2, -1]]), &[2, 3, 2]);
    }

    #[test]
    fn computed_indices() {
        let build = |dt: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact([3, 2]))?;
            let indices = model.wire_node("indices", cast(i64::datum_type()), &[x])?[0];
            let y = model.wire_node("y", Gather::new(0), &[x, indices])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        check(build, &[values(&[3, 2], 0.1, 2.9)], EXACT);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_gather(
            shape in prop::collection::vec(1..4_usize, 1..4),
            axis in any::<prop::sample::Index>(),
            indices in prop::collection::vec(0..100_i64, 1..6),
        ) {
            let axis = axis.index(shape.len());
            let len = shape[axis] as i64;
            let indices: Vec<i64> = indices.iter().map(|at| at % (2 * len) - len).collect();
            check_gather(axis, tensor1(&indices), &shape);
        }
    }
}
