//! What loading showed, in words.

use super::graph::Graph;
use super::logits::{Logits, Tail};
use crate::finding::Finding;

/// The tensor whose values are the attacked scores.
pub(super) fn tensor(graph: &Graph, logits: &Logits) -> String {
    let before = logits.node.as_deref().and_then(|node| graph.parsed.nodes.first_input(node));
    before.unwrap_or(&graph.scores.tensor).into()
}

/// What a reader of a report must know of the attacked tensors.
pub(super) fn notes(graph: &Graph, logits: &Logits) -> Vec<Finding> {
    let output = &graph.output;
    let mut notes = vec![];
    if let Some(inner) = &graph.inner {
        let from: Vec<String> =
            inner.sources().map(|source| format!("`{}`", source.name)).collect();
        notes.push(Finding::info(
            "inner-tensor",
            format!(
                "the inner tensor `{}` is attacked, computed from {}: budgets are in its units",
                inner.tensor,
                from.join(", ")
            ),
        ));
    }
    let scores = &graph.scores;
    if !scores.skipped.is_empty() {
        notes.push(Finding::info(
            "scores-behind-labels",
            format!(
                "output `{output}` is read out of the scores in `{}` by {}: the scores are attacked, and the class with \
                 the largest one is the prediction",
                scores.tensor,
                scores.skipped.join(", ")
            ),
        ));
    }
    let node = logits.node.as_deref().unwrap_or_default();
    let tail = match logits.tail {
        Tail::None => None,
        Tail::Softmax => Some("softmax"),
        Tail::LogSoftmax => Some("log-softmax"),
        Tail::Sigmoid => Some("sigmoid"),
    };
    if let Some(tail) = tail {
        let independent = if logits.tail == Tail::Sigmoid && !logits.binary {
            format!(
                "; its {} outputs are independent yes-or-no scores, and the class with the largest is the prediction",
                logits.classes
            )
        } else {
            String::new()
        };
        let text = format!(
            "output `{output}` ends in a {tail} (`{node}`): the tensor before it is attacked{independent}"
        );
        notes.push(Finding::info("logits-before-activation", text).at(logits.node.clone()));
    }
    if logits.binary {
        notes.push(Finding::info(
            "binary",
            format!(
                "output `{output}` holds one score z: it is taken as two classes with logits [0, z]"
            ),
        ));
    }
    for source in graph.parsed.sources.iter().filter(|source| source.name != graph.input) {
        let value = match source.constant.as_deref() {
            Some([one]) => format!("{one} for every sample"),
            Some(_) => "the same for every sample".into(),
            None => "taken from the data set, sample by sample".into(),
        };
        notes.push(Finding::info(
            "further-input",
            format!("input `{}` is not attacked: it is {value}", source.name),
        ));
    }
    notes
}
