//! The boundary attack: a random walk along the boundary, towards the clean input.

use serde::{Deserialize, Serialize};

use super::inquiry::{End, Inquiry};
use super::rows::Rows;
use super::{Attack, Decision, Family, Target, checks, start};
use crate::error::Result;
use crate::norm::Norm;
use crate::rng::Stream;
use crate::threat::Region;

/// The boundary attack: from an adversarial point, random steps at the same distance from the clean input and a little
/// towards it, taken where they stay adversarial.
///
/// # Threat model
/// Decision-based: it learns whether a point is adversarial, nothing else. Minimal norm: l2; the budget plays no part.
/// Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 10 000 queries; steps of 1 % of the distance at first, sideways as well as forward; a start from the nearest points of
/// the data set and `starts` 100 random ones.
///
/// # Queries per sample
/// At most `queries` forward; fewer where there is no start (at most 10 and ten times `starts`), or once steps forward are
/// below 1e-7 of the distance.
///
/// # Errors
/// When the model cannot be run, or the run was cancelled.
///
/// # Reference
/// Brendel, Rauber & Bethge 2018, <https://arxiv.org/abs/1712.04248>, section 2.
///
/// # Differences
/// Both steps are tuned query by query: a step sideways, which every tenth query tries without one forward, grows or
/// shrinks by a tenth, so that half of them stay adversarial; a step forward grows by three twentieths or shrinks by one, so
/// that a quarter do. The paper counts over a hundred queries. The start is the best of many, and on the boundary.
///
/// # Strength
/// Within 1.01 times the smallest perturbation on linear models of 8 to 500 features.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoundaryAttack {
    /// The most queries.
    pub queries: usize,
    /// The first step along the sphere around the clean input, as a share of the distance.
    pub sideways: f64,
    /// The first step towards the clean input, as a share of the distance.
    pub forward: f64,
    /// Random points to start from.
    pub starts: usize,
}

impl Default for BoundaryAttack {
    fn default() -> Self {
        Self { queries: 10_000, sideways: 0.01, forward: 0.01, starts: 100 }
    }
}

/// Every how many queries a step sideways is tried by itself.
const TRIAL: usize = 10;
/// The step forward, as a share of the distance, below which nothing is gained.
const LEAST: f64 = 1e-7;

impl Attack for BoundaryAttack {
    type Access = Decision;

    fn id(&self) -> &'static str {
        "boundary"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L2]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("queries", self.queries)?;
        checks::share("sideways", self.sideways)?;
        checks::positive("sideways", self.sideways)?;
        checks::share("forward", self.forward)?;
        checks::positive("forward", self.forward)?;
        checks::at_least_one("starts", self.starts)
    }

    fn run(&self, target: &mut Target<'_, Decision>) -> Result<()> {
        let mut walks = vec![];
        for slot in 0..target.len() {
            let mut inquiry = Inquiry::new(target, slot, self.queries);
            match start::find(&mut inquiry, self.starts) {
                Ok(Some(point)) => walks.push(Walk {
                    slot,
                    point,
                    left: inquiry.left(),
                    stream: inquiry.stream,
                    sideways: self.sideways,
                    forward: self.forward,
                }),
                Ok(None) | Err(End::Spent) => {}
                Err(End::Failed(error)) => return Err(error),
            }
        }
        let mut proposed = Rows::zeros(target);
        let mut packed = vec![];
        for step in 0.. {
            let is_trial = step % TRIAL == 0;
            walks
                .retain(|walk| walk.left > 0 && target.is_open(walk.slot) && walk.forward >= LEAST);
            if walks.is_empty() {
                break;
            }
            for walk in &mut walks {
                walk.propose(&target.region(walk.slot), is_trial, proposed.row_mut(walk.slot));
            }
            let slots: Vec<usize> = walks.iter().map(|walk| walk.slot).collect();
            proposed.gather(&slots, &mut packed);
            let met = target.decide(&slots, &packed)?;
            for (walk, met) in walks.iter_mut().zip(met) {
                walk.learn(is_trial, met, proposed.row(walk.slot));
            }
        }
        Ok(())
    }
}

/// One sample's walk.
#[derive(Debug)]
struct Walk {
    slot: usize,
    /// An adversarial point.
    point: Vec<f32>,
    stream: Stream,
    /// The queries left.
    left: usize,
    sideways: f64,
    forward: f64,
}

impl Walk {
    /// Writes a point of the sphere around the clean input that is `sideways` from the walk's, or, but for a trial, one
    /// that is nearer by `forward`.
    fn propose(&mut self, region: &Region<'_>, is_trial: bool, out: &mut [f32]) {
        region.random_direction(&mut self.stream, out);
        let away = |i: usize| f64::from(self.point[i]) - f64::from(region.clean[i]);
        let all = 0..out.len();
        let squares: f64 = all.clone().map(|i| away(i).powi(2)).sum();
        let along: f64 = all.clone().map(|i| f64::from(out[i]) * away(i)).sum();
        let share = if squares > 0.0 { along / squares } else { 0.0 };
        let aside = |out: &[f32], i: usize| f64::from(out[i]) - share * away(i);
        let length = all.clone().map(|i| aside(out, i).powi(2)).sum::<f64>().sqrt();
        let scale = self.sideways * squares.sqrt() / length.max(f64::MIN_POSITIVE);
        // Back from the tangent onto the sphere.
        let shrink = 1.0 / (1.0 + self.sideways.powi(2)).sqrt();
        let shrink = if is_trial { shrink } else { shrink * (1.0 - self.forward) };
        for i in all {
            let change = shrink * (away(i) + scale * aside(out, i));
            out[i] = (f64::from(region.clean[i]) + change) as f32;
        }
        region.project(out);
    }

    fn learn(&mut self, is_trial: bool, met: bool, proposed: &[f32]) {
        self.left -= 1;
        if is_trial {
            let factor = if met { 1.1 } else { 1.0 / 1.1 };
            self.sideways = (self.sideways * factor).min(1.0);
        } else {
            if met {
                self.point.copy_from_slice(proposed);
            }
            let factor = if met { 1.05_f64.powi(3) } else { 1.0 / 1.05 };
            self.forward = (self.forward * factor).min(0.5);
        }
    }
}
