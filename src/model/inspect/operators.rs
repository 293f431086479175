//! The operators on the way from the input to the logits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

use super::Interface;
use crate::error::{Error, Result};
use crate::grad::{GradientStatus, statuses};
use crate::model::Model;

/// An operator of tract's simplified graph, how often it occurs and how gradients pass it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorUse {
    /// Its name in tract.
    pub op: String,
    /// How many nodes between the attacked input and the logits have it.
    pub count: usize,
    /// How gradients pass it.
    pub status: GradientStatus,
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRef {
    /// Its name in the file; that in tract's graph, where it stands for no node of the file.
    pub node: String,
    /// Its operator's name in tract.
    pub op: String,
}

impl NodeRef {
    /// A node of tract's graph, by the name of the node of the file that it stands for.
    pub(super) fn new(interface: &Interface, node: &TypedNode) -> Self {
        let name = interface.node_of(&node.name).unwrap_or(&node.name);
        Self { node: name.into(), op: node.op.name().into_owned() }
    }
}

impl Model {
    /// The operators between the attacked input and the logits, in alphabetical order.
    ///
    /// # Errors
    /// When the graph cannot be made, as when the model was loaded.
    pub fn operators(&self) -> Result<Vec<OperatorUse>> {
        let mut counts = BTreeMap::new();
        self.each_between(|node, status| {
            *counts.entry((node.op.name().into_owned(), status)).or_insert(0) += 1;
        })?;
        let uses = counts.into_iter();
        Ok(uses.map(|((op, status), count)| OperatorUse { op, count, status }).collect())
    }

    /// The nodes between the attacked input and the logits without a gradient rule, in the order of evaluation.
    ///
    /// # Errors
    /// As [`operators`](Self::operators).
    pub fn unsupported(&self) -> Result<Vec<NodeRef>> {
        let mut nodes = vec![];
        self.each_between(|node, status| {
            if status == GradientStatus::Unsupported {
                nodes.push(NodeRef::new(self.interface(), node));
            }
        })?;
        Ok(nodes)
    }

    fn each_between(&self, mut see: impl FnMut(&TypedNode, GradientStatus)) -> Result<()> {
        let graph = &self.runner.graph;
        let (model, _) = graph.forward(1)?;
        let found = model.output_outlets().and_then(|outputs| {
            statuses(&model, outputs[0], model.input_outlets()?[0], &graph.through)
        });
        let found = found
            .map_err(|cause| Error::model(&graph.name, "its nodes cannot be listed", cause))?;
        found.into_iter().for_each(|(id, status)| see(model.node(id), status));
        Ok(())
    }
}
