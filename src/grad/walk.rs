//! The reverse walk.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math::add;
use tract_onnx::tract_core::ops::quant::LookupTable;

use super::rules::{self, Derivative, Rule, Step, Vjp};
use super::straight_through::StraightThrough;
use super::tape::Tape;

/// Emits the vector-Jacobian product of `output` with respect to `input` and returns its outlet, of `input`'s shape.
///
/// `model` must be decluttered, with concrete shapes; `cotangent` has `output`'s shape. Nodes that do not lie
/// between `input` and `output` are left alone. An output that does not depend on the input gives zeros. Nodes that
/// `through` selects are differentiated by their surrogates. The cotangent of a float has its type, that of an integer
/// is in f32.
///
/// # Errors
/// When an operator on the way has no rule, or a rule cannot be emitted; the message names the node.
pub(crate) fn backward(
    model: &mut TypedModel,
    output: OutletId,
    cotangent: OutletId,
    input: OutletId,
    through: &StraightThrough,
) -> TractResult<OutletId> {
    if let Some(&gradient) = cotangents(model, output, cotangent, input, through)?.get(&input) {
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
    through: &StraightThrough,
) -> TractResult<HashMap<OutletId, OutletId>> {
    let nodes = model.nodes().to_vec();
    let depends = dependents(model, input)?;
    let order = model.eval_order()?;
    let exact = through.is_none();
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
        let mut wants: TVec<bool> = node.inputs.iter().map(|parent| depends[parent.node]).collect();
        for (wanted, parent) in wants.iter_mut().zip(&node.inputs) {
            *wanted &= !(exact && is_discrete(tape.fact(*parent)?));
        }
        let rule = rules::find(node.op.as_ref()).with_context(|| {
            format!("no gradient rule for {} (`{}`)", node.op.name(), node.name)
        })?;
        let Some(vjp) = vjp(through, node, rule) else {
            continue;
        };
        let parents = floats(&mut tape, node, &wants)
            .and_then(|(seen, outputs)| {
                let step =
                    Step { node: &seen, outputs: &outputs, cotangents: &arrived, wants: &wants };
                vjp(&mut tape, &step)
            })
            .with_context(|| format!("the gradient of {} (`{}`)", node.op.name(), node.name))?;
        for ((parent, contribution), _) in
            node.inputs.iter().zip(parents).zip(&wants).filter(|(_, wanted)| **wanted)
        {
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
    through: &StraightThrough,
) -> TractResult<Vec<(String, String)>> {
    let depends = dependents(model, input)?;
    let exact = through.is_none();
    let mut reached = vec![false; model.nodes().len()];
    reached[output.node] = true;
    let mut missing = vec![];
    for id in model.eval_order()?.into_iter().rev() {
        if !(reached[id] && depends[id]) || id == input.node {
            continue;
        }
        let node = model.node(id);
        match rules::find(node.op.as_ref()) {
            Some(rule) if vjp(through, node, rule).is_none() => continue,
            Some(_) => {}
            None => missing.push((node.name.clone(), node.op.name().into_owned())),
        }
        for parent in &node.inputs {
            reached[parent.node] |= !(exact && is_discrete(model.outlet_fact(*parent)?));
        }
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

/// Whether a node is differentiated by its surrogate.
pub(super) fn passes(through: &StraightThrough, node: &TypedNode, rule: &Rule) -> bool {
    let table = node.op_as::<ElementWiseOp>().is_some_and(|op| op.0.is::<LookupTable>());
    rule.surrogate.is_some_and(|surrogate| through.passes(&node.name, &surrogate, table))
}

/// How a node is differentiated; none where its derivative is zero.
fn vjp(through: &StraightThrough, node: &TypedNode, rule: &Rule) -> Option<Vjp> {
    match (rule.derivative, rule.surrogate) {
        (_, Some(surrogate)) if passes(through, node, rule) => Some(surrogate.vjp),
        (Derivative::Exact(vjp), _) => Some(vjp),
        (Derivative::Zero, _) => None,
    }
}

/// Whether a tensor holds integers or booleans: only what rounds leads from a float to it, so that its exact
/// gradient is zero.
fn is_discrete(fact: &TypedFact) -> bool {
    !fact.datum_type.is_float()
}

/// A node and its outputs as its rule sees them: floats in the place of the integers that take part in its arithmetic,
/// since cotangents are floats.
fn floats(
    tape: &mut Tape<'_>,
    node: &TypedNode,
    wants: &[bool],
) -> TractResult<(TypedNode, TVec<OutletId>)> {
    let mut seen = node.clone();
    let mut outputs: TVec<OutletId> =
        (0..node.outputs.len()).map(|slot| OutletId::new(node.id, slot)).collect();
    let binary = node.op_is::<TypedBinOp>();
    let arithmetic = seen.inputs.iter_mut().zip(wants).filter(|(_, wanted)| **wanted || binary);
    for outlet in arithmetic.map(|(outlet, _)| outlet).chain(&mut outputs) {
        if tape.fact(*outlet)?.datum_type.unquantized().is_integer() {
            *outlet = tape.emit(cast(f32::datum_type()), &[*outlet])?;
        }
    }
    Ok((seen, outputs))
}
