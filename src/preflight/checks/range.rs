//! Data on another scale than the graph expects.

use crate::error::Result;
use crate::finding::Finding;
use crate::preflight::alternatives::{Alternative, best, is_chance, normalisations, scales};
use crate::preflight::subject::{Subject, span};

/// Values this small, all of them, have been divided once too often.
const TINY: f64 = 1.0 / 64.0;
/// Values that spread this much are pixels that nothing has scaled.
const HUGE: f64 = 16.0;
/// Below this accuracy, data in [0, 1] may be missing their normalisation.
const POOR: f64 = 0.8;

/// Suspects the scale where the values that enter the first linear layer are tiny, huge or 8-bit pixels, or lie in
/// [0, 1] while the accuracy is poor; warns only where another scale raises the accuracy significantly.
pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    if subject.setting.drawn || is_chance(subject) {
        return Ok(vec![]);
    }
    let (low, high) = span(&subject.inputs);
    let (low, high) = (f64::from(low), f64::from(high));
    let entry = subject.activity()?.and_then(|activity| activity.entry.clone());
    let (least, most, spread) =
        entry.as_ref().map_or((low, high, 0.0), |entry| (entry.min, entry.max, entry.std));
    let hits = subject.hits(&subject.logits);
    let accuracy = hits.iter().filter(|hit| **hit).count() as f64 / hits.len() as f64;
    let pixels =
        high > 1.0 && subject.inputs.iter().all(|x| (0.0..=255.0).contains(x) && x.fract() == 0.0);
    let mut suspected: Vec<Alternative> = vec![];
    if pixels || spread > HUGE || least.abs().max(most.abs()) <= TINY {
        suspected.extend(scales());
    }
    if pixels || (least >= 0.0 && most <= 1.0 && accuracy < POOR) {
        suspected.extend(normalisations(&subject.model.info().shape, pixels));
    }
    let Some(better) = best(subject, &hits, suspected)? else { return Ok(vec![]) };
    let place = match &entry {
        Some(entry) => format!(
            "the values that enter the first linear layer, `{}`, range from {least:.4} to {most:.4} (mean {:.4}, standard \
             deviation {:.4})",
            entry.node.node, entry.mean, entry.std
        ),
        None => format!("the data range from {low:.4} to {high:.4}"),
    };
    let message = format!(
        "{place}: {} raises the clean accuracy on {} samples from {:.1} % to {:.1} %",
        better.what,
        hits.len(),
        100.0 * accuracy,
        100.0 * better.accuracy
    );
    let nodes = entry.map(|entry| entry.node.node);
    Ok(vec![Finding::warning("data-range", message).at(nodes).remedy(better.remedy)])
}
