//! Every threat and every attack in numbers.

use maud::{Markup, html};

use crate::report::record::{AttackRow, Report, WorstCase};
use crate::report::text::{interval, number, percent};

impl Report {
    pub(super) fn attacks_section(&self) -> Markup {
        let shared = self.attacks.iter().any(|row| row.shared);
        html! {
            @if !self.attacks.is_empty() {
                section #attacks {
                    h2 { "Attacks" }
                    (scroll("Attacks", html! {
                        table {
                            thead {
                                tr {
                                    th.left scope="col" { "threat" }
                                    th.left scope="col" { "attack" }
                                    th scope="col" { "robust" }
                                    th scope="col" { "95 % interval" }
                                    th scope="col" { "success" }
                                    th scope="col" { "mean dist" }
                                    th scope="col" { "max dist" }
                                    th scope="col" { "queries" }
                                    th scope="col" { "calibration error" }
                                }
                            }
                            tbody {
                                tr {
                                    td.left { "none" } th.left scope="row" { "clean" } td { (percent(self.clean.accuracy)) }
                                    td { (interval(self.clean.interval)) } td {} td {} td {} td {}
                                    td { (percent(self.clean.calibration)) }
                                }
                                @for (index, case) in self.worst_case.iter().enumerate() {
                                    @for row in self.attacks.iter().filter(|row| row.case == index) { (self.attack_row(case, row)) }
                                    tr.total {
                                        td.left { (case.title()) } th.left scope="row" { "worst case" }
                                        td { (percent(case.robust_accuracy)) } td { (interval(case.interval)) }
                                        td {} td {} td {} td {} td { (percent(case.calibration)) }
                                    }
                                }
                            }
                        }
                    }))
                    p.quiet {
                        "Success: broken samples among those classified correctly. Dist: the size of the successful perturbations. \
                         Queries: forward and backward passes per attacked sample."
                        @if shared { " *: one run for all budgets, the queries are the same ones in each row." }
                    }
                }
            }
        }
    }

    fn attack_row(&self, case: &WorstCase, row: &AttackRow) -> Markup {
        let size = |distance: Option<f64>| distance.map_or_else(|| "-".into(), number);
        let queries = row.queries.forward + row.queries.backward;
        html! {
            tr {
                td.left { (case.title()) }
                th.left scope="row" {
                    code { (self.name(row)) }
                    @if !row.errors.is_empty() { " " span.warning { "(" (row.errors.len()) " errors)" } }
                    @if !row.unreached.is_empty() { " " span.warning { "(" (row.unreached.len()) " not finished)" } }
                }
                td { (percent(row.robust_accuracy)) }
                td { (interval(row.interval)) }
                td { (percent(row.success_rate)) }
                td { (size(row.distance.mean)) }
                td { (size(row.distance.max)) }
                td { (format!("{queries:.1}")) @if row.shared { "*" } }
                td {}
            }
        }
    }
}

/// What may be wider than the page, and then scrolls by itself.
pub(super) fn scroll(name: &str, content: Markup) -> Markup {
    html! { div.scroll role="region" tabindex="0" aria-label=(name) { (content) } }
}
