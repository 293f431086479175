//! What a batch of samples is attacked with.

use super::starts::Starts;
use crate::cancel::Cancel;
use crate::goal::Aim;
use crate::model::Classifier;
use crate::threat::Threat;

/// One sample under attack.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Its index in the data set, which keys its random stream.
    pub id: usize,
    /// The clean input.
    pub clean: &'a [f32],
    /// The attacker's aim.
    pub aim: Aim,
}

/// What a batch of samples is attacked with and under.
#[derive(Clone, Debug)]
pub struct Session<'a> {
    /// The model.
    pub model: &'a dyn Classifier,
    /// What the attacker may do.
    pub threat: &'a Threat,
    /// The run's seed.
    pub seed: u64,
    /// Forward and backward passes allowed per sample; unlimited when none.
    pub query_limit: Option<u64>,
    /// Points from which an attack that only sees decisions may start.
    pub starts: Starts<'a>,
    /// By how much logits must be beyond success to count as one. Infinite: nothing does, so that no attack stops early,
    /// and the point furthest beyond is kept.
    pub confidence: f32,
    /// The flag that stops the run.
    pub cancel: Cancel,
}

impl<'a> Session<'a> {
    /// A session with seed 0, no query limit, no points to start from and confidence 0.
    #[must_use]
    pub fn new(model: &'a dyn Classifier, threat: &'a Threat) -> Self {
        let (starts, cancel) = (Starts::default(), Cancel::default());
        Self { model, threat, seed: 0, query_limit: None, starts, confidence: 0.0, cancel }
    }

    /// Whether logits count as success.
    pub(super) fn is_met(&self, aim: Aim, logits: &[f32]) -> bool {
        aim.is_met(logits) && aim.margin(logits) <= -self.confidence
    }
}
