//! The fused cells of recurrent layers, and the GRU that runs a whole sequence. All are smooth.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::Slice;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::gru_cell::GruEpilogue;
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::lstm_cell::LstmEpilogue;
use tract_onnx::tract_core::ops::math::add;
use tract_onnx::tract_core::ops::scan::{InputMapping, OutputMapping, Scan, ScanInfo};

use super::{Cotangents, Step, scan};
use crate::grad::ops::{GruCellGrad, LstmCellGrad};
use crate::grad::tape::Tape;

pub(super) fn lstm_cell(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let gradient = LstmCellGrad { hidden: step.op::<LstmEpilogue>()?.hidden };
    let mut inputs = tvec![step.input(0), step.input(1)];
    for (slot, cotangent) in step.cotangents.iter().enumerate() {
        inputs.push(match *cotangent {
            Some(cotangent) => cotangent,
            None => zeros(tape, OutletId::new(step.node.id, slot))?,
        });
    }
    Ok(tape.emit_all(gradient, &inputs)?.into_iter().map(Some).collect())
}

pub(super) fn gru_cell(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let gradient = GruCellGrad { hidden: step.op::<GruEpilogue>()?.hidden };
    let inputs = [step.input(0), step.input(1), step.input(2), step.cotangent()?];
    Ok(tape.emit_all(gradient, &inputs)?.into_iter().map(Some).collect())
}

/// As the loop over [`GruEpilogue`] that it stands for.
pub(super) fn gru_sequence(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = gru_loop(tape, step)?;
    scan::through_time(tape, step, &op)
}

fn zeros(tape: &mut Tape<'_>, like: OutletId) -> TractResult<OutletId> {
    let zeros = Tensor::zero_dt(tape.fact(like)?.datum_type, &tape.shape(like)?)?;
    tape.constant(zeros)
}

/// The loop whose inputs and outputs are those of a [`GruSeq`]: x, W (unless x is already projected), R, perhaps the
/// biases, the initial state; Y and `Y_h`.
fn gru_loop(tape: &Tape<'_>, step: &Step<'_>) -> TractResult<Scan> {
    let op = step.op::<GruSeq>()?;
    let hidden = op.hidden;
    let mut body = TypedModel::default();
    let mut inputs = tvec![];
    let mut mapping = vec![InputMapping::Full; step.node.inputs.len()];
    mapping[0] = InputMapping::Scan(ScanInfo { axis: 1, chunk: op.chunk.signum() });
    if let Some(last) = mapping.last_mut() {
        *last = InputMapping::State;
    }
    for (slot, &outlet) in step.node.inputs.iter().enumerate() {
        let mut shape = tape.shape(outlet)?;
        if slot == 0 {
            shape[1] = 1;
        }
        inputs.push(body.add_source(format!("input.{slot}"), f32::fact(&*shape))?);
    }
    let product = EinSum::new("mk,nk->mn".parse()?, f32::datum_type());
    let (x, state) = (inputs[0], inputs[inputs.len() - 1]);
    let recurrent = if op.projected { inputs[1] } else { inputs[2] };
    let mut x = body.wire_node("x", AxisOp::Rm(1), &[x])?[0];
    let state = body.wire_node("state", AxisOp::Rm(1), &[state])?[0];
    if !op.projected {
        x = body.wire_node("projected", product.clone(), &[x, inputs[1]])?[0];
    }
    let mut sums = body.wire_node("recurrent", product, &[state, recurrent])?[0];
    if op.has_bias {
        let mut biases = inputs[inputs.len() - 2];
        if body.outlet_fact(biases)?.rank() == 1 {
            biases = body.wire_node("biases", AxisOp::Add(0), &[biases])?[0];
        }
        let [w, r] = [("w_bias", 0), ("r_bias", 3 * hidden)].map(|(name, from)| {
            body.wire_node(name, Slice::new(1, from, from + 3 * hidden), &[biases])
        });
        if !op.projected {
            x = body.wire_node("biased_x", add(), &[x, w?[0]])?[0];
        }
        sums = body.wire_node("biased_recurrent", add(), &[sums, r?[0]])?[0];
    }
    let next = body.wire_node("cell", GruEpilogue { hidden }, &[x, sums, state])?;
    let next = body.wire_node("next", AxisOp::Add(1), &next)?;
    body.select_output_outlets(&next)?;
    let output = OutputMapping {
        scan: Some((0, ScanInfo { axis: 1, chunk: op.chunk.signum() })),
        full_dim_hint: None,
        last_value_slot: Some(1),
        state: true,
    };
    let mut scan = Scan::new(body.into_decluttered()?, mapping, vec![output], 0)?;
    scan.reset_every_turn = op.reset_every_turn;
    Ok(scan)
}

#[cfg(test)]
mod tests;
