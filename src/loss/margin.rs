//! The C&W margin.

use super::Loss;
use crate::goal::Aim;

/// The C&W margin: largest other logit minus the label's; towards a target, the target's minus the largest other.
///
/// Carlini & Wagner 2017, f6, <https://doi.org/10.1109/SP.2017.49>. The first maximum takes the gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Margin;

impl Loss for Margin {
    fn name(&self) -> &'static str {
        "margin"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let (pivot, sign) = aim.target.map_or((aim.label, 1.0), |target| (target, -1.0));
        let mut rival = usize::from(pivot == 0);
        for (class, z) in logits.iter().enumerate() {
            if class != pivot && *z > logits[rival] {
                rival = class;
            }
        }
        gradient.fill(0.0);
        gradient[rival] = sign;
        gradient[pivot] = -sign;
        sign * (logits[rival] - logits[pivot])
    }
}
