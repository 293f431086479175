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
    if let Some(&gradient) = cotangents(model, output, cotangent, input)?.get(&input) {
        return Ok(gradient);
    }
    let mut tape = Tape::new(model);
    let fact = tape.fact(input)?;
    let zeros = Tensor::zero_dt(fact.datum_type, &tape.shape(input)?)?;
    tape.constant(zeros)
}

/// As [`backward`], for every tensor between `input` and `output` that a cotangent reaches.
///
/// # Errors
/// As [`backward`].
pub(crate) fn cotangents(
    model: &mut TypedModel,
    output: OutletId,
    cotangent: OutletId,
    input: OutletId,
) -> TractResult<HashMap<OutletId, OutletId>> {
    let nodes = model.nodes().to_vec();
    let depends = dependents(model, input)?;
    let order = model.eval_order()?;
    let mut cotangents: HashMap<OutletId, OutletId> = HashMap::new();
    let mut tape = Tape::new(model);
    cotangents.insert(output, cotangent);
    for id in order.into_iter().rev().filter(|&id| depends[id] && id != input.node) {
        let node = &nodes[id];
        let arrived: TVec<Option<OutletId>> = (0..node.outputs.len())
            .map(|slot| cotangents.get(&OutletId::new(id, slot)).copied())
            .collect();
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
        let parents = vjp(&mut tape, &step)
            .with_context(|| format!("the gradient of {} (`{}`)", node.op.name(), node.name))?;
        for (parent, contribution) in node.inputs.iter().zip(parents) {
            let Some(contribution) = contribution else {
                continue;
            };
            let total = match cotangents.get(parent) {
                Some(&sum) => tape.emit(add(), &[sum, contribution])?,
                None => contribution,
            };
            cotangents.insert(*parent, total);
        }
    }
    Ok(cotangents)
}

/// The nodes between `input` and `output` whose operator has no rule, as (name, operator).
pub(crate) fn unsupported(
    model: &TypedModel,
    output: OutletId,
    input: OutletId,
) -> TractResult<Vec<(String, String)>> {
    let depends = dependents(model, input)?;
    let mut reached = vec![false; model.nodes().len()];
    reached[output.node] = true;
    let mut missing = vec![];
    for id in model.eval_order()?.into_iter().rev() {
        if !(reached[id] && depends[id]) || id == input.node {
            continue;
        }
        let node = model.node(id);
        match rules::find(node.op.as_ref()).map(|rule| rule.derivative) {
            Some(Derivative::Zero) => continue,
            Some(Derivative::Exact(_)) => {}
            None => missing.push((node.name.clone(), node.op.name().into_owned())),
        }
        node.inputs.iter().for_each(|parent| reached[parent.node] = true);
    }
    missing.reverse();
    Ok(missing)
}

/// For each node, whether it depends on `input`.
pub(super) fn dependents(model: &TypedModel, input: OutletId) -> TractResult<Vec<bool>> {
    let mut depends = vec![false; model.nodes().len()];
    depends[input.node] = true;
    for id in model.eval_order()? {
        depends[id] |= model.node(id).inputs.iter().any(|parent| depends[parent.node]);
    }
    Ok(depends)
}
