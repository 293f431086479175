//! Robust accuracy class by class.

use maud::{Markup, html};

use super::lots::{Lot, lots};
use crate::report::classes::ClassRow;
use crate::report::record::{Report, WorstCase};

impl Report {
    pub(super) fn classes_section(&self) -> Markup {
        let cases: Vec<_> = self.ends().filter(|case| !case.classes.is_empty()).collect();
        html! {
            @if !cases.is_empty() {
                section #classes {
                    h2 { "Classes" }
                    p.quiet { "Robust accuracy in the worst case, with 95 % intervals; the dashed line is the clean accuracy." }
                    div.plots { @for case in cases { (self.case_classes(case)) } }
                }
            }
        }
    }

    fn case_classes(&self, case: &WorstCase) -> Markup {
        let title = case.title();
        let caption = html! {
            span.name { (title) }
            @if let Some((worst, disparity)) = case.worst_class() {
                ": class " (self.class(worst.class)) " is the worst; classes differ with p = " (disparity.chance())
            }
        };
        let lot = |row: &ClassRow| Lot {
            name: self.class(row.class),
            samples: row.samples,
            correct: row.correct,
            robust_accuracy: row.robust_accuracy,
            interval: row.interval,
        };
        let rows = case.classes.iter().map(lot).collect();
        lots(&format!("Classes under {title}"), "class", &caption, rows)
    }
}
