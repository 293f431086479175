//! Triangular parts and running sums. Linear, so exact.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{CumSum, Trilu};

use super::{Cotangents, Step};
use crate::grad::tape::Tape;

/// A value is in the sums that follow it: the running sum the other way round.
pub(super) fn cum_sum(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<CumSum>()?.clone();
    let reverse = CumSum { reverse: !op.reverse, ..op };
    Ok(tvec![Some(tape.emit(reverse, &[step.cotangent()?])?)])
}

/// The same part of the cotangent; the diagonal's number takes nothing.
pub(super) fn trilu(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    if !step.wants[0] {
        return Ok(tvec![None]);
    }
    let op = step.op::<Trilu>()?.clone();
    Ok(tvec![Some(tape.emit(op, &[step.cotangent()?, step.input(1)])?)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::internal::*;

    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    fn check_sums(axis: usize, shape: &[usize]) {
        for (exclusive, reverse) in [(false, false), (false, true), (true, false), (true, true)] {
            let op = CumSum { axis, exclusive, reverse };
            let x = values(shape, -1.0, 1.0);
            check(|dt| one_node(op.clone(), dt, &[shape], &[]), &[x], EXACT);
        }
    }

    fn check_part(shape: &[usize], k: i64) {
        for upper in [true, false] {
            let x = values(shape, -1.0, 1.0);
            let k = [tensor0(k)];
            check(|dt| one_node(Trilu { upper }, dt, &[shape], &k), &[x], EXACT);
        }
    }

    #[test]
    fn sums_along_every_axis() {
        for axis in 0..3 {
            check_sums(axis, &[3, 4, 2]);
        }
    }

    #[test]
    fn a_sum_of_one() {
        check_sums(0, &[1, 3]);
    }

    #[test]
    fn diagonals_inside_and_outside() {
        for k in -5..=5 {
            check_part(&[3, 4], k);
            check_part(&[2, 3, 2], k);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_running_sum(
            shape in prop::collection::vec(1..5_usize, 1..4),
            axis in any::<prop::sample::Index>(),
        ) {
            check_sums(axis.index(shape.len()), &shape);
        }

        #[test]
        fn any_part(shape in prop::collection::vec(1..5_usize, 2..5), k in -5..6_i64) {
            check_part(&shape, k);
        }
    }
}
