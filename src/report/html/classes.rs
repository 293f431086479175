//! Robust accuracy class by class.

use maud::{Markup, html};

use super::attacks::scroll;
use super::meter::meter;
use crate::report::classes::ClassRow;
use crate::report::record::{Report, WorstCase};
use crate::report::text::{interval, percent};

/// Classes that are shown at the most.
const SHOWN: usize = 20;

impl Report {
    pub(super) fn classes_section(&self) -> Markup {
        let cases: Vec<_> = self.ends().filter(|case| !case.classes.is_empty()).collect();
        html! {
            @if !cases.is_empty() {
                section #classes {
                    h2 { "Classes" }
                    p.quiet { "Robust accuracy in the worst case, with 95 % intervals; the dashed line is the clean accuracy." }
                    div.plots { @for case in cases { (case_classes(case)) } }
                }
            }
        }
    }
}

fn case_classes(case: &WorstCase) -> Markup {
    let mut rows: Vec<&ClassRow> = case.classes.iter().collect();
    if rows.len() > SHOWN {
        let share = |row: &ClassRow| row.robust_accuracy.unwrap_or(f64::INFINITY);
        rows.sort_by(|a, b| share(a).total_cmp(&share(b)));
        rows.truncate(SHOWN);
    }
    let title = case.title();
    html! {
        figure {
            (scroll(&format!("Classes under {title}"), html! {
                table {
                    caption {
                        span.name { (title) }
                        @if let Some((worst, disparity)) = case.worst_class() {
                            ": class " (worst.class) " is the worst; classes differ with p = " (disparity.chance())
                        }
                        @if case.classes.len() > SHOWN { ". The " (SHOWN) " worst of " (case.classes.len()) }
                    }
                    thead {
                        tr {
                            th scope="col" { "class" } th scope="col" { "samples" } th scope="col" { "" }
                            th scope="col" { "robust" } th scope="col" { "95 % interval" }
                        }
                    }
                    tbody { @for row in rows { (class_row(row)) } }
                }
            }))
        }
    }
}

fn class_row(row: &ClassRow) -> Markup {
    let clean = (row.samples > 0).then(|| row.correct as f64 / row.samples as f64);
    html! {
        tr {
            th scope="row" { (row.class) }
            td { (row.samples) }
            td { (meter(row.robust_accuracy, row.interval, clean)) }
            td { (percent(row.robust_accuracy)) }
            td { (interval(row.interval)) }
        }
    }
}
