//! Robust accuracy group by group.

use maud::{Markup, html};

use super::lots::{Lot, lots};
use crate::report::groups::{GroupRow, GroupTable};
use crate::report::record::{Report, WorstCase};

impl Report {
    pub(super) fn groups_section(&self) -> Markup {
        let tables: Vec<_> = self
            .ends()
            .flat_map(|case| case.groups.iter().map(move |table| case_groups(case, table)))
            .collect();
        html! {
            @if !tables.is_empty() {
                section #groups {
                    h2 { "Groups" }
                    p.quiet { "Robust accuracy in the worst case, with 95 % intervals; the dashed line is the clean accuracy." }
                    div.plots { @for table in tables { (table) } }
                }
            }
        }
    }
}

fn case_groups(case: &WorstCase, table: &GroupTable) -> Markup {
    let title = case.title();
    let caption = html! {
        span.name { (title) } " by " code { (table.column) }
        @if let Some((worst, disparity)) = table.worst_group() {
            ": " span.name { (worst.group) } " is the worst; groups differ with p = " (disparity.chance())
        }
    };
    let lot = |row: &GroupRow| Lot {
        name: html! { span.name { (row.group) } },
        samples: row.samples,
        correct: row.correct,
        robust_accuracy: row.robust_accuracy,
        interval: row.interval,
    };
    let rows = table.groups.iter().map(lot).collect();
    lots(&format!("Groups by {} under {title}", table.column), "group", &caption, rows)
}
