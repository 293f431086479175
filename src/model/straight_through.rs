//! Which nodes of a file the entries of [`ModelOptions::straight_through`](super::ModelOptions) name.

use std::collections::{BTreeSet, HashMap};

use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::*;

use super::guard::guard;
use super::refuse;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::grad::{self, Origin, StraightThrough};

/// The entry that means every node which rounds.
const ALL: &str = "all";

/// How many names a message or a note lists.
const LISTED: usize = 12;

/// The nodes of a file, as far as selecting some needs them.
#[derive(Debug)]
pub(super) struct FileNodes(Vec<FileNode>);

#[derive(Debug)]
struct FileNode {
    name: String,
    kind: String,
    /// Of a `QuantizeLinear`: the names of the nodes before it, up to a `DequantizeLinear`.
    chain: Vec<String>,
}

impl FileNodes {
    pub(super) fn new(graph: &GraphProto) -> Self {
        let mut nodes = vec![];
        collect(graph, &mut nodes);
        Self(nodes)
    }

    /// What `entries` select: "all", ONNX operators and node names.
    pub(super) fn select(&self, entries: &[String]) -> StraightThrough {
        if entries.iter().any(|entry| entry == ALL) {
            return StraightThrough::all(self.origins(|_| true));
        }
        let named = |node: &FileNode| entries.contains(&node.kind) || entries.contains(&node.name);
        StraightThrough::new(self.origins(named), entries.iter().cloned())
    }

    fn origins(&self, selected: impl Fn(&FileNode) -> bool) -> HashMap<String, Origin> {
        let mut origins: HashMap<String, Origin> = HashMap::new();
        for node in &self.0 {
            let origin = origins.entry(node.name.clone()).or_default();
            origin.kind.clone_from(&node.kind);
            origin.selected |= selected(node);
        }
        for before in self.0.iter().filter(|node| selected(node)).flat_map(|node| &node.chain) {
            origins.entry(before.clone()).or_default().before_selected = true;
        }
        origins
    }

    /// Refuses entries that select nothing between the input and the logits of `model`, and tells in a note what the
    /// others do.
    ///
    /// # Errors
    /// [`Error::Parameter`], which lists what could have been meant.
    pub(super) fn note(
        &self,
        name: &str,
        entries: &[String],
        model: &TypedModel,
    ) -> Result<Option<Finding>> {
        if entries.is_empty() {
            return Ok(None);
        }
        let passed = |entries: &[String]| -> Result<BTreeSet<String>> {
            let through = self.select(entries);
            let passed = between(name, model, |model, output, input| {
                grad::passed(model, output, input, &through)
            })?;
            Ok(passed.into_iter().map(|node| self.origin(node)).map(describe).collect())
        };
        let all = passed(&[ALL.into()])?;
        for entry in entries.iter().filter(|entry| *entry != ALL) {
            if passed(std::slice::from_ref(entry))?.is_empty() {
                let expected = if all.is_empty() {
                    "expected nothing: no node between input and logits rounds".into()
                } else {
                    format!("expected all, or an operator or node of: {}", list(&all))
                };
                return Err(Error::parameter("straight_through", entry, expected));
            }
        }
        let passed = passed(entries)?;
        let text = if passed.is_empty() {
            "no node between input and logits rounds: gradients are exact".into()
        } else {
            format!(
                "gradients are not the model's own: they pass straight through {}",
                list(&passed)
            )
        };
        Ok(Some(Finding::info("straight-through", text)))
    }

    /// The node of the file that (name, operator) of the graph belongs to.
    fn origin(&self, (name, kind): (String, String)) -> (String, String) {
        let through = self.select(&[]);
        let Some((name, origin)) = through.origin(&name) else {
            return (name, kind);
        };
        let (name, own) = (name.to_owned(), origin.kind.clone());
        // A table bears the name of the chain's beginning, and is selected by its end.
        let end = self.0.iter().find(|node| kind == node.kind && node.chain.contains(&name));
        match end.filter(|_| own != kind) {
            Some(end) => (end.name.clone(), kind),
            None => (name, own),
        }
    }

    /// The nodes of the file that cut every way back from the logits of `model`; none where there is a way.
    pub(super) fn cuts(
        &self,
        name: &str,
        model: &TypedModel,
        through: &StraightThrough,
    ) -> Result<Vec<(String, String)>> {
        let nodes = between(name, model, |model, output, input| {
            grad::unsupported(model, output, input, through)
        })?;
        if !nodes.is_empty() {
            return Err(Error::NotDifferentiable { model: name.into(), nodes });
        }
        let cuts =
            between(name, model, |model, output, input| grad::cuts(model, output, input, through))?;
        let mut nodes: Vec<(String, String)> = vec![];
        for node in cuts.unwrap_or_default() {
            let node = self.origin(node);
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        Ok(nodes)
    }
}

/// Asks something of the graph between its input and its logits.
fn between<T>(
    name: &str,
    model: &TypedModel,
    ask: impl FnOnce(&TypedModel, OutletId, OutletId) -> TractResult<T>,
) -> Result<T> {
    guard(|| ask(model, model.output_outlets()?[0], model.input_outlets()?[0]))
        .map_err(|cause| Error::model(name, "its gradient cannot be traced", cause))
}

/// Every node, those of inner graphs included.
fn collect(graph: &GraphProto, nodes: &mut Vec<FileNode>) {
    let makers: HashMap<&str, &NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)))
        .collect();
    let before = |node: &NodeProto| node.input.first().and_then(|input| makers.get(input.as_str()));
    for node in &graph.node {
        let mut chain = vec![];
        if node.op_type == "QuantizeLinear" {
            let mut at = before(node);
            // No longer than the graph, lest a file with a cycle never ends.
            while let Some(earlier) = at.filter(|_| chain.len() < graph.node.len()) {
                chain.push(refuse::name(earlier));
                at = if earlier.op_type == "DequantizeLinear" { None } else { before(earlier) };
            }
        }
        nodes.push(FileNode { name: refuse::name(node), kind: node.op_type.clone(), chain });
        for attribute in &node.attribute {
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                collect(inner, nodes);
            }
        }
    }
}

fn describe((name, kind): (String, String)) -> String {
    format!("{kind} (`{name}`)")
}

fn list(nodes: &BTreeSet<String>) -> String {
    let text = nodes.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match nodes.len().saturating_sub(LISTED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}
