//! Sigma-zero.

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::schedule::cosine;
use super::{Attack, Family, Gradient, Target, checks};
use crate::error::Result;
use crate::loss::LossKind;
use crate::model::LossGradient;
use crate::norm::Norm;
use crate::threat::Region;

/// Sigma-zero: gradient steps on what the margin lacks plus a smooth count of the changed features, from which small
/// changes are dropped.
///
/// # Threat model
/// White box (gradients). Minimal norm: l0, the number of changed features; the budget plays no part. Untargeted and
/// targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features. The channels of an image's pixel are features of their own.
///
/// # Defaults
/// 1000 steps, whose largest change of a feature falls from 1 along a cosine; `sigma` 0.001; a first threshold of 0.3
/// that moves by 0.01 of a step. Lengths are in the units of the data, and meant for features in [0, 1].
///
/// # Queries per sample
/// `steps` + 1 forward and `steps` backward. The last forward query is at the last iterate.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Cinà et al. 2025, <https://arxiv.org/abs/2402.01879>, algorithm 1.
///
/// # Differences
/// Whether a point succeeds is read from the logits that come with its gradient. Where the model's gradient is
/// identically zero only the count moves the point; a clean input at which it is takes a random step.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigmaZero {
    /// Steps.
    pub steps: usize,
    /// The first step: the largest change that it makes to a feature.
    pub step: f64,
    /// How smooth the count is: a change whose square is this counts for half a feature.
    pub sigma: f64,
    /// Changes smaller than this are dropped at first.
    pub threshold: f64,
    /// By how much that moves, as a share of the step.
    pub tuning: f64,
}

impl Default for SigmaZero {
    fn default() -> Self {
        Self { steps: 1000, step: 1.0, sigma: 1e-3, threshold: 0.3, tuning: 0.01 }
    }
}

impl Attack for SigmaZero {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "sigma-zero"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L0]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("steps", self.steps)?;
        checks::positive("step", self.step)?;
        checks::positive("sigma", self.sigma)?;
        checks::not_negative("threshold", self.threshold)?;
        checks::not_negative("tuning", self.tuning)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let loss = LossKind::Margin.loss();
        let mut points = Rows::clean(target);
        let mut thresholds = vec![self.threshold; target.len()];
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
            let length = cosine(self.step, 0.0, step, self.steps);
            let rows = answer.gradient.chunks_exact_mut(target.features().max(1));
            let logits = answer.logits.chunks_exact(target.classes());
            for ((&slot, gradient), logits) in slots.iter().zip(rows).zip(logits) {
                let (region, point) = (target.region(slot), points.row_mut(slot));
                let met = target.aim(slot).is_met(logits);
                if !region.restrict(gradient) {
                    target.note_zero_gradient(slot);
                    if region.distance(point) <= 0.0 {
                        region.random_direction(&mut streams[slot], gradient);
                    }
                }
                if step > 0 {
                    let change = self.tuning * cosine(self.step, 0.0, step - 1, self.steps);
                    let moved = thresholds[slot] + if met { change } else { -change };
                    thresholds[slot] = moved.max(0.0);
                }
                if met {
                    gradient.fill(0.0);
                }
                self.step(&region, point, gradient, length);
                region.project(point);
                for (x, &clean) in point.iter_mut().zip(region.clean) {
                    if (f64::from(*x) - f64::from(clean)).abs() < thresholds[slot] {
                        *x = clean;
                    }
                }
            }
        }
        slots.retain(|&slot| target.affords(slot, 1));
        points.gather(&slots, &mut packed);
        target.submit(&slots, &packed)
    }
}

impl SigmaZero {
    /// One step up the margin loss and down the smooth count, by `length` in the feature that it changes most.
    fn step(&self, region: &Region<'_>, point: &mut [f32], gradient: &mut [f32], length: f64) {
        let share = 1.0 / gradient.len().max(1) as f64;
        let rows = gradient.iter_mut().zip(&*point).zip(region.clean).enumerate();
        for (_, ((g, &x), &clean)) in rows.filter(|(feature, _)| region.is_free(*feature)) {
            let change = f64::from(x) - f64::from(clean);
            let slope = 2.0 * self.sigma * change / (change * change + self.sigma).powi(2);
            *g = (f64::from(*g) - share * slope) as f32;
        }
        let largest = gradient.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
        if largest > 0.0 {
            let scale = length / f64::from(largest);
            for (x, &g) in point.iter_mut().zip(&*gradient) {
                *x = (f64::from(*x) + scale * f64::from(g)) as f32;
            }
        }
    }
}
