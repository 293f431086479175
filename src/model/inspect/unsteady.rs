//! Nodes that give the same input another output from run to run, or that were left as they are in training.

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use crate::finding::Finding;
use crate::model::refuse::name;

/// The operators that draw random numbers.
const RANDOM: [&str; 6] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
];

/// Random operators and dropout in training mode, among the nodes that `output` depends on.
pub(in crate::model) fn unsteady(graph: &GraphProto, output: &str) -> Vec<Finding> {
    let (mut random, mut dropout) = (vec![], vec![]);
    for (graph, node) in needed(graph, output) {
        match node.op_type.as_str() {
            op if RANDOM.contains(&op) => random.push(name(node)),
            "Dropout" if drops(graph, node) => dropout.push(name(node)),
            _ => {}
        }
    }
    let found =
        |nodes: Vec<String>, finding: Finding| (!nodes.is_empty()).then(|| finding.at(nodes));
    let export =
        "export the model in evaluation mode: model.eval() in PyTorch, training=False in Keras";
    [
        found(
            random,
            Finding::warning("random-operators", "the graph draws random numbers")
                .remedy("remove the random nodes, or fix what they draw"),
        ),
        found(
            dropout,
            Finding::error(
                "dropout-training",
                "the graph drops values at random, as in training; tract does not run that",
            )
            .remedy(export),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The nodes that `output` depends on, those of nested graphs included, with the graph that each stands in.
fn needed<'a>(graph: &'a GraphProto, output: &'a str) -> Vec<(&'a GraphProto, &'a NodeProto)> {
    let mut tensors = HashSet::from([output]);
    let mut nodes = vec![];
    // Nodes are listed in an order of evaluation.
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|tensor| tensors.contains(tensor.as_str())) {
            take(graph, node, &mut tensors, &mut nodes);
        }
    }
    nodes.reverse();
    nodes
}

fn take<'a>(
    graph: &'a GraphProto,
    node: &'a NodeProto,
    tensors: &mut HashSet<&'a str>,
    nodes: &mut Vec<(&'a GraphProto, &'a NodeProto)>,
) {
    tensors.extend(node.input.iter().map(String::as_str));
    nodes.push((graph, node));
    for attribute in &node.attribute {
        for inner in attribute.g.iter().chain(&attribute.graphs) {
            inner.node.iter().rev().for_each(|node| take(inner, node, tensors, nodes));
        }
    }
}

/// Whether a dropout drops values: from opset 12 on its third input says so. An unknown value counts as a yes.
fn drops(graph: &GraphProto, node: &NodeProto) -> bool {
    let input = |slot: usize| node.input.get(slot).filter(|tensor| !tensor.is_empty());
    let may_be_set = |tensor: &String| constant(graph, tensor).is_none_or(is_nonzero);
    input(2).is_some_and(may_be_set) && input(1).is_none_or(may_be_set)
}

fn constant<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a TensorProto> {
    let stored = graph.initializer.iter().find(|stored| stored.name == tensor);
    let computed = || {
        let node = graph.node.iter().find(|node| node.output.iter().any(|out| out == tensor))?;
        let value = node.attribute.iter().find(|attribute| attribute.name == "value")?;
        value.t.as_ref().filter(|_| node.op_type == "Constant")
    };
    stored.or_else(computed)
}

fn is_nonzero(tensor: &TensorProto) -> bool {
    tensor.raw_data.iter().any(|byte| *byte != 0)
        || tensor.int32_data.iter().any(|value| *value != 0)
        || tensor.int64_data.iter().any(|value| *value != 0)
        || tensor.float_data.iter().any(|value| *value != 0.0)
        || tensor.double_data.iter().any(|value| *value != 0.0)
}
