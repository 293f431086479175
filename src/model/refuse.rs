//! Nodes that tract runs without a word, and wrongly.

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::Rem;
use tract_transformers::ops::sdpa::Sdpa;

use crate::error::{Error, Result};

/// Attributes that tract-onnx 0.23.9 reads past or applies wrongly: (operators, attribute).
const IGNORED: &[(&[&str], &str)] = &[
    (&["Celu"], "alpha"),
    (&["GRU", "LSTM", "RNN"], "activations"),
    (&["GRU", "LSTM", "RNN"], "clip"),
    (&["LSTM"], "input_forget"),
    (&["QuantizeLinear"], "output_dtype"),
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

/// Refuses what tract 0.23.9 computes wrongly: a remainder whose dividend is broadcast, which it takes to be commutative
/// and swaps, and attention with a boolean mask, which it adds to the scores as zeros and ones.
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
    let masked = model.nodes().iter().find(|node| {
        let mask = node.inputs.get(3).and_then(|mask| model.outlet_fact(*mask).ok());
        node.op_is::<Sdpa>() && mask.is_some_and(|mask| !mask.datum_type.is_float())
    });
    let (node, op, problem) = match (swapped, masked) {
        (Some(node), _) => (
            node,
            "Mod",
            "tract swaps the operands of a remainder whose dividend is broadcast, so its result would be wrong; \
             expand the dividend to the divisor's shape",
        ),
        (None, Some(node)) => (
            node,
            "Attention",
            "tract adds a boolean mask as zeros and ones, so its result would be wrong; make it one of floats, 0 \
             where a key is seen and -inf where not",
        ),
        (None, None) => return Ok(()),
    };
    Err(Error::Node {
        model: name.into(),
        node: node.name.clone(),
        op: op.into(),
        problem: problem.into(),
        source: None,
    })
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
            // Without a zero point tract takes u8 (2).
            "output_dtype" => node.input.len() < 3 && !matches!(attribute.i, 0 | 2),
            _ => attribute.i != 0,
        }
}
