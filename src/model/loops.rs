//! Loops start afresh.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::logic::IfThenElse;
use tract_onnx::tract_core::ops::scan::Scan;

/// Makes every loop begin with its initial state, as in ONNX: tract's carry theirs on from run to run, and a loop
/// inside a loop from step to step.
pub(super) fn restart(model: &mut TypedModel) {
    for node in &mut model.nodes {
        if let Some(op) = node.op_as_mut::<Scan>() {
            op.reset_every_turn = true;
            restart(&mut op.body);
        } else if let Some(op) = node.op_as_mut::<GruSeq>() {
            op.reset_every_turn = true;
        } else if let Some(op) = node.op_as_mut::<IfThenElse>() {
            restart(&mut op.then_body);
            restart(&mut op.else_body);
        }
    }
}
