//! Lots of samples, such as classes, side by side.

use maud::{Markup, html};

use super::attacks::scroll;
use super::meter::meter;
use crate::report::text::{interval, percent};

/// Lots that are shown at the most.
const SHOWN: usize = 20;

/// Some of the samples.
pub(super) struct Lot {
    pub(super) name: Markup,
    pub(super) samples: usize,
    pub(super) correct: usize,
    pub(super) robust_accuracy: Option<f64>,
    pub(super) interval: [f64; 2],
}

/// A row per lot, in their order; the worst ones where they are too many.
pub(super) fn lots(title: &str, kind: &str, caption: &Markup, mut lots: Vec<Lot>) -> Markup {
    let count = lots.len();
    if count > SHOWN {
        let share = |lot: &Lot| lot.robust_accuracy.unwrap_or(f64::INFINITY);
        lots.sort_by(|a, b| share(a).total_cmp(&share(b)));
        lots.truncate(SHOWN);
    }
    html! {
        figure {
            figcaption {
                (caption)
                @if count > SHOWN { ". The " (SHOWN) " worst of " (count) }
            }
            (scroll(title, html! {
                table.lots {
                    thead {
                        tr {
                            th scope="col" { (kind) } th scope="col" { "samples" } th scope="col" { "" }
                            th scope="col" { "robust" } th scope="col" { "95 % interval" }
                        }
                    }
                    tbody { @for lot in lots { (row(&lot)) } }
                }
            }))
        }
    }
}

fn row(lot: &Lot) -> Markup {
    let clean = (lot.samples > 0).then(|| lot.correct as f64 / lot.samples as f64);
    html! {
        tr {
            th scope="row" { (lot.name) }
            td { (lot.samples) }
            td { (meter(lot.robust_accuracy, lot.interval, clean)) }
            td { (percent(lot.robust_accuracy)) }
            td { (interval(lot.interval)) }
        }
    }
}
