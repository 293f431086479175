//! The difference of two logits.

use crate::goal::Aim;
use crate::loss::Loss;

/// `z_target - z_label` of an aim that has both.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogitDifference;

impl Loss for LogitDifference {
    fn name(&self) -> &'static str {
        "logit-difference"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        gradient.fill(0.0);
        let target = aim.target.unwrap_or(aim.label);
        gradient[aim.label] -= 1.0;
        gradient[target] += 1.0;
        logits[target] - logits[aim.label]
    }
}
