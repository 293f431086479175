//! A share as a bar.

use maud::{Markup, html};

/// A bar for a share, with its interval as a line; `before` is a share to compare it with. The number stands beside it.
pub(super) fn meter(share: Option<f64>, interval: [f64; 2], before: Option<f64>) -> Markup {
    let place = |share: f64| format!("{:.2}", 100.0 * share);
    let [lower, upper] = interval.map(place);
    html! {
        svg.meter viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="100" height="10" {}
            @if let Some(share) = share {
                rect.share width=(place(share)) height="10" {}
                line.interval x1=(lower) x2=(upper) y1="5" y2="5" {}
                @for end in [&lower, &upper] {
                    line.interval x1=(end) x2=(end) y1="2" y2="8" {}
                }
            }
            @if let Some(before) = before.map(place) {
                line.before x1=(before) x2=(before) y1="0" y2="10" {}
            }
        }
    }
}
