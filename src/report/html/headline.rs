//! What comes first: the verdict, and the figures that it is about.

use maud::{Markup, html};

use super::meter::meter;
use crate::finding::Severity;
use crate::report::gate::Gate;
use crate::report::record::{Report, WorstCase};
use crate::report::text::{interval, percent};
use crate::text::short;

impl Report {
    pub(super) fn top(&self, gates: &[Gate]) -> Markup {
        let (model, data) = (&self.model, &self.data);
        html! {
            header {
                h1 { "Robustness of " code { (model.path) } }
                p.quiet {
                    (self.kind()) ", SHA-256 " code { (short(&model.sha256)) } " · data " code { (data.path) } ", "
                    (data.samples) " samples"
                }
                (self.verdict(gates))
                @if self.partial {
                    p.notice {
                        strong { "Partial: " } "the run was interrupted. Shares are of the samples that were finished, and gates are open."
                    }
                }
                @if let Some(stopped) = &self.stopped {
                    p.notice { strong { "Stopped " } span.name { (self.stop(stopped)) } "." }
                }
                (self.doubts())
                dl.tiles {
                    (tile(html! { "clean" }, self.clean.accuracy, self.clean.interval, None))
                    @for case in self.ends() {
                        (tile(html! { "robust within " span.name { (case.title()) } }, case.robust_accuracy, case.interval, self.clean.accuracy))
                    }
                }
                p.quiet {
                    "Accuracies with 95 % intervals; the dashed line is the clean accuracy. Robust: classified correctly, and not broken by any attack, of all samples. It \
                     is an upper bound: a stronger attack may break more."
                }
            }
        }
    }

    fn verdict(&self, gates: &[Gate]) -> Markup {
        let failed = gates.iter().any(|gate| gate.failure.is_some());
        let (class, told) = match (self.partial, failed) {
            (true, _) => ("warning", "Interrupted: not decided"),
            (false, true) => ("bad", "✗ Gate failed"),
            (false, false) => ("good", "✓ Gate passed"),
        };
        html! {
            @if !gates.is_empty() {
                p.verdict.(class) { (told) }
                ul.gates {
                    @for gate in gates {
                        li {
                            code { (gate.name) }
                            @match &gate.failure {
                                _ if self.partial => " is open",
                                Some(failure) => { strong.bad { " failed: " } (failure) }
                                None => strong.good { " passed" },
                            }
                        }
                    }
                }
            }
        }
    }

    /// Whether findings take something away from the figures.
    fn doubts(&self) -> Markup {
        let codes = |severity: Severity| -> Vec<&str> {
            let mut codes: Vec<&str> = vec![];
            for finding in self.warnings.iter().filter(|finding| finding.severity == severity) {
                if !codes.contains(&&*finding.code) {
                    codes.push(&finding.code);
                }
            }
            codes
        };
        let notes = [
            (Severity::Error, "notice grave", "The figures say nothing until this is put right: "),
            (Severity::Warning, "notice", "The figures may say less than they seem to: "),
        ];
        html! {
            @for (severity, class, told) in notes {
                @let codes = codes(severity);
                @if !codes.is_empty() {
                    p class=(class) {
                        (told)
                        @for (at, code) in codes.iter().enumerate() { @if at > 0 { ", " } code { (code) } }
                        " (" a href="#findings" { "findings" } ")"
                    }
                }
            }
        }
    }

    /// The worst cases that no larger budget stands above.
    pub(super) fn ends(&self) -> impl Iterator<Item = &WorstCase> {
        let inner: Vec<usize> = self
            .curves
            .iter()
            .filter_map(|curve| curve.cases.split_last())
            .flat_map(|(_, before)| before.iter().copied())
            .collect();
        self.worst_case
            .iter()
            .enumerate()
            .filter(move |(at, _)| !inner.contains(at))
            .map(|(_, case)| case)
    }
}

fn tile(name: Markup, share: Option<f64>, within: [f64; 2], before: Option<f64>) -> Markup {
    html! {
        div.tile {
            dt { (name) }
            dd {
                span.value { (percent(share)) } " " span.quiet { (interval(within)) }
                (meter(share, within, before))
            }
        }
    }
}
