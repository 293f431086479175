//! The difference of logits ratio, which no scaling or shifting of the logits changes.

use super::Loss;
use crate::goal::Aim;

/// Keeps the ratio finite where the logits that it divides by are equal.
const LEAST: f64 = 1e-12;

/// DLR: `-(z_label - max z_other) / (z_(1) - z_(3))`, with `z_(k)` the k-th largest logit; towards a target,
/// `(z_target - max z_other) / (z_(1) - z_(3))`. Three classes or more.
///
/// Croce & Hein 2020, equation 6, <https://arxiv.org/abs/2003.01690>; 1e-12 is added to the denominator. Among equal
/// logits the first is the larger: it takes the gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dlr;

impl Loss for Dlr {
    fn name(&self) -> &'static str {
        "dlr"
    }

    fn min_classes(&self) -> usize {
        3
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let [first, second, third] = largest(logits);
        let (pivot, sign) = aim.target.map_or((aim.label, 1.0), |target| (target, -1.0));
        let rival = if first == pivot { second } else { first };
        ratio(logits, [(rival, sign), (pivot, -sign)], &[(first, 1.0), (third, -1.0)], gradient)
    }
}

/// Targeted DLR: `-(z_label - z_target) / (z_(1) - (z_(3) + z_(4)) / 2)`. Four classes or more.
///
/// Croce & Hein 2020, equation 7, <https://arxiv.org/abs/2003.01690>; 1e-12 is added to the denominator. Where the
/// aim has no target, the largest logit but the label's stands for it. Among equal logits the first is the larger.
#[derive(Clone, Copy, Debug, Default)]
pub struct DlrTargeted;

impl Loss for DlrTargeted {
    fn name(&self) -> &'static str {
        "dlr-t"
    }

    fn min_classes(&self) -> usize {
        4
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let [first, second, third, fourth] = largest(logits);
        let rival = if first == aim.label { second } else { first };
        let over = [(aim.target.unwrap_or(rival), 1.0), (aim.label, -1.0)];
        ratio(logits, over, &[(first, 1.0), (third, -0.5), (fourth, -0.5)], gradient)
    }
}

/// The ratio of two weighted sums of logits, and its gradient.
fn ratio(
    logits: &[f32],
    over: [(usize, f64); 2],
    under: &[(usize, f64)],
    gradient: &mut [f32],
) -> f32 {
    let sum = |terms: &[(usize, f64)]| -> f64 {
        terms.iter().map(|&(class, weight)| weight * f64::from(logits[class])).sum()
    };
    let (numerator, denominator) = (sum(&over), sum(under) + LEAST);
    let value = numerator / denominator;
    gradient.fill(0.0);
    // At most five classes, of which some are the same: the f32 holds each sum to its own rounding.
    for &(class, weight) in &over {
        gradient[class] += (weight / denominator) as f32;
    }
    for &(class, weight) in under {
        gradient[class] -= (weight * value / denominator) as f32;
    }
    value as f32
}

/// The classes of the `K` largest logits, largest first and the first of equals before the next.
fn largest<const K: usize>(logits: &[f32]) -> [usize; K] {
    let mut best = [usize::MAX; K];
    for (class, z) in logits.iter().enumerate() {
        let above = |place: &usize| logits.get(*place).is_none_or(|known| z > known);
        if let Some(place) = best.iter().position(above) {
            best[place..].rotate_right(1);
            best[place] = class;
        }
    }
    best
}
