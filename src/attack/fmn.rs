//! The fast minimum-norm attack.

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::schedule::cosine;
use super::{Attack, Family, Gradient, Target, checks};
use crate::error::Result;
use crate::loss::LossKind;
use crate::model::LossGradient;
use crate::norm::{Norm, Radius};

/// FMN: steps along the gradient of the margin, projected into a ball whose radius follows the boundary.
///
/// # Threat model
/// White box (gradients). Minimal norm: l0, l1, l2, linf; the budget plays no part. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 1000 steps of l2 length 1 that falls to 0.01, and a radius that changes by 5 % at first and 0.01 % at last, both along
/// a cosine. Lengths are in the units of the data, and meant for features in [0, 1].
///
/// # Queries per sample
/// `steps` + 1 forward and `steps` backward. The last forward query is at the last iterate.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Pintor et al. 2021, <https://arxiv.org/abs/2102.12827>, algorithm 1.
///
/// # Differences
/// Before the first success, the radius is the estimated distance of the boundary and a share `gamma` of it: at the
/// distance itself, an affine margin is never crossed. A step is brought within the bounds before the ball, so that no
/// feature that a bound stops takes up the radius. In l0, the features that are kept are those that change most, which
/// need not matter most; [`SigmaZero`](super::SigmaZero) finds fewer. Where the gradient is identically zero the step is random.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fmn {
    /// Steps.
    pub steps: usize,
    /// The first step, an l2 length in the units of the data.
    pub step: f64,
    /// The last step; a hundredth of the first when it is not given.
    pub last_step: Option<f64>,
    /// By which share the radius changes at first.
    pub gamma: f64,
    /// By which share the radius changes at last.
    pub last_gamma: f64,
}

impl Default for Fmn {
    fn default() -> Self {
        Self { steps: 1000, step: 1.0, last_step: None, gamma: 0.05, last_gamma: 1e-4 }
    }
}

impl Attack for Fmn {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "fmn"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L0, Norm::L1, Norm::L2, Norm::Linf]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("steps", self.steps)?;
        checks::positive("step", self.step)?;
        self.last_step.map_or(Ok(()), |step| checks::positive("last_step", step))?;
        checks::share("gamma", self.gamma)?;
        checks::share("last_gamma", self.last_gamma)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let loss = LossKind::Margin.loss();
        let mut points = Rows::clean(target);
        let mut radii = vec![f64::INFINITY; target.len()];
        let mut streams: Vec<_> = (0..target.len()).map(|slot| target.stream(slot, 0)).collect();
        let (mut packed, mut answer) = (vec![], LossGradient::default());
        let mut slots: Vec<usize> = (0..target.len()).collect();
        let last_step = self.last_step.unwrap_or(self.step / 100.0);
        for step in 0..self.steps {
            slots.retain(|&slot| target.affords(slot, 1));
            // A step is worth its queries only if the point that it leads to can be asked about. Every slot has asked as
            // much as the others: all can afford that, or none.
            if !slots.iter().all(|&slot| target.affords(slot, 3)) {
                break;
            }
            points.gather(&slots, &mut packed);
            target.loss_and_gradient(&slots, &packed, &loss, &mut answer)?;
            let length = cosine(self.step, last_step, step, self.steps);
            let gamma = cosine(self.gamma, self.last_gamma, step, self.steps);
            let rows = answer.gradient.chunks_exact_mut(target.features().max(1)).zip(&answer.loss);
            let logits = answer.logits.chunks_exact(target.classes());
            for ((&slot, (gradient, &value)), logits) in slots.iter().zip(rows).zip(logits) {
                let (region, point) = (target.region(slot), points.row_mut(slot));
                let slope = if region.restrict(gradient) {
                    region.norm.dual_size(gradient)
                } else {
                    target.note_zero_gradient(slot);
                    region.random_direction(&mut streams[slot], gradient);
                    0.0
                };
                let (size, best) = (region.distance(point), target.closest(slot));
                let known = radii[slot];
                radii[slot] = if target.aim(slot).is_met(logits) {
                    let best = best.map_or(size, |best| best.distance);
                    region.norm.shrunk(known, gamma).min(best)
                } else if best.is_some() {
                    region.norm.grown(known, gamma)
                } else {
                    let gap = -f64::from(value);
                    region.norm.grown(size + region.norm.to_boundary(gap, slope), gamma)
                };
                Norm::L2.step(point, gradient, |_| length, |feature| region.bounds_at(feature));
                region.project(point);
                region.with_radius(Radius::Scalar(radii[slot])).project(point);
            }
        }
        slots.retain(|&slot| target.affords(slot, 1));
        points.gather(&slots, &mut packed);
        target.submit(&slots, &packed)
    }
}
