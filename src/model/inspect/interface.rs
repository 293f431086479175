//! What a file declares: its inputs, its outputs, the names of its nodes.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, ValueInfoProto, type_proto};

use crate::model::refuse::name;
use crate::model::{Classifier, Model};

/// A tensor that a file declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// What it holds, in ONNX's words: "float", "int64", ...
    pub r#type: String,
    /// Its axes: a number, a name, or "?".
    pub shape: Vec<String>,
}

/// The inputs and outputs of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The inputs that are not stored in the file.
    pub inputs: Vec<TensorInfo>,
    /// The outputs.
    pub outputs: Vec<TensorInfo>,
    /// The names of the nodes.
    nodes: HashSet<String>,
}

impl Interface {
    pub(in crate::model) fn of(graph: &GraphProto) -> Self {
        let stored: HashSet<&str> =
            graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let given = graph.input.iter().filter(|input| !stored.contains(input.name.as_str()));
        Self {
            inputs: given.map(tensor).collect(),
            outputs: graph.output.iter().map(tensor).collect(),
            nodes: graph.node.iter().map(name).collect(),
        }
    }

    /// The node of the file that a node of tract's graph stands for: it is named after it, with a suffix where it is a
    /// part of it.
    pub(super) fn node_of<'a>(&self, node: &'a str) -> Option<&'a str> {
        let mut name = node;
        while !self.nodes.contains(name) {
            name = name.rsplit_once('.')?.0;
        }
        Some(name)
    }
}

impl Model {
    /// What the file declares.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.runner.graph.interface
    }

    /// The tensor that is attacked, by its name in the file, and why it was chosen.
    ///
    /// # Errors
    /// When the graph cannot be made, as when the model was loaded.
    pub fn logits_tensor(&self) -> crate::Result<(String, String)> {
        let graph = &self.runner.graph;
        let (_, logits) = graph.forward(1)?;
        let (output, scores) = (&graph.output, &graph.scores);
        let declared = graph.interface.outputs.iter().position(|known| known.name == *output);
        let which = match declared {
            Some(0) if graph.interface.outputs.len() == 1 => "the only output",
            Some(0) => "the first output",
            Some(_) => "the output asked for",
            None => "the tensor asked for",
        };
        let readers = scores.skipped.join(", ");
        let reason = match (&logits.node, scores.skipped.is_empty()) {
            (None, true) => format!("{which} of the graph"),
            (None, false) => format!("{which}, `{output}`, is read out of it by {readers}"),
            (Some(bypassed), true) => {
                format!("stands before `{bypassed}`, in which {which}, `{output}`, ends")
            }
            (Some(bypassed), false) => format!(
                "stands before `{bypassed}`, in which `{}` ends; {which}, `{output}`, is read out of that by {readers}",
                scores.tensor
            ),
        };
        Ok((self.info().logits.clone(), reason))
    }
}

fn tensor(value: &ValueInfoProto) -> TensorInfo {
    let declared = value.r#type.as_ref().and_then(|declared| declared.value.as_ref());
    let (dt, shape) = match declared {
        Some(type_proto::Value::TensorType(tensor)) => (tensor.elem_type, tensor.shape.as_ref()),
        _ => (0, None),
    };
    let dims = shape.map_or(&[][..], |shape| &shape.dim[..]).iter();
    let dim = |value: &Option<dimension::Value>| match value {
        Some(dimension::Value::DimValue(len)) => len.to_string(),
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => name.clone(),
        _ => "?".into(),
    };
    TensorInfo {
        name: value.name.clone(),
        r#type: DataType::try_from(dt)
            .map_or("unknown".into(), |dt| format!("{dt:?}").to_lowercase()),
        shape: dims.map(|axis| dim(&axis.value)).collect(),
    }
}
