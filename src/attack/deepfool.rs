//! DeepFool.

use serde::{Deserialize, Serialize};

use super::boundary::{Boundaries, Rivals};
use super::rows::Rows;
use super::{Attack, Family, Gradient, Target, checks};
use crate::error::Result;
use crate::norm::Norm;

/// DeepFool: steps to the nearest linearised decision boundary until it is crossed.
///
/// # Threat model
/// White box (gradients). Minimal norm: l2, linf; the budget plays no part. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// At most 50 steps, the 10 classes with the largest logits at the clean input (the label among them), an overshoot of
/// 0.02.
///
/// # Queries per sample
/// At most 1 forward, and per step one gradient (forward and backward) per class but the label, and a forward pass; one
/// gradient towards a target.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Moosavi-Dezfooli et al. 2016, <https://arxiv.org/abs/1511.04599>, algorithm 2 and section 3.3.
///
/// # Differences
/// The paper knows no bounds: a step is computed without them, and the iterate projected. The iterate is the clean input plus
/// 1 + overshoot times the steps so far, it is asked about after every step rather than at the end, and every step goes
/// 1e-4 beyond the linearised boundary: all three as in the authors' code, but 1e-4 is at most a hundredth of the
/// perturbation. Towards a target, the boundary is the one to the largest logit other than the target's. Where all
/// gradients are zero the attack ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeepFool {
    /// The most steps.
    pub steps: usize,
    /// How many classes to consider, the label among them.
    pub classes: usize,
    /// How far to go beyond the boundary, as a share of the perturbation.
    pub overshoot: f64,
}

/// What every step goes beyond the linearised boundary, in the units of the data and as a share of the perturbation, whichever
/// is less: without it, steps that the box cuts short creep up to the boundary and never cross it.
const BEYOND: (f64, f64) = (1e-4, 0.01);

impl Default for DeepFool {
    fn default() -> Self {
        Self { steps: 50, classes: 10, overshoot: 0.02 }
    }
}

impl Attack for DeepFool {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "deepfool"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L2, Norm::Linf]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("steps", self.steps)?;
        if self.classes < 2 {
            let expected = "expected 2 or more, the label among them";
            return Err(crate::Error::parameter("classes", self.classes, expected));
        }
        checks::not_negative("overshoot", self.overshoot)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let mut points = Rows::clean(target);
        let mut moved = Rows::zeros(target);
        let mut boundaries = Boundaries::new(target);
        let (mut packed, mut logits) = (vec![], vec![]);
        let mut near = vec![0.0; target.features()];
        let mut slots: Vec<usize> = (0..target.len()).filter(|&s| target.affords(s, 1)).collect();
        points.gather(&slots, &mut packed);
        target.logits(&slots, &packed, &mut logits)?;
        let rivals = Rivals::ranked(target, &slots, &logits).first(self.classes - 1);
        for _ in 0..self.steps {
            let cost = |slot: usize| 2 * rivals.count(slot) as u64 + 1;
            slots.retain(|&slot| !target.is_broken(slot) && target.affords(slot, cost(slot)));
            boundaries.linearise(target, &slots, &rivals, &points)?;
            // A gradient query at a point that was asked about before breaks nothing new.
            slots.retain(|&slot| !target.is_closed(slot) && boundaries.is_known(slot));
            for &slot in &slots {
                let (region, point) = (target.region(slot), points.row_mut(slot));
                let size = region.distance(point) + boundaries.distance(slot);
                boundaries.push_back(slot, &region, BEYOND.0.min(BEYOND.1 * size));
                boundaries.reach(slot, &region.without_box(), point, point, &mut near);
                let rows = moved.row_mut(slot).iter_mut().zip(&near).zip(region.clean);
                for (x, ((moved, near), clean)) in point.iter_mut().zip(rows) {
                    *moved += near - *x;
                    let step = (1.0 + self.overshoot) * f64::from(*moved);
                    *x = (f64::from(*clean) + step) as f32;
                }
                region.project(point);
            }
            points.gather(&slots, &mut packed);
            target.submit(&slots, &packed)?;
        }
        Ok(())
    }
}
