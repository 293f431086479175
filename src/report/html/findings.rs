//! What the reader of the numbers must know.

use maud::{Markup, html};

use crate::finding::{Finding, Severity};
use crate::report::record::Report;

impl Report {
    pub(super) fn findings_section(&self) -> Markup {
        let mut findings: Vec<&Finding> = self.warnings.iter().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        html! {
            section #findings {
                h2 { "Findings" }
                @if findings.is_empty() { p { "None." } }
                @else { ul.findings { @for finding in findings { li { (entry(finding)) } } } }
            }
        }
    }
}

fn entry(finding: &Finding) -> Markup {
    let Finding { code, severity, nodes, message, remedy } = finding;
    let (class, mark) = match severity {
        Severity::Info => ("quiet", "i"),
        Severity::Warning => ("warning", "!"),
        Severity::Error => ("bad", "✗"),
    };
    html! {
        span.severity.(class) { (mark) " " (severity) } code { (code) }
        p { (message) }
        @if !nodes.is_empty() {
            p.quiet { "Nodes: " @for (at, node) in nodes.iter().enumerate() { @if at > 0 { ", " } code { (node) } } }
        }
        @if !remedy.is_empty() { p { strong { "Remedy: " } (remedy) } }
    }
}
