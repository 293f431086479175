//! What classes are taken for under attack.

use maud::{Markup, html};

use super::attacks::scroll;
use crate::metrics::Confusion;
use crate::report::confusion::{classes_of, most_confused, samples, samples_of};
use crate::report::record::{Report, WorstCase};
use crate::report::text::percent;

/// As many classes as a matrix may have to be shown whole.
const CLASSES: usize = 20;
/// How many confusions to list where it may not.
const LISTED: usize = 20;
/// Shades of a cell.
const SHADES: f64 = 5.0;

impl Report {
    pub(super) fn confusion_section(&self) -> Markup {
        let cases: Vec<_> = self.ends().filter(|case| !case.confusion.is_empty()).collect();
        html! {
            @if !cases.is_empty() {
                section #confusion {
                    h2 { "What classes are taken for" }
                    p.quiet {
                        "Samples by their true class and by what the model takes them for under attack: of a broken sample, what the \
                         first attack that broke it made of it."
                    }
                    @for case in cases { (self.confusion(case)) }
                }
            }
        }
    }

    fn confusion(&self, case: &WorstCase) -> Markup {
        let classes = classes_of(&case.confusion);
        let wrong = most_confused(&case.confusion);
        let name = format!("Confusions under {}", case.title());
        html! {
            figure {
                figcaption {
                    span.name { (case.title()) }
                    @if classes.len() <= CLASSES { ": a row per class; the deeper the shade, the larger the share of the row" }
                    @else if wrong.len() > LISTED { ": the " (LISTED) " most frequent of " (wrong.len()) " confusions" }
                }
                @if classes.len() <= CLASSES { (scroll(&name, self.matrix(&case.confusion, &classes))) }
                @else { (scroll(&name, self.list(&case.confusion, &wrong))) }
            }
        }
    }

    fn matrix(&self, cells: &[Confusion], classes: &[usize]) -> Markup {
        let row = |label: usize| {
            let all = samples_of(cells, label);
            html! {
                tr {
                    th scope="row" { (self.class(label)) }
                    @for &prediction in classes {
                        @match samples(cells, label, prediction) {
                            0 if label == prediction => td.quiet.right.d0 { "·" },
                            0 => td.quiet { "·" },
                            count => td class=(shade(count, all, label == prediction)) { (count) },
                        }
                    }
                }
            }
        };
        html! {
            table.matrix {
                thead {
                    tr {
                        th scope="col" { "class \\ taken for" }
                        @for &class in classes { th scope="col" { (self.class(class)) } }
                    }
                }
                tbody { @for &label in classes { (row(label)) } }
            }
        }
    }

    fn list(&self, cells: &[Confusion], wrong: &[&Confusion]) -> Markup {
        html! {
            table {
                thead {
                    tr {
                        th.left scope="col" { "class" } th.left scope="col" { "taken for" }
                        th scope="col" { "samples" } th scope="col" { "of the class" }
                    }
                }
                tbody {
                    @for cell in wrong.iter().take(LISTED) {
                        tr {
                            th.left scope="row" { (self.class(cell.label)) }
                            td.left { (self.class(cell.prediction)) }
                            td { (cell.samples) }
                            td { (percent(Some(cell.samples as f64 / samples_of(cells, cell.label) as f64))) }
                        }
                    }
                }
            }
        }
    }

    /// A class by its index and its name.
    pub(super) fn class(&self, class: usize) -> Markup {
        html! { span.name { (self.class_name(class)) } }
    }
}

/// The classes of a cell that is not 0: right or wrong, and how deep its shade is.
fn shade(count: usize, all: usize, is_right: bool) -> String {
    let deep = (SHADES * count as f64 / all as f64).ceil();
    format!("{} d{deep}", if is_right { "right" } else { "wrong" })
}
