//! The attack of Carlini and Wagner.

use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::rows::Rows;
use super::trade::Trade;
use super::{Attack, Family, Gradient, Target, checks};
use crate::error::Result;
use crate::loss::LossKind;
use crate::model::LossGradient;
use crate::norm::Norm;
use crate::threat::Region;

/// C&W: Adam on the squared size plus c times what the margin lacks, with a search for the smallest c that succeeds.
///
/// # Threat model
/// White box (gradients). Minimal norm: l2; the budget plays no part. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 9 values of c, the first 0.001, with at most 1000 steps of Adam at rate 0.01 each, abandoned when a tenth of the steps
/// gained less than 0.01 %; confidence 0. The rate is in the units of the variable: those of the data where a feature has
/// no bounds, else of the tanh that maps it into them.
///
/// # Queries per sample
/// At most `searches` times `steps` forward and backward.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Carlini & Wagner 2017, <https://arxiv.org/abs/1608.04644>, sections V and VI.A, with f6.
///
/// # Differences
/// The paper takes up to 10 000 steps, most of which abandoning saves. The tanh ends 1 % beyond the bounds and is cut off
/// there: the clean input is met exactly, and features on a bound are not frozen, which an infinite variable would
/// do. A feature with an infinite bound is a plain variable. Where the gradient is identically zero nothing but the size
/// moves the point. Once there is a success, the rate is at most a tenth of its size spread over all features: the fixed
/// rate overshoots small perturbations of many features. The c of the first success is tried again at that rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cw {
    /// The most steps per value of c.
    pub steps: usize,
    /// How many values of c to try.
    pub searches: usize,
    /// The first c.
    pub c: f64,
    /// Adam's rate.
    pub rate: f64,
    /// By how much the margin is to be exceeded.
    pub confidence: f64,
    /// Whether to abandon a c when a tenth of the steps gained less than 0.01 %.
    pub abort_early: bool,
}

impl Default for Cw {
    fn default() -> Self {
        Self { steps: 1000, searches: 9, c: 1e-3, rate: 0.01, confidence: 0.0, abort_early: true }
    }
}

impl Attack for Cw {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "cw"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L2]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("steps", self.steps)?;
        checks::at_least_one("searches", self.searches)?;
        checks::positive("c", self.c)?;
        checks::positive("rate", self.rate)?;
        checks::not_negative("confidence", self.confidence)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let mut trades = vec![Trade::new(self.c); target.len()];
        let mut coarse = vec![true; target.len()];
        for _ in 0..self.searches {
            self.descend(target, &mut trades)?;
            for (slot, trade) in trades.iter_mut().enumerate() {
                // A coarse rate succeeds with a c that is too small, by overshooting: the same one once more.
                if trade.succeeded && std::mem::take(&mut coarse[slot]) {
                    trade.succeeded = false;
                } else {
                    trade.conclude();
                }
            }
        }
        Ok(())
    }
}

impl Cw {
    /// Minimises for one value of c per slot.
    fn descend(&self, target: &mut Target<'_, Gradient>, trades: &mut [Trade]) -> Result<()> {
        let loss = LossKind::Margin.loss();
        let mut points = Rows::clean(target);
        let mut descents: Vec<Descent> =
            (0..target.len()).map(|slot| Descent::new(&target.region(slot))).collect();
        // A rate much beyond the size that is looked for would only overshoot it.
        let spread = |distance: f64| distance / (10.0 * (target.features() as f64).sqrt());
        let finest: Vec<f64> = (0..target.len())
            .map(|slot| target.closest(slot).map_or(f64::INFINITY, |best| spread(best.distance)))
            .collect();
        let mut checked = vec![f64::INFINITY; target.len()];
        let (mut packed, mut answer) = (vec![], LossGradient::default());
        let mut slots: Vec<usize> = (0..target.len()).collect();
        for step in 0..self.steps {
            slots.retain(|&slot| target.affords(slot, 2));
            points.gather(&slots, &mut packed);
            target.loss_and_gradient(&slots, &packed, &loss, &mut answer)?;
            let check = self.abort_early && step % (self.steps / 10).max(1) == 0;
            let mut stays = vec![];
            let rows = answer.gradient.chunks_exact_mut(target.features().max(1)).zip(&answer.loss);
            let logits = answer.logits.chunks_exact(target.classes());
            for ((&slot, (gradient, &value)), logits) in slots.iter().zip(rows).zip(logits) {
                let (region, trade) = (target.region(slot), &mut trades[slot]);
                if !region.restrict(gradient) {
                    target.note_zero_gradient(slot);
                }
                let lack = (self.confidence - f64::from(value)).max(0.0);
                trade.succeeded |= target.aim(slot).is_met(logits) && lack <= 0.0;
                let point = points.row_mut(slot);
                let objective = region.distance(point).powi(2) + trade.c * lack;
                if check && objective > 0.9999 * checked[slot] {
                    continue;
                }
                if check {
                    checked[slot] = objective;
                }
                let weight = if lack > 0.0 { trade.c } else { 0.0 };
                descents[slot].step(&region, point, gradient, weight, (self.rate, finest[slot]));
                stays.push(slot);
            }
            slots = stays;
        }
        Ok(())
    }
}

/// How far beyond the bounds the tanh ends, as a share of half their distance.
const BEYOND: f64 = 1.01;

/// One sample's variables.
#[derive(Debug)]
struct Descent {
    variables: Vec<f64>,
    adams: Vec<Adam>,
}

impl Descent {
    fn new(region: &Region<'_>) -> Self {
        let start = |(feature, &clean): (usize, &f32)| {
            let clean = f64::from(clean);
            span(region, feature).map_or(clean, |(middle, half)| {
                let share = if half > 0.0 { (clean - middle) / (BEYOND * half) } else { 0.0 };
                share.atanh()
            })
        };
        let variables: Vec<f64> = region.clean.iter().enumerate().map(start).collect();
        let adams = vec![Adam::default(); variables.len()];
        Self { variables, adams }
    }

    /// One step down the squared size less `weight` times the margin loss with this gradient, at a rate of the variable
    /// or of the data, whichever is less.
    fn step(
        &mut self,
        region: &Region<'_>,
        point: &mut [f32],
        gradient: &[f32],
        weight: f64,
        (rate, finest): (f64, f64),
    ) {
        let rows = point.iter_mut().zip(gradient).zip(region.clean);
        for (feature, ((x, &g), &clean)) in rows.enumerate() {
            if !region.is_free(feature) {
                continue;
            }
            let span = span(region, feature);
            let slope = span.map_or(1.0, |(_, half)| {
                BEYOND * half * (1.0 - self.variables[feature].tanh().powi(2))
            });
            let change = f64::from(*x) - f64::from(clean);
            let g = (2.0 * change - weight * f64::from(g)) * slope;
            let variable = &mut self.variables[feature];
            let rate = rate.min(span.map_or(finest, |(_, half)| finest / (BEYOND * half)));
            *variable -= rate * self.adams[feature].step(g);
            let value =
                span.map_or(*variable, |(middle, half)| middle + BEYOND * half * variable.tanh());
            *x = value as f32;
        }
        region.project(point);
    }
}

/// The middle of a feature's bounds and half their distance; none where one is infinite.
fn span(region: &Region<'_>, feature: usize) -> Option<(f64, f64)> {
    let (lower, upper) = region.bounds_at(feature);
    let (lower, upper) = (f64::from(lower), f64::from(upper));
    let finite = lower.is_finite() && upper.is_finite();
    finite.then(|| (f64::midpoint(lower, upper), (upper - lower) / 2.0))
}
