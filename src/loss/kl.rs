//! The divergence from the prediction at the clean input.

use std::sync::Arc;

use super::{CrossEntropy, Loss};
use crate::goal::Aim;

/// KL: how far the softmax has moved from that at the clean input, `sum p_clean (ln p_clean - ln p)`; towards a target,
/// `ln p_target`, which is the negative divergence from certainty of it.
///
/// The loss of TRADES, Zhang et al. 2019, <https://arxiv.org/abs/1901.08573>. It needs no label. Its gradient is zero at
/// the clean input: begin at a random point. Without a clean input it measures from certainty of the label, which is
/// [`CrossEntropy`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Kl;

impl Loss for Kl {
    fn name(&self) -> &'static str {
        "kl"
    }

    fn needs_clean(&self) -> bool {
        true
    }

    fn at_clean(&self, clean: &[f32]) -> Option<Arc<dyn Loss>> {
        Some(Arc::new(Anchored { clean: log_softmax(clean) }))
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        CrossEntropy.value_and_gradient(logits, aim, gradient)
    }
}

/// The same for one sample.
#[derive(Debug)]
struct Anchored {
    /// `ln p_clean`.
    clean: Vec<f64>,
}

impl Loss for Anchored {
    fn name(&self) -> &'static str {
        "kl"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        if aim.target.is_some() {
            return CrossEntropy.value_and_gradient(logits, aim, gradient);
        }
        let mut divergence = 0.0;
        for ((g, before), now) in gradient.iter_mut().zip(&self.clean).zip(log_softmax(logits)) {
            let share = before.exp();
            // 0 ln 0 = 0, however unlikely the class is now.
            if share > 0.0 {
                divergence += share * (before - now);
            }
            *g = (now.exp() - share) as f32;
        }
        divergence as f32
    }
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = f64::from(logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b)));
    let sum: f64 = logits.iter().map(|&z| (f64::from(z) - largest).exp()).sum();
    logits.iter().map(|&z| f64::from(z) - largest - sum.ln()).collect()
}
