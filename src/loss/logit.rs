//! The logit itself.

use super::Loss;
use crate::goal::Aim;

/// The logit loss: `-z_label`; towards a target, `z_target`.
///
/// Zhao et al. 2021, <https://arxiv.org/abs/2012.11207>. Its gradient does not fade however confident the
/// model is. Alone among the losses it changes when the same number is added to all logits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logit;

impl Loss for Logit {
    fn name(&self) -> &'static str {
        "logit"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let (pivot, sign) = aim.target.map_or((aim.label, -1.0), |target| (target, 1.0));
        gradient.fill(0.0);
        gradient[pivot] = sign;
        sign * logits[pivot]
    }
}
