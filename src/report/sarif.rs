//! The record for CI systems that show findings.

mod fingerprint;

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::gate::Gate;
use super::record::Report;
use crate::data::json;
use crate::finding::{Finding, Severity};
use fingerprint::fingerprint;

const SARIF_SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The rule of gates that do not hold.
const GATE: &str = "gate";

/// Where the codes of findings are explained.
const CODES: &str = include_str!("../../docs/report.schema.md");

impl Report {
    /// The warnings of the record, and the gates that do not hold, as SARIF 2.1.0: findings located at the model file, a rule
    /// per code. The gates of an interrupted run are open, and left out. Fingerprints are the same in every run that finds the same
    /// thing, whatever the model's path and the numbers are.
    #[must_use]
    pub fn to_sarif(&self, gates: &[Gate]) -> String {
        let failures = gates.iter().filter(|_| !self.partial).filter_map(|gate| {
            let failure = gate.failure.as_ref()?;
            let print = fingerprint(GATE, &[], std::iter::once(&*gate.name));
            Some((Finding::error(GATE, format!("{}: {failure}", gate.name)), print))
        });
        let warnings = self.warnings.iter().map(|finding| {
            let subjects = self.subjects(finding);
            let subjects = subjects.iter().map(String::as_str);
            (finding.clone(), fingerprint(&finding.code, &finding.nodes, subjects))
        });
        let (findings, prints): (Vec<_>, Vec<_>) = failures.chain(warnings).unzip();
        let mut rules: Vec<&Finding> = vec![];
        for finding in &findings {
            if !rules.iter().any(|rule| rule.code == finding.code) {
                rules.push(finding);
            }
        }
        let uri = uri(&self.model.path);
        let results: Vec<_> = findings
            .iter()
            .zip(numbered(prints))
            .map(|(finding, print)| result(finding, &print, &rules, &uri))
            .collect();
        let rules: Vec<_> = rules.into_iter().map(rule).collect();
        json::to_json(&json!({
            "$schema": SARIF_SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": { "name": "ironbound", "version": self.ironbound, "rules": rules } },
                "invocations": [{ "executionSuccessful": !self.partial }],
                "artifacts": [{
                    "location": { "uri": uri },
                    "roles": ["analysisTarget"],
                    "hashes": { "sha-256": self.model.sha256 },
                }],
                "results": results,
            }],
        }))
    }
}

/// Equal ones told apart by their order.
fn numbered(prints: Vec<String>) -> impl Iterator<Item = String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    prints.into_iter().map(move |print| {
        let count = seen.entry(print.clone()).or_default();
        *count += 1;
        format!("{print}:{count}")
    })
}

fn result(finding: &Finding, print: &str, rules: &[&Finding], uri: &str) -> Value {
    let Finding { code, severity, nodes, message, remedy } = finding;
    let mut text = plain(message);
    if !nodes.is_empty() {
        text += &plain(&format!("\nNodes: {}", nodes.join(", ")));
    }
    if !remedy.is_empty() {
        text += &plain(&format!("\nRemedy: {remedy}"));
    }
    let nodes: Vec<_> = nodes.iter().map(|node| json!({ "fullyQualifiedName": node })).collect();
    json!({
        "ruleId": code,
        "ruleIndex": rules.iter().position(|rule| rule.code == *code),
        "level": level(*severity),
        "message": { "text": text },
        // The second is the one that GitHub's code scanning goes by.
        "partialFingerprints": { "ironbound/v1": print, "primaryLocationLineHash": print },
        "locations": [{
            // A file of bytes has no lines, but some readers want one.
            "physicalLocation": {
                "artifactLocation": { "uri": uri, "index": 0 },
                "region": { "startLine": 1 },
            },
            "logicalLocations": nodes,
        }],
    })
}

/// The rule of a finding's code.
fn rule(finding: &Finding) -> Value {
    let Finding { code, severity, remedy, .. } = finding;
    let meaning = match &**code {
        GATE => "a gate that was asked for does not hold",
        code => meaning(code).unwrap_or(code),
    };
    let help =
        if remedy.is_empty() { meaning.to_owned() } else { format!("{meaning}; remedy: {remedy}") };
    json!({
        "id": code,
        "shortDescription": { "text": plain(meaning) },
        "fullDescription": { "text": plain(meaning) },
        "help": { "text": plain(&help) },
        "defaultConfiguration": { "level": level(*severity) },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// What a code means, by the tables of the documentation: `| codes | severity | meaning |`.
fn meaning(code: &str) -> Option<&'static str> {
    let (_, codes) = CODES.split_once("\n## Warning codes\n")?;
    let (tables, _) = codes.split_once("\n## ")?;
    tables.lines().find_map(|line| {
        let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.splitn(3, " | ");
        let mut codes = cells.next()?.split('`').step_by(2);
        let meaning = cells.nth(1)?;
        codes.any(|known| known == code).then_some(meaning)
    })
}

/// Text in which nothing is a placeholder or a link.
fn plain(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}").replace("](", "] (")
}

/// A path as the reference of a URI.
fn uri(path: &str) -> String {
    let absolute = std::path::Path::new(path).is_absolute();
    let path = path.replace(std::path::MAIN_SEPARATOR, "/");
    let mut uri = match (absolute, path.starts_with('/')) {
        (true, true) => "file://".to_owned(),
        (true, false) => "file:///".to_owned(),
        (false, _) => String::new(),
    };
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into());
            }
            // Writing to a string cannot fail.
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_explained() {
        assert_eq!(meaning("interrupted"), Some("the run was interrupted"));
        assert!(meaning("data-reshaped").is_some_and(|text| text.starts_with("how the samples")));
        assert!(meaning("saturated-units").is_some());
        for unknown in ["", "|", "schema", ", ", "`"] {
            assert_eq!(meaning(unknown), None, "{unknown}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_are_uris() {
        for (path, expected) in [
            ("models/a b.onnx", "models/a%20b.onnx"),
            ("/models/ä.onnx", "file:///models/%C3%A4.onnx"),
            ("c:<x>%2F#?", "c%3A%3Cx%3E%252F%23%3F"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
