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
    let found = cotangents(model, output, cotangent, input, through)?;
    if let Some(&gradient) = found.get(&input) {
        return Ok(gradient);
    }
    let mut tape = Tape::new(model);
    let dt = tape.fact(input)?.datum_type;
    let zeros = Tensor::zero_dt(dt, &tape.shape(input)?)?;
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
    let mut tape = Tape::new(model);
    Ok(sweep(&mut tape, &[(output, cotangent)], &[input], through)?.0)
}

/// As [`cotangents`], for several (output, cotangent) pairs and several inputs, none of which depends on another.
pub(super) fn sweep(
    tape: &mut Tape<'_>,
    seeds: &[(OutletId, OutletId)],
    inputs: &[OutletId],
    through: &StraightThrough,
) -> TractResult<Cotangents> {
    let nodes = tape.model().nodes().to_vec();
    let depends = dependents(tape.model(), inputs)?;
    let order = tape.model().eval_order()?;
    let exact = through.is_none();
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
        let parents = floats(tape, node, &wants)
            .and_then(|(seen, outputs)| {
                let step = Step {
                    node: &seen,
                    outputs: &outputs,
                    cotangents: &arrived,
                    wants: &wants,
                    through,
                };
                vjp(tape, &step)
            })
            .with_context(|| format!("the gradient of {} (`{}`)", node.op.name(), node.name))?;
        for ((parent, contribution), _) in
            node.inputs.iter().zip(parents).zip(&wants).filter(|(_, wanted)| **wanted)
        {
            if let Some(contribution) = contribution {
                cotangents.add(tape, *parent, contribution)?;
            }
        }
    }
    Ok(cotangents)
}

/// The sum of the cotangents that arrived at each outlet so far.
#[derive(Debug, Default)]
pub(super) struct Cotangents(HashMap<OutletId, OutletId>);

impl Cotangents {
    pub(super) fn get(&self, outlet: OutletId) -> Option<OutletId> {
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
    through: &StraightThrough,
) -> TractResult<Vec<(String, String)>> {
    unsupported_between(model, &[output], &[input], through)
}

fn unsupported_between(
    model: &TypedModel,
    outputs: &[OutletId],
    inputs: &[OutletId],
    through: &StraightThrough,
) -> TractResult<Vec<(String, String)>> {
    let depends = dependents(model, inputs)?;
    let exact = through.is_none();
    let mut reached = vec![false; model.nodes().len()];
    outputs.iter().for_each(|output| reached[output.node] = true);
    let mut missing = vec![];
    for id in model.eval_order()?.into_iter().rev() {
        if !(reached[id] && depends[id]) || inputs.iter().any(|input| input.node == id) {
            continue;
        }
        let node = model.node(id);
        match rules::find(node.op.as_ref()) {
            Some(rule) if vjp(through, node, rule).is_none() => continue,
            Some(_) => {}
            None => missing.push((node.name.clone(), node.op.name().into_owned())),
        }
        let wants: TVec<bool> = node.inputs.iter().map(|parent| depends[parent.node]).collect();
        for part in rules::parts(node, &wants)? {
            let inner = unsupported_between(&part.body, &part.outputs, &part.inputs, through)?;
            let named = inner.into_iter().map(|(name, op)| (format!("{}/{name}", node.name), op));
            missing.extend(named.rev());
        }
        for parent in &node.inputs {
            reached[parent.node] |= !(exact && is_discrete(model.outlet_fact(*parent)?));
        }
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

/// Visits the nodes between `input` and `output`, from the output backwards. `see` says of each whether to go on to its
/// inputs.
pub(super) fn visit<'m>(
    model: &'m TypedModel,
    output: OutletId,
    input: OutletId,
    mut see: impl FnMut(&'m TypedNode) -> bool,
) -> TractResult<()> {
    let depends = dependents(model, &[input])?;
    let mut reached = vec![false; model.nodes().len()];
    reached[output.node] = true;
    for id in model.eval_order()?.into_iter().rev() {
        let node = model.node(id);
        if reached[id] && depends[id] && id != input.node && see(node) {
            node.inputs.iter().for_each(|parent| reached[parent.node] = true);
        }
    }
    Ok(())
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
