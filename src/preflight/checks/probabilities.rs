//! Outputs that are probabilities although no final softmax was found.

use crate::error::Result;
use crate::finding::Finding;
use crate::preflight::subject::Subject;

/// How far from 1 a sum of probabilities in single precision may be.
const SLACK: f64 = 1e-4;

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let is_distribution = |logits: &Vec<f32>| {
        let sum: f64 = logits.iter().map(|z| f64::from(*z)).sum();
        logits.iter().all(|z| (0.0..=1.0).contains(z)) && (sum - 1.0).abs() <= SLACK
    };
    if !subject.logits.iter().all(is_distribution) {
        return Ok(vec![]);
    }
    let message = "the outputs lie in [0, 1] and sum to 1 for every sample: they look like probabilities, whose loss \
                   has no gradient to speak of where the model is sure";
    let remedy = "name the tensor before the softmax as the output, or export the model without it";
    Ok(vec![Finding::warning("probabilities", message).remedy(remedy)])
}
