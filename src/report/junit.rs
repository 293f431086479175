//! The record for CI systems that show tests.

use std::fmt::{self, Write};

use super::gate::Gate;
use super::record::{AttackRow, Report};
use super::text::{interval, percent};
use crate::text::written;

impl Report {
    /// The record as JUnit XML, valid by Jenkins' schema: a test case per gate, which fails where the gate does, and one per
    /// attack and threat, which is an error where the attack ended in one on some sample. What an interruption left open is
    /// skipped. No two attacks have one name: where they differ in what else limits the attacker, the names say so.
    #[must_use]
    pub fn to_junit(&self, gates: &[Gate]) -> String {
        let gates: Vec<_> = gates.iter().map(|gate| self.gate_case(gate)).collect();
        let names = self.row_names().into_iter();
        let attacks: Vec<_> =
            self.attacks.iter().zip(names).map(|(row, name)| attack_case(row, name)).collect();
        written(|text| self.write_junit(text, &gates, &attacks))
    }

    fn write_junit(&self, text: &mut String, gates: &[Case], attacks: &[Case]) -> fmt::Result {
        let of = |outcome| count(gates, outcome) + count(attacks, outcome);
        writeln!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"ironbound\" tests=\"{}\" failures=\"{}\" \
             errors=\"{}\">",
            gates.len() + attacks.len(),
            of(FAILURE),
            of(ERROR)
        )?;
        if !gates.is_empty() {
            write_suite(text, "gates", &[], gates)?;
        }
        let properties = [
            ("ironbound", &*self.ironbound),
            ("model", &self.model.path),
            ("model-sha256", &self.model.sha256),
            ("data", &self.data.path),
            ("data-sha256", &self.data.sha256),
            ("seed", &self.seed.to_string()),
            ("clean-accuracy", &percent(self.clean.accuracy)),
        ];
        write_suite(text, "attacks", &properties, attacks)?;
        writeln!(text, "</testsuites>")
    }

    fn gate_case(&self, gate: &Gate) -> Case {
        let outcome = match &gate.failure {
            _ if self.partial => Some((SKIPPED, "the run was interrupted".into())),
            Some(failure) => Some((FAILURE, failure.clone())),
            None => None,
        };
        Case { name: gate.name.clone(), outcome, output: None }
    }
}

fn attack_case(row: &AttackRow, name: String) -> Case {
    let of = |samples: &[usize]| format!("{} of {} samples", samples.len(), row.robust.len());
    let outcome = if let Some(first) = row.errors.first() {
        let what = "ended in an error, and are neither robust nor broken; the first is";
        Some((ERROR, format!("{} {what} {first}", of(&row.errors))))
    } else if row.unreached.is_empty() {
        None
    } else {
        let told = format!("the run was interrupted: {} are not finished", of(&row.unreached));
        Some((SKIPPED, told))
    };
    let output = format!(
        "robust {} {}, success {}",
        percent(row.robust_accuracy),
        interval(row.interval),
        percent(row.success_rate)
    );
    Case { name, outcome, output: Some(output) }
}

/// The elements for what is no success.
const FAILURE: &str = "failure";
const ERROR: &str = "error";
const SKIPPED: &str = "skipped";

/// A test case: what it is called, what is amiss, and the figures.
struct Case {
    name: String,
    outcome: Option<(&'static str, String)>,
    output: Option<String>,
}

fn count(cases: &[Case], outcome: &str) -> usize {
    cases.iter().filter(|case| case.outcome.as_ref().is_some_and(|of| of.0 == outcome)).count()
}

fn write_suite(
    text: &mut String,
    name: &str,
    properties: &[(&str, &str)],
    cases: &[Case],
) -> fmt::Result {
    writeln!(
        text,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        cases.len(),
        count(cases, FAILURE),
        count(cases, ERROR),
        count(cases, SKIPPED)
    )?;
    if !properties.is_empty() {
        writeln!(text, "    <properties>")?;
        for (name, value) in properties {
            writeln!(text, "      <property name=\"{name}\" value=\"{}\"/>", escaped(value))?;
        }
        writeln!(text, "    </properties>")?;
    }
    for Case { name: case, outcome, output } in cases {
        writeln!(text, "    <testcase name=\"{}\" classname=\"ironbound.{name}\">", escaped(case))?;
        if let Some((kind, message)) = outcome {
            writeln!(text, "      <{kind} message=\"{}\"/>", escaped(message))?;
        }
        if let Some(output) = output {
            writeln!(text, "      <system-out>{}</system-out>", escaped(output))?;
        }
        writeln!(text, "    </testcase>")?;
    }
    writeln!(text, "  </testsuite>")
}

/// Text within an element or an attribute. What XML 1.0 cannot hold is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\t' => escaped += "&#9;",
            '\n' => escaped += "&#10;",
            '\r' => escaped += "&#13;",
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}
