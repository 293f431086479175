//! Local response normalisation.

use tract_onnx::prelude::*;
use tract_onnx_opl::lrn::Lrn;

use super::{Cotangents, Step};
use crate::grad::ops::LrnGrad;
use crate::grad::tape::Tape;

/// Smooth as long as the denominator is positive, so exact there.
pub(super) fn lrn(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let gradient = LrnGrad { op: step.op::<Lrn>()?.clone() };
    Ok(tvec![Some(tape.emit(gradient, &[step.input(0), step.cotangent()?])?)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    #[test]
    fn windows_of_every_size() {
        for size in 1..7 {
            for shape in [&[2, 5, 2, 3][..], &[1, 3, 4], &[2, 4]] {
                let op = Lrn { alpha: 0.7, beta: 0.75, bias: 1.3, size };
                let x = values(shape, -2.0, 2.0);
                check(|dt| one_node(op.clone(), dt, &[shape], &[]), &[x], EXACT);
            }
        }
    }
}
