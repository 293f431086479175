//! Nodes that tract runs without a word, and wrongly.

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::logic::IfThenElse;
use tract_onnx::tract_core::ops::math::Rem;

use super::guard::guard;
use crate::error::{Error, Result};

/// Attributes that tract-onnx 0.23.9 reads past or applies wrongly: (operators, attribute).
const IGNORED: &[(&[&str], &str)] = &[
    (&["Celu"], "alpha"),
    (&["GRU", "LSTM", "RNN"], "activations"),
    (&["GRU", "LSTM", "RNN"], "clip"),
    (&["GRU", "LSTM", "RNN"], "direction"),
    (&["LSTM"], "input_forget"),
];

/// Refuses a graph with a node whose result tract would get wrong.
///
/// # Errors
/// [`Error::Node`] with the node's name and the attribute.
pub(super) fn refuse(model: &str, graph: &GraphProto) -> Result<()> {
    for node in &graph.node {
        for attribute in &node.attribute {
            if matters(node, attribute) {
                return Err(Error::Node {
                    model: model.into(),
                    node: name(node),
                    op: node.op_type.clone(),
                    problem: format!(
                        "tract does not honour its attribute `{}`, so its result would be wrong; export the model without it",
                        attribute.name
                    ),
                    source: None,
                });
            }
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                refuse(model, inner)?;
            }
        }
    }
    Ok(())
}

/// Refuses a remainder whose dividend is broadcast: tract 0.23.9 takes it to be commutative and swaps the operands.
///
/// # Errors
/// [`Error::Node`] with the node's name.
pub(super) fn refuse_typed(name: &str, model: &TypedModel) -> Result<()> {
    let elements = |outlet: OutletId| -> Option<usize> {
        let shape = &model.outlet_fact(outlet).ok()?.shape;
        shape.as_concrete().map(|shape| shape.iter().product())
    };
    let swapped = model.nodes().iter().find(|node| {
        node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Rem>())
            && elements(node.inputs[0]) < elements(node.inputs[1])
    });
    match swapped {
        None => Ok(()),
        Some(node) => Err(Error::Node {
            model: name.into(),
            node: node.name.clone(),
            op: "Mod".into(),
            problem: "tract swaps the operands of a remainder whose dividend is broadcast, so its result would be \
                      wrong; expand the dividend to the divisor's shape"
                .into(),
            source: None,
        }),
    }
}

/// Refuses a choice between a constant and something else that depends on the data: tract 0.23.9 takes it to be the
/// constant whenever that stands in the `then_branch`.
///
/// # Errors
/// [`Error::Node`] with the node's name.
pub(super) fn refuse_branches(name: &str, model: &TypedModel) -> Result<()> {
    for node in model.nodes() {
        let Some(op) = node.op_as::<IfThenElse>() else { continue };
        let constant = |outlet: &OutletId| {
            op.then_body.outlet_fact(*outlet).is_ok_and(|fact| fact.konst.is_some())
        };
        if op.then_body.outputs.iter().any(constant) && !is_constant(model, node.inputs[0]) {
            return Err(Error::Node {
                model: name.into(),
                node: node.name.clone(),
                op: "If".into(),
                problem: "tract takes a constant `then_branch` to be the result whatever the condition, so its result \
                          would be wrong; negate the condition and swap the branches"
                    .into(),
                source: None,
            });
        }
    }
    Ok(())
}

/// Whether a tensor turns out to be constant.
fn is_constant(model: &TypedModel, outlet: OutletId) -> bool {
    let simplified = || -> TractResult<bool> {
        let mut model = model.clone();
        model.select_output_outlets(&[outlet])?;
        Ok(model.into_decluttered()?.output_fact(0)?.konst.is_some())
    };
    guard(simplified).unwrap_or(false)
}

/// A node's name, or that of its first output where it has none.
pub(super) fn name(node: &NodeProto) -> String {
    if node.name.is_empty() {
        node.output.first().cloned().unwrap_or_default()
    } else {
        node.name.clone()
    }
}

/// Whether an ignored attribute is there with a value other than the one that tract assumes.
fn matters(node: &NodeProto, attribute: &AttributeProto) -> bool {
    let ignored = IGNORED
        .iter()
        .any(|(ops, name)| ops.contains(&node.op_type.as_str()) && attribute.name == *name);
    ignored
        && match attribute.name.as_str() {
            "activations" => {
                let defaults: &[&str] = match node.op_type.as_str() {
                    "GRU" => &["Sigmoid", "Tanh"],
                    "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
                    _ => &["Tanh"],
                };
                let given = attribute.strings.iter().map(|text| String::from_utf8_lossy(text));
                !given.eq(defaults.iter().copied().cycle().take(attribute.strings.len()))
            }
            "alpha" => (attribute.f - 1.0).abs() > 0.0,
            "clip" => attribute.f > 0.0,
            "direction" => attribute.s == b"reverse",
            _ => attribute.i != 0,
        }
}
