//! Broken samples, as pictures or as the features that changed most.

use maud::{Markup, html};

use super::attacks::scroll;
use super::page::page;
use crate::report::gallery::{Example, Gallery, Series};
use crate::report::record::Report;
use crate::report::text::{number, percent};

/// Features that are shown at the most.
const SHOWN: usize = 8;

impl Gallery {
    /// The gallery alone as one HTML file, which is that of [`Report::to_html`] otherwise.
    #[must_use]
    pub fn to_html(&self, report: &Report) -> String {
        let title = format!("Broken samples of {}", report.model.path);
        page(
            &title,
            &html! {
                header {
                    h1 { "Broken samples of " code { (report.model.path) } }
                    p.quiet { "data " code { (report.data.path) } }
                }
                main {
                    @if self.is_empty() { p { "None." } }
                    (self.section(report))
                }
            },
        )
    }

    /// The examples of a report.
    pub(super) fn section(&self, report: &Report) -> Markup {
        html! {
            @if !self.is_empty() {
                section #gallery {
                    h2 { "Broken samples" }
                    @for series in self.series.iter().filter(|series| !series.examples.is_empty()) {
                        (self.show(series, report))
                    }
                }
            }
        }
    }

    fn show(&self, series: &Series, report: &Report) -> Markup {
        let seen = |example| (example, triple(example, &self.shape, series.range, report));
        let examples: Vec<(&Example, Option<Markup>)> = series.examples.iter().map(seen).collect();
        html! {
            h3.name { (series.name) }
            p.quiet {
                (examples.len()) " of " (series.broken) " broken samples, evenly spaced, each with the smallest perturbation found."
                @if examples.iter().any(|(_, pictures)| pictures.is_some()) {
                    " Of the change, red raises and blue lowers, with full colours at ±; channels are averaged."
                }
            }
            div.gallery {
                @for (example, pictures) in examples {
                    figure.example {
                        (pictures.unwrap_or_else(|| table(example, report)))
                        figcaption {
                            "sample " (example.sample) ", " code { (example.attack) }
                            @if let Some(distance) = example.distance { ", distance " (number(distance)) }
                            @if let Some(change) = &example.change { ", " code { (change.to_string()) } }
                        }
                    }
                }
            }
        }
    }
}

/// The sample, the perturbation and both together; none where they are no images.
fn triple(
    example: &Example,
    shape: &[usize],
    range: (f32, f32),
    report: &Report,
) -> Option<Markup> {
    let pictures = example.pictures(shape, range)?;
    let pictures = [&pictures.clean, &pictures.change, &pictures.perturbed];
    let limit = example.limit(shape)?;
    let scale = if limit > 0.0 {
        let gain = f64::from(range.1 - range.0) / f64::from(limit);
        vec![format!("× {}", number(gain)), format!("±{}", number(f64::from(limit)))]
    } else {
        vec!["0 on average".into()]
    };
    let [before, after] = outcome(example, report);
    let names = ["clean", "change", "perturbed"];
    Some(html! {
        div.triple {
            @for ((picture, name), told) in pictures.into_iter().zip(names).zip([before, scale, after]) {
                div {
                    img src=(picture.to_data_uri()) width=(picture.width()) height=(picture.height())
                        alt={ "sample " (example.sample) ", " (name) };
                    p { strong { (name) } @for part in told { span.name { (part) } } }
                }
            }
        }
    })
}

/// The features that changed most.
fn table(example: &Example, report: &Report) -> Markup {
    let pairs = example.clean.iter().zip(&example.perturbed).enumerate();
    let mut changes: Vec<(usize, f64, f64)> = pairs
        .map(|(feature, (from, to))| (feature, f64::from(*from), f64::from(*to)))
        .filter(|(_, from, to)| from.to_bits() != to.to_bits())
        .collect();
    let size = |(_, from, to): &(usize, f64, f64)| (to - from).abs();
    changes.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let [before, after] = outcome(example, report);
    html! {
        (scroll(&format!("Changes of sample {}", example.sample), html! {
            table {
                caption { "clean: " (list(&before)) "; perturbed: " (list(&after)) }
                thead {
                    tr { th scope="col" { "feature" } th scope="col" { "clean" } th scope="col" { "perturbed" } th scope="col" { "change" } }
                }
                tbody {
                    @for &(feature, from, to) in changes.iter().take(SHOWN) {
                        tr {
                            th scope="row" { (feature) } td { (number(from)) } td { (number(to)) }
                            td { (format!("{}{}", if to > from { "+" } else { "" }, number(to - from))) }
                        }
                    }
                }
            }
        }))
        @if changes.len() > SHOWN { p.quiet { "The " (SHOWN) " largest of " (changes.len()) " changes." } }
    }
}

fn list(parts: &[String]) -> Markup {
    html! { @for (at, part) in parts.iter().enumerate() { @if at > 0 { ", " } span.name { (part) } } }
}

/// What the model takes the sample for before and after, and how sure it is.
fn outcome(example: &Example, report: &Report) -> [Vec<String>; 2] {
    // The classes then say nothing but that.
    if report.is_objective() {
        return ["as it is", "objective achieved"].map(|told| vec![told.into()]);
    }
    let told = |class: usize, confidence: Option<f64>| {
        let sure = confidence.map(|of| percent(Some(of)));
        [format!("class {}", report.class_name(class))].into_iter().chain(sure).collect()
    };
    // What was attacked was classified correctly.
    [
        told(example.label, example.clean_confidence),
        told(example.prediction, Some(example.confidence)),
    ]
}
