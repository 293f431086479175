//! The crate's one error type.

use std::path::PathBuf;

/// What went wrong below, kept as the source of an [`Error`].
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. Messages are lower-case fragments that fit after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A model file that is there but cannot be used.
    #[error("{model}: {problem}")]
    Model {
        /// The model's path or name.
        model: String,
        /// What was found, what was expected and what to do.
        problem: String,
        /// What tract said.
        #[source]
        source: Option<Cause>,
    },
    /// A node of the graph that would run wrongly or cannot be run.
    #[error("{model}: node `{node}` ({op}): {problem}")]
    Node {
        /// The model's path or name.
        model: String,
        /// The node's name.
        node: String,
        /// The ONNX or tract operator.
        op: String,
        /// What is wrong with it.
        problem: String,
        /// What tract said.
        #[source]
        source: Option<Cause>,
    },
    /// Nodes between the attacked input and the loss whose operator has no gradient rule.
    #[error("{model}: no gradient rule for {}", list(nodes))]
    NotDifferentiable {
        /// The model's path or name.
        model: String,
        /// Every such node, as (name, operator).
        nodes: Vec<(String, String)>,
    },
    /// A tensor name that the graph does not have.
    #[error("{model}: no {role} named `{name}`; the model has {}", quoted(available))]
    UnknownTensor {
        /// The model's path or name.
        model: String,
        /// "input" or "output".
        role: &'static str,
        /// The name asked for.
        name: String,
        /// The names that exist.
        available: Vec<String>,
    },
    /// Data that cannot be used: wrong file, key, type, shape or value.
    #[error("{file}: {problem}")]
    Data {
        /// The file, or "data" when it came from memory.
        file: String,
        /// The key, index and value at fault, what was expected and what to do.
        problem: String,
        /// What the reading library said.
        #[source]
        source: Option<Cause>,
    },
    /// A setting outside its range.
    #[error("`{field}` is {value}: {expected}")]
    Parameter {
        /// The setting's name.
        field: String,
        /// The value given.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// A text that is not one of the choices.
    #[error("unknown {what} `{name}`, expected one of {}", quoted(choices))]
    Unknown {
        /// What was being named: "attack", "norm", …
        what: &'static str,
        /// The name given.
        name: String,
        /// The names that exist.
        choices: Vec<String>,
    },
    /// A model returned a NaN or infinite logit.
    #[error("sample {sample}: logit {class} is {value}; a prediction needs finite logits")]
    NonFiniteLogit {
        /// The sample's index in the data set.
        sample: usize,
        /// The class whose logit it is.
        class: usize,
        /// The value.
        value: f32,
    },
    /// A model returned a NaN or infinite gradient.
    #[error(
        "sample {sample}: the gradient of feature {feature} is {value}, expected a finite number"
    )]
    NonFiniteGradient {
        /// The sample's index in the data set.
        sample: usize,
        /// The feature's index in the sample.
        feature: usize,
        /// The value.
        value: f32,
    },
    /// An attack asked more often than it may.
    #[error("sample {sample}: the limit of {limit} queries per sample is used up")]
    QueryLimit {
        /// The sample's index in the data set.
        sample: usize,
        /// The limit.
        limit: u64,
    },
    /// The run was asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    /// Whether the fault lies in a model file that is there but cannot be parsed, typed or differentiated.
    #[must_use]
    pub fn is_model(&self) -> bool {
        matches!(self, Self::Model { .. } | Self::Node { .. } | Self::NotDifferentiable { .. })
    }

    /// The message with those of its causes, joined by `: `, in one line: what a command line prints.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut text = String::new();
        for cause in causes(self) {
            let message = cause.to_string();
            // Some messages end in their cause already.
            if text.is_empty() {
                text = message;
            } else if !text.ends_with(&message) {
                text = format!("{text}: {message}");
            }
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A fault of the model, with what tract said, in one line.
    pub(crate) fn model(model: &str, problem: impl Into<String>, source: impl Into<Cause>) -> Self {
        let source = Some(first_lines(&*source.into()).into());
        Self::Model { model: model.into(), problem: problem.into(), source }
    }

    /// A setting outside its range.
    pub(crate) fn parameter(
        field: impl Into<String>,
        value: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Parameter { field: field.into(), value: value.to_string(), expected: expected.into() }
    }
}

/// The start of an error's message and of its causes': in tract's, dumps of the graph follow.
fn first_lines(error: &(dyn std::error::Error + 'static)) -> String {
    const LONGEST: usize = 200;
    let start = |cause: &(dyn std::error::Error + 'static)| {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default();
        let short: String = line.chars().take(LONGEST).collect();
        if short.len() < line.len() { format!("{short}…") } else { short }
    };
    causes(error).map(start).collect::<Vec<_>>().join(": ")
}

/// An error, then its causes, the innermost last.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The nodes, grouped by operator in order of first occurrence.
fn list(nodes: &[(String, String)]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = vec![];
    for (name, op) in nodes {
        match groups.iter_mut().find(|(known, _)| known == op) {
            Some((_, names)) => names.push(name),
            None => groups.push((op, vec![name])),
        }
    }
    let group = |(op, names): &(&str, Vec<&str>)| format!("{op} ({})", quoted(names));
    groups.iter().map(group).collect::<Vec<_>>().join(", ")
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}
