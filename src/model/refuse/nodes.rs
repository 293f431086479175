//! A file's nodes against the table.

use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

use super::table::REFUSALS;
use crate::error::{Error, Result};

/// The domains whose operators tract's importer is written for. It looks operators up by name alone.
const DOMAINS: &[&str] = &["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// A node as the table's predicates see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub proto: &'a NodeProto,
    /// The graph that the node is in.
    pub graph: &'a GraphProto,
    /// The operator set of ONNX's own domain.
    pub opset: i64,
}

impl<'a> Node<'a> {
    pub(super) fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An integer attribute, or its default.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// A float attribute, or its default.
    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    /// A text attribute, or its default.
    pub(super) fn text(&self, name: &str, default: &'a str) -> &'a str {
        let text = self.attribute(name).map(|attribute| attribute.s.as_slice());
        text.map_or(default, |text| std::str::from_utf8(text).unwrap_or_default())
    }

    /// A list of integers, empty where it is not given.
    pub(super) fn ints(&self, name: &str) -> &'a [i64] {
        self.attribute(name).map_or(&[], |attribute| &attribute.ints)
    }

    /// Whether an optional input is given.
    pub(super) fn has_input(&self, slot: usize) -> bool {
        self.proto.input.get(slot).is_some_and(|name| !name.is_empty())
    }
}

/// Refuses a file with a node whose result tract would get wrong.
///
/// # Errors
/// [`Error::Node`] with the node's name and the attribute or input.
pub(in crate::model) fn refuse(model: &str, proto: &ModelProto) -> Result<()> {
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let opset = proto.opset_import.iter().find(|import| own(&import.domain));
    let opset = opset.map_or(0, |import| import.version);
    proto.graph.as_ref().map_or(Ok(()), |graph| refuse_graph(model, graph, opset))
}

fn refuse_graph(model: &str, graph: &GraphProto, opset: i64) -> Result<()> {
    for proto in &graph.node {
        let node = Node { proto, graph, opset };
        if let Some(problem) = problem(&node) {
            return Err(Error::Node {
                model: model.into(),
                node: name(proto),
                op: proto.op_type.clone(),
                problem,
                source: None,
            });
        }
        for attribute in &proto.attribute {
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                refuse_graph(model, inner, opset)?;
            }
        }
    }
    Ok(())
}

/// What is wrong with a node.
fn problem(node: &Node<'_>) -> Option<String> {
    let domain = node.proto.domain.as_str();
    let op = node.proto.op_type.as_str();
    if !DOMAINS.contains(&domain) && tract_onnx::onnx().op_register.0.contains_key(op) {
        return Some(format!(
            "it is an operator of the domain `{domain}`, which tract would take for ONNX's of the same name; export \
             the model with ONNX's own operators"
        ));
    }
    let row = REFUSALS.iter().find(|row| row.operators.contains(&op) && (row.is_wrong)(node))?;
    Some(format!(
        "tract does not honour its {}: {}, so its result would be wrong; {}",
        row.part, row.instead, row.remedy
    ))
}

/// A node's name, or that of its first output where it has none.
pub(in crate::model) fn name(node: &NodeProto) -> String {
    let names = std::iter::once(&node.name).chain(&node.output);
    names.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_default()
}
