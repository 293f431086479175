//! Conditional execution.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::logic::{IfThenElse, Iff};

use super::{Cotangents, Part, Step};
use crate::grad::body;
use crate::grad::tape::Tape;

/// The gradients of both branches, and a choice between them: exact where the condition does not change, and the
/// condition itself, a boolean, takes nothing.
pub(super) fn if_then_else(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<IfThenElse>()?;
    let branches = branches(op)?;
    let mut found = vec![];
    for branch in &branches {
        found.push(branch_gradients(tape, step, branch)?);
    }
    let mut parents = tvec![];
    for slot in 0..step.node.inputs.len() {
        if found.iter().all(|gradients| gradients[slot].is_none()) {
            parents.push(None);
            continue;
        }
        let (dt, shape) = (tape.fact(step.input(slot))?.datum_type, tape.shape(step.input(slot))?);
        let mut condition = step.input(0);
        for _ in 0..tape.fact(condition)?.rank() {
            condition = tape.emit(AxisOp::Rm(0), &[condition])?;
        }
        for _ in 0..shape.len() {
            condition = tape.emit(AxisOp::Add(0), &[condition])?;
        }
        let mut choice = tvec![condition];
        for gradients in &found {
            choice.push(match gradients[slot] {
                Some(gradient) => gradient,
                None => tape.constant(Tensor::zero_dt(dt, &shape)?)?,
            });
        }
        parents.push(Some(tape.emit(Iff, &choice)?));
    }
    Ok(parents)
}

/// What of the branches is differentiated.
pub(super) fn parts(op: &IfThenElse, wants: &[bool]) -> TractResult<Vec<Part>> {
    let part = |branch: Branch<'_>| -> TractResult<Part> {
        let inputs = branch.wanted(wants).map(|(_, inlet)| inlet).collect();
        let outputs = branch.body.output_outlets()?.iter().copied().collect();
        Ok(Part { outputs, inputs, body: branch.body })
    };
    branches(op)?.into_iter().map(part).collect()
}

/// A decluttered branch, and the node's input slot that feeds each of its inputs.
struct Branch<'a> {
    body: TypedModel,
    slots: &'a [usize],
}

impl Branch<'_> {
    /// The inputs that want a cotangent, as (slot of the node, outlet of the body).
    fn wanted(&self, wants: &[bool]) -> impl Iterator<Item = (usize, OutletId)> {
        let inlets = self.slots.iter().copied().zip(self.body.inputs.iter().copied());
        inlets.filter(|&(slot, _)| wants[slot])
    }
}

fn branches(op: &IfThenElse) -> TractResult<[Branch<'_>; 2]> {
    Ok([
        Branch { body: op.then_body.clone().into_decluttered()?, slots: &op.then_input_mapping },
        Branch { body: op.else_body.clone().into_decluttered()?, slots: &op.else_input_mapping },
    ])
}

/// Per input of the node, its cotangent were this branch taken.
fn branch_gradients(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    branch: &Branch<'_>,
) -> TractResult<Cotangents> {
    let (seeded, cotangents): (Vec<OutletId>, Vec<OutletId>) = step
        .cotangents
        .iter()
        .zip(branch.body.output_outlets()?)
        .filter_map(|(cotangent, output)| cotangent.map(|cotangent| (*output, cotangent)))
        .unzip();
    let (slots, inlets): (Vec<usize>, Vec<OutletId>) = branch.wanted(step.wants).unzip();
    let gradient = body::differentiate(&branch.body, &seeded, &inlets, step.through)?;
    let mut known: HashMap<OutletId, OutletId> =
        gradient.seeds.iter().copied().zip(cotangents).collect();
    for (&slot, &inlet) in branch.slots.iter().zip(&branch.body.inputs) {
        known.insert(inlet, step.input(slot));
    }
    let mut parents: Cotangents = tvec![None; step.node.inputs.len()];
    for (slot, outlet) in slots.into_iter().zip(gradient.gradients) {
        if let Some(outlet) = outlet {
            parents[slot] = Some(tape.graft(&gradient.model, &[outlet], &mut known)?[0]);
        }
    }
    Ok(parents)
}

#[cfg(test)]
mod tests;
