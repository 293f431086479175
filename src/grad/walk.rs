//! The reverse walk.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::math::add;

use super::rules::{self, Derivative, Step};
use super::tape::Tape;

/// Emits the vector-Jacobian product of `output` with respect to `input` and returns its outlet, of `input`'s shape.
///
/// `model` must be decluttered, with concrete shapes; `cotangent` has `output`'s shape. Nodes that do not lie
/// between `input` and `output` are left alone. An output that does not depend on the input gives zeros.
///
/// # Errors
/// When an operator on the way has no rule, or a rule cannot be emitted; the message names the node.
pub(crate) fn backward(
    model: &mut TypedModel,
    output: OutletId,
    cotangent: OutletId,
    input: OutletId,
) -> TractResult<OutletId> {
    let mut tape = Tape::new(model);
    if let Some(gradient) = sweep(&mut tape, &[(output, cotangent)], &[input])?[0] {
        return Ok(gradient);
    }
    let dt = tape.fact(input)?.datum_type;
    let zeros = Tensor::zero_dt(dt, &tape.shape(input)?)?;
    tape.constant(zeros)
}

/// As [`backward`], for several (output, cotangent) pairs and several inputs, none of which depends on another;
/// `None` for an input that takes nothing.
pub(super) fn sweep(
    tape: &mut Tape<'_>,
    seeds: &[(OutletId, OutletId)],
    inputs: &[OutletId],
) -> TractResult<TVec<Option<OutletId>>> {
    let nodes = tape.model().nodes().to_vec();
    let depends = dependents(tape.model(), inputs)?;
    let order = tape.model().eval_order()?;
    let mut cotangents = Cotangents::default();
    for &(output, cotangent) in seeds {
        cotangents.add(tape, output, cotangent)?;
    }
    let between = |id: &usize| depends[*id] && inputs.iter().all(|input| input.node != *id);
    for id in order.into_iter().rev().filter(between) {
        let node = &nodes[id];
        let arrived: TVec<Option<OutletId>> =
            (0..node.outputs.len()).map(|slot| cotangents.get(OutletId::new(id, slot))).collect();
        if arrived.iter().all(Option::is_none) {
            continue;
        }
        let wants: TVec<bool> = node.inputs.iter().map(|parent| depends[parent.node]).collect();
        let rule = rules::find(node.op.as_ref()).with_context(|| {
            format!("no gradient rule for {} (`{}`)", node.op.name(), node.name)
        })?;
        let Derivative::Exact(vjp) = rule.derivative else {
            continue;
        };
        let step = Step { node, cotangents: &arrived, wants: &wants };
        let parents = vjp(tape, &step)
            .with_context(|| format!("the gradient of {} (`{}`)", node.op.name(), node.name))?;
        for (parent, contribution) in node.inputs.iter().zip(parents) {
            if let Some(contribution) = contribution {
                cotangents.add(tape, *parent, contribution)?;
            }
        }
    }
    Ok(inputs.iter().map(|&input| cotangents.get(input)).collect())
}

/// The sum of the cotangents that arrived at each outlet so far.
#[derive(Debug, Default)]
struct Cotangents(HashMap<OutletId, OutletId>);

impl Cotangents {
    fn get(&self, outlet: OutletId) -> Option<OutletId> {
        self.0.get(&outlet).copied()
    }

    fn add(
        &mut self,
        tape: &mut Tape<'_>,
        outlet: OutletId,
        contribution: OutletId,
    ) -> TractResult<()> {
        let total = match self.get(outlet) {
            Some(sum) => tape.emit(add(), &[sum, contribution])?,
            None => contribution,
        };
        self.0.insert(outlet, total);
        Ok(())
    }
}

/// The nodes between `input` and `output` whose operator has no rule, as (name, operator); those of a body behind
/// the name of the node that runs it.
pub(crate) fn unsupported(
    model: &TypedModel,
    output: OutletId,
    input: OutletId,
) -> TractResult<Vec<(String, String)>> {
    unsupported_between(model, &[output], &[input])
}

fn unsupported_between(
    model: &TypedModel,
    outputs: &[OutletId],
    inputs: &[OutletId],
) -> TractResult<Vec<(String, String)>> {
    let depends = dependents(model, inputs)?;
    let mut reached = vec![false; model.nodes().len()];
    outputs.iter().for_each(|output| reached[output.node] = true);
    let mut missing = vec![];
    for id in model.eval_order()?.into_iter().rev() {
        if !(reached[id] && depends[id]) || inputs.iter().any(|input| input.node == id) {
            continue;
        }
        let node = model.node(id);
        match rules::find(node.op.as_ref()).map(|rule| rule.derivative) {
            Some(Derivative::Zero) => continue,
            Some(Derivative::Exact(_)) => {}
            None => missing.push((node.name.clone(), node.op.name().into_owned())),
        }
        let wants: TVec<bool> = node.inputs.iter().map(|parent| depends[parent.node]).collect();
        for part in rules::parts(node, &wants)? {
            let inner = unsupported_between(&part.body, &part.outputs, &part.inputs)?;
            let named = inner.into_iter().map(|(name, op)| (format!("{}/{name}", node.name), op));
            missing.extend(named.rev());
        }
        node.inputs.iter().for_each(|parent| reached[parent.node] = true);
    }
    missing.reverse();
    Ok(missing)
}

/// For each node, whether it depends on one of `inputs`.
pub(super) fn dependents(model: &TypedModel, inputs: &[OutletId]) -> TractResult<Vec<bool>> {
    let mut depends = vec![false; model.nodes().len()];
    inputs.iter().for_each(|input| depends[input.node] = true);
    for id in model.eval_order()? {
        depends[id] |= model.node(id).inputs.iter().any(|parent| depends[parent.node]);
    }
    Ok(depends)
}
