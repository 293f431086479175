//! Cross-entropy.

use super::Loss;
use crate::goal::Aim;

/// Cross-entropy from logits by log-sum-exp: `lse(z) - z_label`; towards a target, `z_target - lse(z)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropy;

impl Loss for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let (pivot, sign) = aim.target.map_or((aim.label, 1.0), |target| (target, -1.0));
        let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let weight = |z: f32| (f64::from(z) - f64::from(largest)).exp();
        let own = weight(logits[pivot]);
        let mut rest = 0.0;
        for (class, (g, &z)) in gradient.iter_mut().zip(logits).enumerate() {
            if class != pivot {
                let weight = weight(z);
                *g = weight as f32;
                rest += weight;
            }
        }
        // Not 1 - p, which is 0 in floating point long before the other classes' share is.
        let scale = sign / (own + rest);
        gradient.iter_mut().for_each(|g| *g = (scale * f64::from(*g)) as f32);
        gradient[pivot] = (-scale * rest) as f32;
        let gap = f64::from(largest) - f64::from(logits[pivot]);
        (sign * if gap > 0.0 { (own + rest).ln() + gap } else { rest.ln_1p() }) as f32
    }
}
