//! `docs/operators.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::excuses::{GRADIENTS, LIMITS};
use super::run::Outcome;
use crate::grad::coverage;
use crate::model::faults::UNKNOWN;
use crate::model::refuse::{REFUSALS, TYPED};

const HEAD: &str = "# Operators
";

const OPERATORS: &str = "## ONNX operators

By the last node of each test (`tests/data/README.md` says where they are from). *Loaded*: tract runs it, with the
result that ONNX expects. *Refused*: see the end of this file. *Differentiable*: there is a float output, and
something finite to move. *Passed*: the gradient by each float input that has one is that of central differences, in
f64 where tract computes in it, up to 24 components of each; at the test's own values or, where more than half of
these sit at ties or jumps, beside them. *Excused*: it is not, or cannot be told, and the last column says why.
";

const GRADIENTS_OF_TRACT: &str = "## tract's operators

Gradients are taken of tract's decluttered graphs, where ONNX's operators have become these. A node without a
rule between the attacked input and the loss is an error that names it.
";

const REFUSED: &str = "## Refused

What tract runs wrongly without a word. A model with such a node is refused when it is loaded. So is any node of a
domain other than ONNX's own, `ai.onnx.ml` and `com.microsoft` whose name tract would take for ONNX's.

Not refused are attributes that only ask for another precision on the way (`stash_type`, `softmax_precision`,
`precision`): all is computed in single precision, as half precision is.
";

const MADE: &str = "<!-- Made by `IRONBOUND_BLESS=1 cargo test --lib conformance`; the test fails where it differs. -->";

/// The whole file, from (operator, case, outcome).
pub(super) fn document(outcomes: &[(String, String, Outcome)]) -> String {
    let mut text = format!(
        "{HEAD}\n{}\n\n{}\n\n{MADE}\n\n{OPERATORS}\n{}\n",
        summary(outcomes),
        coverage::summary(),
        operators(outcomes)
    );
    write!(text, "{GRADIENTS_OF_TRACT}\n{}\n{REFUSED}\n{}", coverage::table(), refused()).unwrap();
    text
}

/// The counts of one operator.
#[derive(Debug, Default)]
struct Row {
    tests: usize,
    loaded: usize,
    refused: usize,
    forward: usize,
    passed: usize,
    notes: BTreeMap<String, usize>,
}

impl Row {
    fn add(&mut self, case: &str, outcome: &Outcome) {
        let mut note = |text: String| *self.notes.entry(text).or_default() += 1;
        let mut loaded = true;
        match outcome {
            Outcome::NotLoaded(reason) => {
                loaded = false;
                note(class(reason).into());
            }
            Outcome::Refused(_) => {
                loaded = false;
                self.refused += 1;
            }
            Outcome::NoRule(ops) => ops.iter().for_each(|op| {
                note(format!("no gradient of {op}: {}", coverage::declared(op).unwrap_or("?")));
            }),
            Outcome::WrongGradient(_) => {
                note(GRADIENTS.iter().find(|(name, _)| *name == case).unwrap().1.into());
            }
            Outcome::ForwardOnly => self.forward += 1,
            Outcome::Passed { components, limits } => {
                let whys: BTreeSet<&str> =
                    limits.iter().filter_map(|limit| limit_of(limit)).collect();
                whys.into_iter().for_each(|why| note(why.into()));
                self.passed += usize::from(*components > 0);
            }
            Outcome::WrongResult(problem) => note(problem.clone()),
        }
        self.tests += 1;
        self.loaded += usize::from(loaded);
    }

    fn line(&self, operator: &str) -> String {
        let notes: Vec<String> =
            self.notes.iter().map(|(note, count)| format!("{note} ({count})")).collect();
        let differentiable = self.loaded - self.forward;
        format!(
            "| {operator} | {} | {} | {} | {differentiable} | {} | {} | {} |\n",
            self.tests,
            self.loaded,
            self.refused,
            self.passed,
            differentiable - self.passed,
            notes.join("; ")
        )
    }
}

type Rows<'a> = BTreeMap<&'a str, Row>;

/// The counts by operator, and of all.
fn rows(outcomes: &[(String, String, Outcome)]) -> (Rows<'_>, Row) {
    let mut rows = Rows::new();
    let mut total = Row::default();
    for (operator, case, outcome) in outcomes {
        rows.entry(operator).or_default().add(case, outcome);
        total.add(case, outcome);
    }
    total.notes.clear();
    (rows, total)
}

fn summary(outcomes: &[(String, String, Outcome)]) -> String {
    let (rows, Row { tests, loaded, refused, forward, passed, .. }) = rows(outcomes);
    let operators = rows.values().filter(|row| row.loaded > 0).count();
    let differentiable = loaded - forward;
    format!(
        "Of ONNX's own {tests} node tests with a float input, tract 0.23.9 runs {loaded}, of {operators} operators, all with \
         the\nexpected result; {refused} are refused because it would get them wrong, and {} it does not take. Of the \
         {differentiable} that are\ndifferentiable, {passed} have the gradient that central differences give; the other \
         {} are listed with the reason.",
        tests - loaded - refused,
        differentiable - passed,
    )
}

fn operators(outcomes: &[(String, String, Outcome)]) -> String {
    let (rows, total) = rows(outcomes);
    let mut text = String::from(
        "| operator | tests | loaded | refused | differentiable | passed | excused | why not |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    rows.iter().for_each(|(operator, row)| text += &row.line(operator));
    text + &total.line("**all**")
}

/// The declared reason of what a rule said.
pub(super) fn limit_of(message: &str) -> Option<&'static str> {
    LIMITS.iter().find(|(part, _)| message.contains(part)).map(|(_, why)| *why)
}

/// Why tract takes no such graph, in few words.
fn class(reason: &str) -> &'static str {
    let any = |parts: &[&str]| parts.iter().any(|part| reason.contains(part));
    if any(&[UNKNOWN]) {
        "tract lacks the operator"
    } else if any(&["Unknown DatumType", "unknown ONNX TensorProto.DataType"]) {
        "tract lacks the type"
    } else if any(&["cannot be run"]) {
        "tract types it and cannot run it"
    } else if any(&["must be a const", "as a constant", "to be constants", "to be determined"]) {
        "tract wants a constant"
    } else if any(&["not supported", "unsupported"]) {
        "tract names an attribute or input that it lacks"
    } else {
        "tract cannot type it"
    }
}

fn refused() -> String {
    let mut text = String::from(
        "| operators | what tract does not honour | what it does instead |\n|---|---|---|\n",
    );
    for row in REFUSALS {
        let operators = row.operators.join(", ");
        writeln!(text, "| {operators} | {} | {} |", row.part, row.instead).unwrap();
    }
    for row in TYPED {
        writeln!(text, "| {} | for some shapes | {} |", row.operator, row.problem).unwrap();
    }
    text
}
