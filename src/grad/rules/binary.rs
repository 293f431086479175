//! Binary operators with broadcasting.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::{Cotangents, Step};
use crate::grad::tape::Tape;

pub(super) fn add(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let cotangent = step.cotangent()?;
    (0..2).map(|slot| to_parent(tape, step, slot, cotangent)).collect()
}

/// Brings a cotangent of the output's shape to that of the parent at `slot`, if that one wants it.
fn to_parent(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    slot: usize,
    cotangent: OutletId,
) -> TractResult<Option<OutletId>> {
    if !step.wants[slot] {
        return Ok(None);
    }
    let shape = tape.shape(step.input(slot))?;
    tape.unbroadcast(cotangent, &shape).map(Some)
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_core::ops::math;

    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    #[test]
    fn add_sums_over_broadcast_axes() {
        let x = values(&[2, 1, 3], -1.0, 1.0);
        let other = values(&[2, 4, 1], -1.0, 1.0);
        check(|dt| one_node(math::add(), dt, &[&[2, 1, 3]], &[other.clone()]), &[x], EXACT);
    }
}
