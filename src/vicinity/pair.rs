//! How far one class is ahead of another.

use crate::goal::Aim;
use crate::loss::Loss;

/// The label's logit less the target's; without a target, less the largest other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead;

impl Loss for Lead {
    fn name(&self) -> &'static str {
        "lead"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let label = aim.label;
        let mut rival = aim.target.unwrap_or_else(|| usize::from(label == 0));
        if aim.target.is_none() {
            for (class, z) in logits.iter().enumerate() {
                if class != label && *z > logits[rival] {
                    rival = class;
                }
            }
        }
        gradient.fill(0.0);
        gradient[label] += 1.0;
        gradient[rival] -= 1.0;
        logits[label] - logits[rival]
    }
}
