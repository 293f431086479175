//! The part of a protobuf graph between some tensors: what else a file holds need not be understood.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{
    GraphProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto,
    type_proto,
};

/// Which node computes each tensor.
pub(super) fn producers(graph: &GraphProto) -> HashMap<&str, &NodeProto> {
    let outputs = |node| NodeProto::output_names(node).map(move |output| (output, node));
    graph.node.iter().flat_map(outputs).collect()
}

/// The inputs that a caller gives: those without an initial value.
pub(super) fn inputs(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let names = graph.input.iter().map(|input| input.name.as_str());
    names.filter(move |name| !constants.contains(name))
}

/// Every tensor that a node reads, in nested graphs too.
fn reads<'a>(node: &'a NodeProto, tensors: &mut Vec<&'a str>) {
    tensors.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
    for attribute in &node.attribute {
        for inner in attribute.g.iter().chain(&attribute.graphs) {
            inner.node.iter().for_each(|node| reads(node, tensors));
            tensors.extend(inner.output.iter().map(|output| output.name.as_str()));
        }
    }
}

/// Keeps what `outputs` are computed from, and makes them the graph's only outputs. A computed tensor `stop` becomes an input
/// instead of being computed. The inputs that remain are those that the output depends on.
pub(super) fn prune(graph: &mut GraphProto, outputs: &[&str], stop: Option<ValueInfoProto>) {
    let stopped = stop.as_ref().map(|stop| stop.name.clone());
    let mut needed: HashSet<String> = HashSet::new();
    let mut kept: HashSet<usize> = HashSet::new();
    {
        let by_output: HashMap<&str, usize> = graph
            .node
            .iter()
            .enumerate()
            .flat_map(|(index, node)| node.output_names().map(move |output| (output, index)))
            .collect();
        let mut open = outputs.to_vec();
        while let Some(tensor) = open.pop() {
            if !needed.insert(tensor.into()) || stopped.as_deref() == Some(tensor) {
                continue;
            }
            if let Some(&index) = by_output.get(tensor).filter(|index| kept.insert(**index)) {
                reads(&graph.node[index], &mut open);
            }
        }
    }
    let mut index = 0..;
    graph.node.retain(|_| index.next().is_some_and(|index| kept.contains(&index)));
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    graph.input.retain(|input| needed.contains(&input.name));
    graph.input.extend(stop.filter(|stop| needed.contains(&stop.name)));
    let declared = std::mem::take(&mut graph.output);
    let info = |name: &&str| {
        let known = declared.iter().find(|known| known.name == *name).cloned();
        known
            .unwrap_or_else(|| ValueInfoProto { name: (*name).into(), ..ValueInfoProto::default() })
    };
    graph.output = outputs.iter().map(info).collect();
}

/// A float input of this shape (none: open), for [`prune`].
pub(super) fn declare(name: &str, elem_type: i32, shape: &[Option<usize>]) -> ValueInfoProto {
    let dim = |len: &Option<usize>| tensor_shape_proto::Dimension {
        value: len.map(|len| tensor_shape_proto::dimension::Value::DimValue(len as i64)),
        ..tensor_shape_proto::Dimension::default()
    };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(dim).collect() });
    let value = Some(Value::TensorType(type_proto::Tensor { elem_type, shape }));
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value, ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

/// The names of what a node computes.
pub(super) trait OutputNames {
    /// Without the optional ones that the file leaves out.
    fn output_names(&self) -> impl Iterator<Item = &str>;
}

impl OutputNames for NodeProto {
    fn output_names(&self) -> impl Iterator<Item = &str> {
        self.output.iter().map(String::as_str).filter(|name| !name.is_empty())
    }
}
