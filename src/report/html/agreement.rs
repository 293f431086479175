//! Which attack broke which sample, as counts.

use maud::{Markup, html};

use super::attacks::scroll;
use crate::report::record::{AttackRow, Report, WorstCase};

impl Report {
    pub(super) fn agreement_section(&self) -> Markup {
        let tables: Vec<_> = self.ends().filter_map(|case| self.agreement(case)).collect();
        html! {
            @if !tables.is_empty() {
                section #agreement {
                    h2 { "Do attacks agree?" }
                    p.quiet {
                        "Samples that both attacks broke, and after the plus those that only the attack of the row did. Where the \
                         plus is not 0, the attack of the column missed samples that can be broken."
                    }
                    @for table in tables { (table) }
                }
            }
        }
    }

    /// The table of one threat; none where fewer than two attacks can be compared.
    fn agreement(&self, case: &WorstCase) -> Option<Markup> {
        let is_of = |row: &&(usize, &AttackRow)| self.worst_case.get(row.1.case) == Some(case);
        let rows = self.attacks.iter().enumerate().collect::<Vec<_>>();
        let attacks: Vec<(usize, &AttackRow)> = rows.iter().filter(is_of).copied().collect();
        if case.agreement.is_empty() {
            return None;
        }
        // Pairs are listed once; a row of the table has each attack first.
        let pair = |first: usize, second: usize| {
            case.agreement.iter().find_map(|pair| {
                if (pair.first, pair.second) == (first, second) {
                    return Some((pair.both, pair.only_first));
                }
                ((pair.second, pair.first) == (first, second))
                    .then_some((pair.both, pair.only_second))
            })
        };
        Some(scroll(
            &format!("Agreement under {}", case.title()),
            html! {
                table {
                    caption { span.name { (case.title()) } }
                    thead {
                        tr {
                            th.left scope="col" { "broken by" }
                            th scope="col" { "in all" }
                            @for (_, row) in &attacks { th scope="col" { "and " code { (self.name(row)) } } }
                        }
                    }
                    tbody {
                        @for (at, row) in &attacks {
                            tr {
                                th.left scope="row" { code { (self.name(row)) } }
                                td { (row.broken.len()) }
                                @for (other, _) in &attacks {
                                    @match pair(*at, *other) {
                                        Some((both, only)) => td { (both) span.quiet { " + " (only) } },
                                        None => td.quiet { "·" },
                                    }
                                }
                            }
                        }
                    }
                }
            },
        ))
    }
}
