//! Elastic-net attacks to deep networks.

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::trade::Trade;
use super::{Attack, Family, Gradient, Target, checks};
use crate::error::Result;
use crate::loss::LossKind;
use crate::model::LossGradient;
use crate::norm::Norm;
use crate::threat::Region;

/// EAD: shrinkage and momentum on the squared size plus `beta` times the l1 size plus c times what the margin lacks, with
/// a search for the smallest c that succeeds.
///
/// # Threat model
/// White box (gradients). Minimal norm: l1; the budget plays no part. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 9 values of c, the first 0.001, with 1000 steps each; `beta` 0.01, a rate of 0.01 that falls with the root of the
/// steps left, confidence 0. Lengths are in the units of the data, and meant for features in [0, 1].
///
/// # Queries per sample
/// At most `searches` times `steps`: twice that forward, once backward.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Chen et al. 2018, <https://arxiv.org/abs/1709.04114>, equations 4 to 6 and algorithm 1, with the l1 decision rule.
///
/// # Differences
/// Of the paper's values of `beta`, from 0.0001 to 0.1, the default is 0.01: with the 0.001 that most of its tables have, the
/// squared size weighs so much that the l1 size of the best point on an affine margin exceeds the smallest by up to a
/// quarter. Where the gradient is identically zero nothing but the size moves the point.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ead {
    /// Steps per value of c.
    pub steps: usize,
    /// How many values of c to try.
    pub searches: usize,
    /// The first c.
    pub c: f64,
    /// By how much every step shrinks every change.
    pub beta: f64,
    /// The first rate.
    pub rate: f64,
    /// By how much the margin is to be exceeded.
    pub confidence: f64,
}

impl Default for Ead {
    fn default() -> Self {
        Self { steps: 1000, searches: 9, c: 1e-3, beta: 1e-2, rate: 0.01, confidence: 0.0 }
    }
}

impl Attack for Ead {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "ead"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L1]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("steps", self.steps)?;
        checks::at_least_one("searches", self.searches)?;
        checks::positive("c", self.c)?;
        checks::not_negative("beta", self.beta)?;
        checks::positive("rate", self.rate)?;
        checks::not_negative("confidence", self.confidence)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let mut trades = vec![Trade::new(self.c); target.len()];
        for _ in 0..self.searches {
            self.descend(target, &mut trades)?;
            trades.iter_mut().for_each(Trade::conclude);
        }
        Ok(())
    }
}

impl Ead {
    /// Minimises for one value of c per slot.
    fn descend(&self, target: &mut Target<'_, Gradient>, trades: &mut [Trade]) -> Result<()> {
        let loss = LossKind::Margin.loss();
        let mut points = Rows::clean(target);
        let mut ahead = Rows::clean(target);
        let (mut packed, mut logits, mut answer) = (vec![], vec![], LossGradient::default());
        let mut slots: Vec<usize> = (0..target.len()).collect();
        for step in 0..self.steps {
            slots.retain(|&slot| target.affords(slot, 3));
            ahead.gather(&slots, &mut packed);
            target.loss_and_gradient(&slots, &packed, &loss, &mut answer)?;
            let rate = self.rate * (1.0 - step as f64 / self.steps as f64).sqrt();
            let momentum = step as f64 / (step as f64 + 3.0);
            let rows = answer.gradient.chunks_exact_mut(target.features().max(1)).zip(&answer.loss);
            for (&slot, (gradient, &value)) in slots.iter().zip(rows) {
                let region = target.region(slot);
                if !region.restrict(gradient) {
                    target.note_zero_gradient(slot);
                }
                let active = f64::from(value) < self.confidence;
                let weight = if active { trades[slot].c } else { 0.0 };
                let (point, ahead) = (points.row_mut(slot), ahead.row_mut(slot));
                self.shrink(&region, point, ahead, gradient, (weight, rate, momentum));
            }
            slots.retain(|&slot| !target.is_closed(slot));
            points.gather(&slots, &mut packed);
            target.logits(&slots, &packed, &mut logits)?;
            for (&slot, logits) in slots.iter().zip(logits.chunks_exact(target.classes())) {
                let aim = target.aim(slot);
                let clears = f64::from(-aim.margin(logits)) >= self.confidence;
                trades[slot].succeeded |= aim.is_met(logits) && clears;
            }
        }
        Ok(())
    }

    /// One step: `point` from the gradient at `ahead`, then `ahead` from the way that `point` went.
    fn shrink(
        &self,
        region: &Region<'_>,
        point: &mut [f32],
        ahead: &mut [f32],
        gradient: &[f32],
        (weight, rate, momentum): (f64, f64, f64),
    ) {
        let rows = point.iter_mut().zip(&mut *ahead).zip(gradient).zip(region.clean);
        for (feature, (((x, y), &g), &clean)) in rows.enumerate() {
            let (lower, upper) = region.bounds_at(feature);
            let change = f64::from(*y) - f64::from(clean);
            let moved = change - rate * (2.0 * change - weight * f64::from(g));
            let kept = (moved.abs() - self.beta).max(0.0).copysign(moved);
            let next = ((f64::from(clean) + kept) as f32).max(lower).min(upper);
            *y = (f64::from(next) + momentum * (f64::from(next) - f64::from(*x))) as f32;
            *x = next;
        }
        region.project(point);
        region.project(ahead);
    }
}
