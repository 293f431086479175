//! What the attacker wants of a sample.

use serde::{Deserialize, Serialize};

/// The attacker's aim over a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Goal {
    /// Any class but the label.
    #[default]
    Untargeted,
    /// This class, for every sample. Samples that carry it as their label are not attacked.
    Class(usize),
    /// One class per sample of the data set, in its order.
    PerSample(Vec<usize>),
    /// A class other than the label, drawn from the sample's own stream.
    Random,
    /// The class with the smallest logit at the clean input (the label excepted).
    LeastLikely,
    /// The class with the k-th largest logit at the clean input (the label excepted): 1 is the likeliest wrong class.
    KthLikely(usize),
    /// Every class but the label: each attack is aimed at one after the other, the likeliest at the clean input first. A
    /// sample is broken as soon as the model takes it for any of them.
    EveryOther,
}

/// The attacker's aim on one sample: a [`Goal`] once it is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The true class.
    pub label: usize,
    /// The class to reach; none when any wrong class will do.
    pub target: Option<usize>,
}

impl Aim {
    /// Any class but `label`.
    #[must_use]
    pub fn untargeted(label: usize) -> Self {
        Self { label, target: None }
    }

    /// The class `target` in place of `label`.
    #[must_use]
    pub fn targeted(label: usize, target: usize) -> Self {
        Self { label, target: Some(target) }
    }

    /// Whether these logits mean success: the first argmax differs from the label, or equals the target.
    #[must_use]
    pub fn is_met(&self, logits: &[f32]) -> bool {
        let prediction = argmax(logits);
        self.target.map_or(prediction != self.label, |target| prediction == target)
    }

    /// How far the logits are from success: negative or zero once the aim's class leads.
    ///
    /// Untargeted `z_label - max z_other`, targeted `max z_other - z_target`.
    #[must_use]
    pub fn margin(&self, logits: &[f32]) -> f32 {
        let pivot = self.target.unwrap_or(self.label);
        let other = logits
            .iter()
            .enumerate()
            .filter(|&(class, _)| class != pivot)
            .fold(f32::NEG_INFINITY, |best, (_, &z)| best.max(z));
        if self.target.is_some() { other - logits[pivot] } else { logits[pivot] - other }
    }
}

/// The classes other than `label`, the largest logit first (the first of equals).
pub(crate) fn likeliest(logits: &[f32], label: usize) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..logits.len()).filter(|class| *class != label).collect();
    classes.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    classes
}

/// The probability that a softmax of these logits gives the prediction, computed in f64: how sure the model is.
#[must_use]
pub fn confidence(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    1.0 / logits.iter().map(|z| (f64::from(*z) - f64::from(largest)).exp()).sum::<f64>()
}

/// The first index of the largest value: the prediction.
#[must_use]
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
