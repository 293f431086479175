//! What tract says when it cannot read or type a file, in the words of the file.

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::*;

use super::refuse::name;
use crate::error::{Error, Result};

/// What is said of an operator that tract does not know.
pub(super) const UNKNOWN: &str = "tract has no such operator";

/// Refuses operators that tract does not know, all of them at once.
///
/// # Errors
/// [`Error::Node`] for the first such node; the message names the others.
pub(super) fn expect_known(model: &str, onnx: &Onnx, graph: &GraphProto) -> Result<()> {
    let mut unknown = vec![];
    collect_unknown(onnx, graph, &mut unknown);
    let Some((first, others)) = unknown.split_first() else { return Ok(()) };
    let others: Vec<String> =
        others.iter().map(|node| format!("{} (`{}`)", node.op_type, name(node))).collect();
    let more = if others.is_empty() {
        String::new()
    } else {
        format!("; nor does it know {}", others.join(", "))
    };
    Err(Error::Node {
        model: model.into(),
        node: name(first),
        op: qualified(first),
        problem: format!("{UNKNOWN}: the model cannot be run{more}"),
        source: None,
    })
}

fn collect_unknown<'a>(onnx: &Onnx, graph: &'a GraphProto, unknown: &mut Vec<&'a NodeProto>) {
    for node in &graph.node {
        if !onnx.op_register.0.contains_key(&node.op_type) {
            unknown.push(node);
        }
        for inner in node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)) {
            collect_unknown(onnx, inner, unknown);
        }
    }
}

fn qualified(node: &NodeProto) -> String {
    if node.domain.is_empty() || node.domain == "ai.onnx" {
        node.op_type.clone()
    } else {
        format!("{}.{}", node.domain, node.op_type)
    }
}

/// The nodes of a file by name, for messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<Named>);

#[derive(Clone, Debug)]
struct Named {
    node: String,
    op: String,
    /// The first tensor that it reads.
    input: String,
}

impl Names {
    pub(super) fn of(graph: &GraphProto) -> Self {
        let named = |node: &NodeProto| Named {
            node: name(node),
            op: qualified(node),
            input: node.input.first().cloned().unwrap_or_default(),
        };
        Self(graph.node.iter().map(named).collect())
    }

    /// A failure of tract's, with the node of the file that it stumbled over where its message names one.
    pub(super) fn explain(
        &self,
        model: &str,
        problem: impl Into<String>,
        cause: TractError,
    ) -> Error {
        let node = cause.chain().find_map(|cause| self.find(mentioned(&cause.to_string())?));
        match (node, Error::model(model, problem, cause)) {
            (Some(Named { node, op, .. }), Error::Model { model, problem, source }) => {
                Error::Node { model, node: node.clone(), op: op.clone(), problem, source }
            }
            (_, error) => error,
        }
    }

    /// The tensor that a node of tract's reads first, as the file calls it.
    pub(super) fn first_input(&self, typed: &str) -> Option<&str> {
        self.find(typed).map(|named| named.input.as_str())
    }

    /// The node of the file that a node of tract's was made for.
    fn find(&self, typed: &str) -> Option<&Named> {
        // tract appends to the name where one node of the file becomes several.
        let made_for = |name: &str| {
            let rest = typed.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.0.iter().filter(|named| made_for(&named.node)).max_by_key(|named| named.node.len())
    }
}

/// The node that a message of tract's names: `node #7 "name" Op`, or `Building node name (Op)`.
fn mentioned(text: &str) -> Option<&str> {
    let line = text.lines().next()?;
    if let Some(rest) = line.strip_prefix("Building node ") {
        return rest.rsplit_once(" (").map(|(name, _)| name);
    }
    let rest = line.split_once("node #")?.1;
    let quoted = rest.split_once('"')?.1;
    quoted.split_once('"').map(|(name, _)| name)
}
