//! The Jacobian-based saliency map attack.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::saliency::{Change, best_pair};
use super::{Attack, Family, Gradient, Target, checks};
use crate::error::Result;
use crate::goal::Aim;
use crate::loss::{Loss, LossKind};
use crate::model::LossGradient;
use crate::norm::Norm;
use crate::threat::Region;

/// JSMA: changes two features after the other as far as they go, those pairs that raise the target's logit and lower the
/// sum of the others the most.
///
/// # Threat model
/// White box (gradients). Minimal norm: l0, the number of changed features; the budget plays no part. Untargeted and
/// targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features. The channels of an image's pixel are features of their own.
///
/// # Defaults
/// Features go up by `theta` 1, in the units of the data, as far as their bounds let them; at most 14.5 % of them change.
///
/// # Queries per sample
/// At most 2 forward and 2 backward per pair, a pair for every two features of the share that may change, and 3 forward.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Papernot et al. 2016, <https://arxiv.org/abs/1511.07528>, algorithms 2 and 3, on logits; untargeted and in both
/// directions Wiyatno & Xu 2018, <https://arxiv.org/abs/1808.07945>.
///
/// # Differences
/// Untargeted, a pair lowers the label's logit and raises the sum of the others. A feature that cannot be moved any more is
/// left out, one that can may be chosen again. Where no pair has the right signs a single feature will do. After a
/// success each feature of the last pair is tried by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jsma {
    /// By how much a feature changes at once.
    pub theta: f64,
    /// Which way features go.
    pub direction: Direction,
    /// The largest share of the features that may change, from 0 to 1.
    pub max_share: f64,
}

/// Which way the features of [`Jsma`] go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Direction {
    /// Towards the upper bound.
    #[default]
    Up,
    /// Towards the lower bound.
    Down,
    /// Each as it suits the attacker.
    Both,
}

impl Default for Jsma {
    fn default() -> Self {
        Self { theta: 1.0, direction: Direction::Up, max_share: 0.145 }
    }
}

/// The sum of the logits that shall fall, falling; untargeted, of those that may rise, rising.
#[derive(Clone, Copy, Debug)]
struct Others;

impl Loss for Others {
    fn name(&self) -> &'static str {
        "others"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let (pivot, sign) = aim.target.map_or((aim.label, 1.0), |target| (target, -1.0));
        gradient.fill(sign);
        gradient[pivot] = 0.0;
        logits.iter().zip(&*gradient).map(|(z, g)| z * g).sum()
    }
}

impl Attack for Jsma {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "jsma"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L0]
    }

    fn validate(&self) -> Result<()> {
        checks::positive("theta", self.theta)?;
        checks::share("max_share", self.max_share)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let losses: [Arc<dyn Loss>; 2] = [LossKind::Logit.loss(), Arc::new(Others)];
        let mut walk = Walk::new(target);
        let most: Vec<usize> = (0..target.len()).map(|slot| self.pairs(target, slot)).collect();
        let mut slots: Vec<usize> = (0..target.len()).collect();
        for step in 0.. {
            // A pair is worth its queries only if the point that it leads to can be asked about.
            let (going, done): (Vec<usize>, Vec<usize>) = slots.into_iter().partition(|&slot| {
                step < most[slot] && !target.is_broken(slot) && target.affords(slot, 5)
            });
            done.into_iter().try_for_each(|slot| walk.finish(target, slot))?;
            if going.is_empty() {
                break;
            }
            walk.ask(target, &going, &losses)?;
            slots = going;
            slots.retain(|&slot| target.is_broken(slot) || walk.change(target, slot, self));
        }
        Ok(())
    }
}

impl Jsma {
    /// The most pairs that may change.
    fn pairs(&self, target: &Target<'_, Gradient>, slot: usize) -> usize {
        let region = target.region(slot);
        let free = (0..target.features()).filter(|&feature| region.is_free(feature)).count();
        ((self.max_share * free as f64 / 2.0) as usize).max(1)
    }

    /// What can be done to a point, with the slopes of the two losses along it.
    fn changes(&self, region: &Region<'_>, point: &[f32], slopes: [&[f32]; 2]) -> Vec<Change> {
        let mut changes = vec![];
        for feature in (0..point.len()).filter(|&feature| region.is_free(feature)) {
            let (x, (lower, upper)) = (point[feature], region.bounds_at(feature));
            let [rise, fall] = slopes.map(|slope| f64::from(slope[feature]));
            if self.direction != Direction::Down && x < upper {
                changes.push(Change { feature, step: self.theta, gains: [rise, fall] });
            }
            if self.direction != Direction::Up && x > lower {
                changes.push(Change { feature, step: -self.theta, gains: [-rise, -fall] });
            }
        }
        changes
    }
}

/// The points under way.
struct Walk {
    points: Rows,
    /// The gradients of the two losses.
    slopes: [Rows; 2],
    /// The features that changed last, with their values before.
    last: Vec<Vec<(usize, f32)>>,
    packed: Vec<f32>,
    answer: LossGradient,
}

impl Walk {
    fn new(target: &Target<'_, Gradient>) -> Self {
        Self {
            points: Rows::clean(target),
            slopes: [Rows::zeros(target), Rows::zeros(target)],
            last: vec![vec![]; target.len()],
            packed: vec![],
            answer: LossGradient::default(),
        }
    }

    /// Asks for both gradients, until a sample is settled.
    fn ask(
        &mut self,
        target: &mut Target<'_, Gradient>,
        slots: &[usize],
        losses: &[Arc<dyn Loss>; 2],
    ) -> Result<()> {
        let mut asked = slots.to_vec();
        for (loss, slopes) in losses.iter().zip(&mut self.slopes) {
            asked.retain(|&slot| !target.is_broken(slot) && !target.is_closed(slot));
            self.points.gather(&asked, &mut self.packed);
            target.loss_and_gradient(&asked, &self.packed, loss, &mut self.answer)?;
            let rows = self.answer.gradient.chunks_exact_mut(target.features().max(1));
            for (&slot, gradient) in asked.iter().zip(rows) {
                target.region(slot).restrict(gradient);
                slopes.row_mut(slot).copy_from_slice(gradient);
            }
        }
        Ok(())
    }

    /// Changes the best pair of a slot's features, if there is one.
    fn change(&mut self, target: &mut Target<'_, Gradient>, slot: usize, jsma: &Jsma) -> bool {
        if target.is_closed(slot) {
            return false;
        }
        let (region, point) = (target.region(slot), self.points.row_mut(slot));
        let slopes = [self.slopes[0].row(slot), self.slopes[1].row(slot)];
        if slopes.iter().all(|slope| slope.iter().all(|&g| g == 0.0)) {
            target.note_zero_gradient(slot);
        }
        let pair = best_pair(jsma.changes(&region, point, slopes));
        self.last[slot] =
            pair.iter().map(|change| (change.feature, point[change.feature])).collect();
        for change in &pair {
            let x = &mut point[change.feature];
            *x = (f64::from(*x) + change.step) as f32;
        }
        region.project(point);
        !pair.is_empty()
    }

    /// Asks about a slot's last point, and whether one feature of its last pair would have done.
    fn finish(&mut self, target: &mut Target<'_, Gradient>, slot: usize) -> Result<()> {
        if !target.is_broken(slot) && target.affords(slot, 1) {
            target.submit(&[slot], self.points.row(slot))?;
        }
        if !target.is_broken(slot) || self.last[slot].len() < 2 {
            return Ok(());
        }
        for &(feature, before) in self.last[slot].iter().rev() {
            if target.affords(slot, 1) {
                let mut point = self.points.row(slot).to_vec();
                point[feature] = before;
                target.submit(&[slot], &point)?;
            }
        }
        Ok(())
    }
}
