//! Strided selection along an axis.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::Downsample;

use super::{Cotangents, Step};
use crate::grad::ops::Dilate;
use crate::grad::tape::Tape;

/// Puts the cotangents where their values came from, zeros elsewhere. Linear, so exact.
pub(super) fn downsample(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Downsample>()?;
    let len = tape.shape(step.input(0))?[op.axis];
    let dilate = Dilate { axis: op.axis, stride: op.stride, start: op.modulo, len };
    Ok(tvec![Some(tape.emit(dilate, &[step.cotangent()?])?)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    #[test]
    fn every_axis_stride_and_start() {
        let shape = [4, 5, 6];
        for axis in 0..3 {
            for (stride, modulo) in [(2, 0), (2, 1), (3, 2), (5, 0), (-1, 0), (-2, 0)] {
                let op = Downsample { axis, stride, modulo };
                let x = values(&shape, -1.0, 1.0);
                check(|dt| one_node(op.clone(), dt, &[&shape], &[]), &[x], EXACT);
            }
        }
    }
}
