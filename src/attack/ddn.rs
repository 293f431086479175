//! Decoupled direction and norm.

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::schedule::cosine;
use super::{Attack, Family, Gradient, Target, checks};
use crate::error::Result;
use crate::loss::LossKind;
use crate::model::LossGradient;
use crate::norm::Norm;
use crate::threat::StepSize;

/// DDN: steps along the gradient on a sphere that shrinks after every success and grows after every failure.
///
/// # Threat model
/// White box (gradients). Minimal norm: l2; the budget plays no part. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 300 steps on cross-entropy, whose length falls from 1 to 0.01 along a cosine; a first radius of 1 that changes by 5 %.
/// Lengths are in the units of the data, and meant for features in [0, 1].
///
/// # Queries per sample
/// `steps` + 1 forward and `steps` backward. The last forward query is at the last iterate.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Rony et al. 2019, <https://arxiv.org/abs/1811.09600>, algorithm 1.
///
/// # Differences
/// Of the paper's 100, 300 and 1000 steps, 300 is the default: with 100, no radius below 0.006 is reached. Points are not
/// rounded to 256 levels. Where the gradient is identically zero the step is random.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddn {
    /// Steps.
    pub steps: usize,
    /// The first radius.
    pub radius: f64,
    /// By which share the radius changes.
    pub gamma: f64,
    /// The first step.
    pub step: f64,
    /// The last step.
    pub last_step: f64,
    /// The loss to maximise.
    pub loss: LossKind,
}

impl Default for Ddn {
    fn default() -> Self {
        let loss = LossKind::CrossEntropy;
        Self { steps: 300, radius: 1.0, gamma: 0.05, step: 1.0, last_step: 0.01, loss }
    }
}

impl Attack for Ddn {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "ddn"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L2]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("steps", self.steps)?;
        checks::positive("radius", self.radius)?;
        checks::share("gamma", self.gamma)?;
        checks::positive("step", self.step)?;
        checks::positive("last_step", self.last_step)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let loss = self.loss.loss();
        let mut points = Rows::clean(target);
        let mut radii = vec![self.radius; target.len()];
        let mut streams: Vec<_> = (0..target.len()).map(|slot| target.stream(slot, 0)).collect();
        let (mut packed, mut answer) = (vec![], LossGradient::default());
        let mut slots: Vec<usize> = (0..target.len()).collect();
        for step in 0..self.steps {
            slots.retain(|&slot| target.affords(slot, 1));
            // A step is worth its queries only if the point that it leads to can be asked about. Every slot has asked as
            // much as the others: all can afford that, or none.
            if !slots.iter().all(|&slot| target.affords(slot, 3)) {
                break;
            }
            points.gather(&slots, &mut packed);
            target.loss_and_gradient(&slots, &packed, &loss, &mut answer)?;
            let length = cosine(self.step, self.last_step, step, self.steps);
            let rows = answer.gradient.chunks_exact_mut(target.features().max(1));
            let logits = answer.logits.chunks_exact(target.classes());
            for ((&slot, gradient), logits) in slots.iter().zip(rows).zip(logits) {
                let (region, point) = (target.region(slot), points.row_mut(slot));
                if !region.restrict(gradient) {
                    target.note_zero_gradient(slot);
                    region.random_direction(&mut streams[slot], gradient);
                }
                region.step(point, gradient, StepSize::Absolute(length));
                let met = target.aim(slot).is_met(logits);
                radii[slot] *= 1.0 + if met { -self.gamma } else { self.gamma };
                let size = region.distance(point);
                let scale = if size > 0.0 { radii[slot] / size } else { 0.0 };
                for (x, &clean) in point.iter_mut().zip(region.clean) {
                    let (from, to) = (f64::from(clean), f64::from(*x));
                    *x = (from + scale * (to - from)) as f32;
                }
                region.project(point);
            }
        }
        slots.retain(|&slot| target.affords(slot, 1));
        points.gather(&slots, &mut packed);
        target.submit(&slots, &packed)
    }
}
