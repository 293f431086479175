//! The page as a whole.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart;
use crate::report::gallery::Gallery;
use crate::report::gate::Gate;
use crate::report::record::Report;

const STYLE: &str = include_str!("style.css");

/// What the page may load: nothing but what it holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

impl Report {
    /// The record as one HTML file that needs no network and no scripts: the gates, the figures with intervals, curves and
    /// distances as plots, classes, groups and what is taken for what, attacks, the sizes of their perturbations and what they agree
    /// on, broken samples to look at, findings, and how it was run. Without a gallery (the default one) there is nothing to look
    /// at. The same record gives the same bytes. Names stay names, whatever they hold.
    #[must_use]
    pub fn to_html(&self, gates: &[Gate], gallery: &Gallery) -> String {
        page(
            &format!("Robustness of {}", self.model.path),
            &html! {
                (self.top(gates))
                main {
                    (self.findings_section())
                    (self.curves_section())
                    (self.classes_section())
                    (self.groups_section())
                    (self.confusion_section())
                    (self.attacks_section())
                    (self.perturbations_section())
                    (self.agreement_section())
                    (gallery.section(self))
                    (self.repeat_section())
                }
                footer.quiet { "ironbound " (self.ironbound) }
            },
        )
    }
}

/// A page of its own.
pub(super) fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(chart::STYLE)) (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    visible(&page.into_string())
}

/// Text without letters that cannot be seen but act: control characters, and those that change the direction of others.
fn visible(text: &str) -> String {
    let acts = |letter: char| {
        letter.is_control() && letter != '\n'
            || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(acts, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_act_are_replaced() {
        assert_eq!(
            visible("a\u{202e}b\u{0}\tc\nd é \u{5d0}"),
            "a\u{fffd}b\u{fffd}\u{fffd}c\nd é \u{5d0}"
        );
    }
}
