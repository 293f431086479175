//! Data that do not fit the bounds of the threats.

use crate::error::Result;
use crate::finding::Finding;
use crate::preflight::subject::{Subject, span};
use crate::threat::Bounds;

/// How much wider than the data's range bounds may be before they are suspicious: between data in [0, 1] and bounds of
/// [0, 255], or a typing error, and data that use a part of their range.
const WIDER: f32 = 64.0;

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let mut seen: Vec<&Bounds> = vec![];
    let mut found = vec![];
    for threat in subject.setting.threats {
        if seen.contains(&&threat.bounds) || subject.setting.drawn {
            continue;
        }
        seen.push(&threat.bounds);
        if let Err(error) = subject.data.validate(&threat.bounds, subject.model.classes()) {
            let finding = Finding::error("data-outside-bounds", error.one_line());
            found.push(
                finding.remedy("set the bounds to what the data can be, or rescale the data"),
            );
            continue;
        }
        let (low, high) = span(&subject.inputs);
        if let Bounds::Uniform(lower, upper) = threat.bounds
            && upper - lower < f32::INFINITY
            && upper - lower > WIDER * (high - low)
        {
            let message = format!(
                "the bounds are [{lower}, {upper}], but the data range from {low} to {high}: a perturbed sample may lie \
                 far outside what a sample can be"
            );
            let remedy = "set the bounds to what the data can be";
            found.push(Finding::warning("bounds-too-wide", message).remedy(remedy));
        }
    }
    Ok(found)
}
