//! Zeroth-order optimisation: C&W's objective, one coordinate at a time.

use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::trade::Trade;
use super::{Attack, Family, Score, Target, checks};
use crate::error::Result;
use crate::norm::Norm;
use crate::rng::Stream;
use crate::threat::Region;

/// ZOO: Adam on the squared size plus c times what the margin lacks, coordinate by coordinate along differences of scores,
/// with a search for the smallest c that succeeds.
///
/// # Threat model
/// Score-based (logits, no gradients). Minimal norm: l2; the budget plays no part. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 9 values of c, the first 0.01, with at most 1000 steps each, abandoned when a tenth of the steps gained less than 0.01 %.
/// A step moves 128 random coordinates by Adam at rate 0.01, along differences between `delta` 0.0001 to either side, in the
/// units of the data. Confidence 0.
///
/// # Queries per sample
/// At most `searches` times `steps` times twice `coordinates` and 1, forward: 2.3 million.
///
/// # Errors
/// When the model cannot be run, or the run was cancelled.
///
/// # Reference
/// Chen et al. 2017, <https://arxiv.org/abs/1708.03999>, section 3 and algorithm 2 (ZOO-ADAM), on logits.
///
/// # Differences
/// The paper attacks log-probabilities. Points are clipped to the bounds, where it maps small images into them by a tanh. Of
/// the paper's 1000 to 3000 steps, 1000. Not part of it: Newton's method (second differences vanish in single precision),
/// attacks in fewer dimensions, and the importance of coordinates. As in [`Cw`](super::Cw), the rate is at most a tenth of
/// the size of the best success spread over all features, and the c of the first success is tried again at that rate.
/// Where the data have levels or groups, the points of a difference are a step or a switch from the iterate at least.
///
/// # Strength
/// Within 1.01 times the smallest perturbation on linear models of 8 to 500 features.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Zoo {
    /// The most steps per value of c.
    pub steps: usize,
    /// How many values of c to try.
    pub searches: usize,
    /// The first c.
    pub c: f64,
    /// Adam's rate.
    pub rate: f64,
    /// Coordinates per step.
    pub coordinates: usize,
    /// How far the two points of a difference are from the iterate.
    pub delta: f64,
    /// By how much the margin is to be exceeded.
    pub confidence: f64,
    /// Whether to abandon a c when a tenth of the steps gained less than 0.01 %.
    pub abort_early: bool,
}

impl Default for Zoo {
    fn default() -> Self {
        Self {
            steps: 1000,
            searches: 9,
            c: 0.01,
            rate: 0.01,
            coordinates: 128,
            delta: 1e-4,
            confidence: 0.0,
            abort_early: true,
        }
    }
}

impl Attack for Zoo {
    type Access = Score;

    fn id(&self) -> &'static str {
        "zoo"
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
        checks::at_least_one("coordinates", self.coordinates)?;
        checks::positive("delta", self.delta)?;
        checks::not_negative("confidence", self.confidence)
    }

    fn run(&self, target: &mut Target<'_, Score>) -> Result<()> {
        for slot in 0..target.len() {
            let (mut trade, mut coarse) = (Trade::new(self.c), true);
            let mut stream = target.stream(slot, 0);
            for _ in 0..self.searches {
                let mut descent = Descent::new(target, slot);
                descent.run(self, target, &mut trade, &mut stream)?;
                // A coarse rate succeeds with a c that is too small, by overshooting: the same one once more.
                if trade.succeeded && std::mem::take(&mut coarse) {
                    trade.succeeded = false;
                } else {
                    trade.conclude();
                }
            }
        }
        Ok(())
    }
}

/// The descent on one sample for one c.
#[derive(Debug)]
struct Descent<'a> {
    slot: usize,
    region: Region<'a>,
    free: Vec<usize>,
    point: Vec<f32>,
    adams: Vec<Adam>,
    /// The points asked about: the iterate, then those before and behind it along each coordinate.
    probes: Vec<f32>,
    logits: Vec<f32>,
}

impl<'a> Descent<'a> {
    fn new(target: &Target<'a, Score>, slot: usize) -> Self {
        let region = target.region(slot);
        let free = (0..target.features()).filter(|&feature| region.is_free(feature)).collect();
        let point = region.clean.to_vec();
        let adams = vec![Adam::default(); point.len()];
        Self { slot, region, free, point, adams, probes: vec![], logits: vec![] }
    }

    fn run(
        &mut self,
        zoo: &Zoo,
        target: &mut Target<'_, Score>,
        trade: &mut Trade,
        stream: &mut Stream,
    ) -> Result<()> {
        // A rate much beyond the size that is looked for would only overshoot it.
        let spread = |distance: f64| distance / (10.0 * (self.point.len() as f64).sqrt());
        let closest = target.closest(self.slot);
        let rate = closest.map_or(zoo.rate, |best| spread(best.distance).min(zoo.rate));
        let mut checked = f64::INFINITY;
        for step in 0..zoo.steps {
            let most = (target.left(self.slot).saturating_sub(1) / 2) as usize;
            let count = zoo.coordinates.min(self.free.len()).min(most);
            if count == 0 {
                return if target.is_open(self.slot) {
                    target.submit(&[self.slot], &self.point)
                } else {
                    Ok(())
                };
            }
            let chosen = index::sample(stream, self.free.len(), count);
            let chosen: Vec<usize> = chosen.into_iter().map(|at| self.free[at]).collect();
            let lack = self.ask(zoo, target, &chosen)?;
            if target.is_closed(self.slot) {
                return Ok(());
            }
            trade.succeeded |=
                target.aim(self.slot).is_met(&self.logits[..target.classes()]) && lack <= 0.0;
            let objective = self.region.distance(&self.point).powi(2) + trade.c * lack;
            if zoo.abort_early && step % (zoo.steps / 10).max(1) == 0 {
                if objective > 0.9999 * checked {
                    return Ok(());
                }
                checked = objective;
            }
            self.step(zoo, target, &chosen, (trade.c, rate));
        }
        Ok(())
    }

    /// Asks about the iterate and the points around it, and says what the iterate's margin lacks.
    fn ask(&mut self, zoo: &Zoo, target: &mut Target<'_, Score>, chosen: &[usize]) -> Result<f64> {
        let features = self.point.len();
        self.probes.clear();
        self.probes.extend_from_slice(&self.point);
        for &feature in chosen {
            let width = zoo.delta.max(self.region.least_change(feature));
            for side in [width, -width] {
                let row = self.probes.len();
                self.probes.extend_from_slice(&self.point);
                let (lower, upper) = self.region.bounds_at(feature);
                let x = &mut self.probes[row + feature];
                *x = ((f64::from(*x) + side) as f32).clamp(lower, upper);
            }
        }
        let rows = self.probes.len() / features.max(1);
        target.logits(&vec![self.slot; rows], &self.probes, &mut self.logits)?;
        Ok(self.lack(zoo, target, 0))
    }

    /// What the margin of a row of the answer lacks.
    fn lack(&self, zoo: &Zoo, target: &Target<'_, Score>, row: usize) -> f64 {
        let logits = &self.logits[row * target.classes()..][..target.classes()];
        (zoo.confidence + f64::from(target.aim(self.slot).margin(logits))).max(0.0)
    }

    /// Moves the chosen coordinates.
    fn step(
        &mut self,
        zoo: &Zoo,
        target: &mut Target<'_, Score>,
        chosen: &[usize],
        (c, rate): (f64, f64),
    ) {
        let features = self.point.len();
        let mut is_flat = self.lack(zoo, target, 0) > 0.0;
        for (at, &feature) in chosen.iter().enumerate() {
            let (ahead, behind) = (1 + 2 * at, 2 + 2 * at);
            let value = |row: usize| f64::from(self.probes[row * features + feature]);
            let width = value(ahead) - value(behind);
            if width <= 0.0 {
                continue;
            }
            let rise = self.lack(zoo, target, ahead) - self.lack(zoo, target, behind);
            is_flat &= rise == 0.0;
            let (x, clean) = (value(0), f64::from(self.region.clean[feature]));
            let gradient = 2.0 * (x - clean) + c * rise / width;
            self.point[feature] = (x - rate * self.adams[feature].step(gradient)) as f32;
        }
        if is_flat {
            target.note_zero_gradient(self.slot);
        }
        self.region.project(&mut self.point);
    }
}
