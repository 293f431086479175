//! How large the perturbations are that succeed, and what they took.

use maud::{Markup, html};

use super::attacks::scroll;
use crate::report::perturbations::Perturbations;
use crate::report::record::{AttackRow, Report};
use crate::report::text::number;

impl Report {
    pub(super) fn perturbations_section(&self) -> Markup {
        let rows: Vec<(&AttackRow, &Perturbations)> = self
            .attacks
            .iter()
            .filter_map(|row| Some((row, row.perturbations.as_ref()?)))
            .collect();
        let similar = rows.iter().any(|(_, sizes)| sizes.ssim.is_some());
        html! {
            @if !rows.is_empty() {
                section #perturbations {
                    h2 { "Perturbations that succeed" }
                    (scroll("Sizes of perturbations and queries to success", html! {
                        table {
                            thead {
                                tr {
                                    th.left scope="col" { "threat" }
                                    th.left scope="col" { "attack" }
                                    th scope="col" { "broken" }
                                    @for norm in ["L0", "L1", "L2", "Linf"] { th scope="col" { (norm) } }
                                    @if similar { th scope="col" { "SSIM" } }
                                    th scope="col" { "queries" }
                                    th scope="col" { "90 %" }
                                    th scope="col" { "most" }
                                }
                            }
                            tbody { @for (row, sizes) in rows { (self.sizes_row(row, sizes, similar)) } }
                        }
                    }))
                    p.quiet {
                        "Medians, in parentheses means. L0: features that were changed; L1 to Linf: the size of the change in the units of \
                         the data, whatever norm the threat has."
                        @if similar { " SSIM: the structural similarity to the clean image, 1 where nothing was changed." }
                        " Queries: forward and backward passes that breaking a sample took, the median, what 90 % of the samples took at \
                         most, and the most; over the samples that were attacked under this budget."
                    }
                }
            }
        }
    }

    fn sizes_row(&self, row: &AttackRow, sizes: &Perturbations, similar: bool) -> Markup {
        let queries = row.success_queries;
        html! {
            tr {
                td.left { (self.worst_case.get(row.case).map_or_else(|| row.threat(), |case| case.title())) }
                th.left scope="row" { code { (self.name(row)) } }
                td { (row.broken.len()) }
                @for of in [sizes.l0, sizes.l1, sizes.l2, sizes.linf] { td { (size(of.median, of.mean)) } }
                @if similar { td { (size(sizes.ssim.map(|of| of.median), sizes.ssim.map(|of| of.mean))) } }
                @for passes in [queries.map(|of| of.median), queries.map(|of| of.q90), queries.map(|of| of.max)] {
                    td { (passes.map_or_else(|| "-".into(), number)) }
                }
            }
        }
    }
}

/// A median, and the mean beside it.
fn size(median: Option<f64>, mean: Option<f64>) -> Markup {
    html! {
        @if let Some(median) = median { (number(median)) } @else { "-" }
        @if let Some(mean) = mean { span.quiet { " (" (number(mean)) ")" } }
    }
}
