//! The scores behind an output that only names the winner: found upstream, by the graph.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::refuse::name;
use super::subgraph::producers;

/// The tensor that holds the scores of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scores {
    pub tensor: String,
    /// The nodes between it and the output, nearest to the output first, as "Op (`node`)"; none when the output holds the
    /// scores itself.
    pub skipped: Vec<String>,
}

/// What a node on the way from scores to an output does.
enum Step<'a> {
    /// Reads a label (or a map of probabilities) out of the scores in this tensor.
    Reads(&'a str),
    /// Renames or reshapes this tensor.
    Passes(&'a str),
    /// One of these tensors is the label, the others replace it.
    Chooses([&'a str; 2]),
    /// Computes something of its own.
    Stops,
}

/// Walks back from `output` over what names a winner (`ArgMax`, a `ZipMap`, a table of class names, a threshold's
/// `Where`) to the scores. Where nothing of that kind is found, the output itself is given.
pub(super) fn find(graph: &GraphProto, output: &str) -> Scores {
    let producers = producers(graph);
    let found = walk(graph, &producers, output, graph.node.len());
    let (tensor, skipped) = found.unwrap_or((output, vec![]));
    Scores { tensor: tensor.into(), skipped }
}

fn walk<'a>(
    graph: &'a GraphProto,
    producers: &HashMap<&str, &'a NodeProto>,
    from: &'a str,
    limit: usize,
) -> Option<(&'a str, Vec<String>)> {
    let node = *producers.get(from)?;
    let limit = limit.checked_sub(1)?;
    let further = |tensor| walk(graph, producers, tensor, limit);
    let (tensor, mut skipped) = match step(graph, node, from) {
        Step::Reads(scores) => further(scores).unwrap_or((scores, vec![])),
        Step::Passes(tensor) => further(tensor)?,
        Step::Chooses(tensors) => tensors.into_iter().find_map(further)?,
        Step::Stops => return None,
    };
    skipped.insert(0, format!("{} (`{}`)", node.op_type, name(node)));
    Some((tensor, skipped))
}

fn step<'a>(graph: &GraphProto, node: &'a NodeProto, output: &str) -> Step<'a> {
    let input = |slot: usize| node.input.get(slot).map(String::as_str).filter(|s| !s.is_empty());
    let constant = |tensor: &str| graph.initializer.iter().any(|known| known.name == tensor);
    let is_first = node.output.first().is_some_and(|first| first == output);
    let found = match node.op_type.as_str() {
        "ArgMax" | "Hardmax" | "ZipMap" => input(0).map(Step::Reads),
        "TopK" if !is_first => input(0).map(Step::Reads),
        // The labels; the second output holds the scores.
        "LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" if is_first => {
            node.output.get(1).map(|scores| Step::Reads(scores))
        }
        // What a classifier's scores are, scaled by their sum.
        "Normalizer" => input(0).map(Step::Reads),
        "ArrayFeatureExtractor" => input(1).map(Step::Passes),
        "Gather" if input(0).is_some_and(constant) => input(1).map(Step::Passes),
        "Cast" | "Flatten" | "Identity" | "LabelEncoder" | "Reshape" | "Squeeze" | "Transpose"
        | "Unsqueeze" => input(0).map(Step::Passes),
        "Where" => input(1).zip(input(2)).map(|(a, b)| Step::Chooses([a, b])),
        _ => None,
    };
    found.unwrap_or(Step::Stops)
}
