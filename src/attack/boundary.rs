//! The decision boundary, linearised around points.

use std::sync::Arc;

use super::difference::LogitDifference;
use super::rows::Rows;
use super::{Gradient, Target};
use crate::error::Result;
use crate::goal::{Aim, likeliest};
use crate::loss::{Loss, Margin};
use crate::model::LossGradient;
use crate::threat::Region;

/// One of a slot's boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rival {
    /// Untargeted: that to this class.
    Class(usize),
    /// Targeted: that from the largest logit but the target's.
    Largest,
}

/// Which boundaries of each slot are looked at: of an untargeted one, those to several classes; of a targeted one, the
/// one that it has to cross next.
#[derive(Debug)]
pub(super) struct Rivals {
    by_slot: Vec<Vec<Rival>>,
}

impl Rivals {
    /// All of them; classes with the largest of the given logits first.
    pub(super) fn ranked(target: &Target<'_, Gradient>, slots: &[usize], logits: &[f32]) -> Self {
        let mut by_slot = vec![vec![]; target.len()];
        for (&slot, logits) in slots.iter().zip(logits.chunks_exact(target.classes())) {
            let aim = target.aim(slot);
            by_slot[slot] = if aim.target.is_some() {
                vec![Rival::Largest]
            } else {
                likeliest(logits, aim.label).into_iter().map(Rival::Class).collect()
            };
        }
        Self { by_slot }
    }

    /// Only the first `count` rivals of each slot.
    pub(super) fn first(&self, count: usize) -> Self {
        Self {
            by_slot: self.by_slot.iter().map(|all| all[..count.min(all.len())].into()).collect(),
        }
    }

    /// Only the rival of each slot at `rank`; without rank, a slot has nothing to look at.
    pub(super) fn only(&self, rank: usize) -> Self {
        let one = |all: &Vec<Rival>| all.get(rank).map(|&rival| vec![rival]).unwrap_or_default();
        Self { by_slot: self.by_slot.iter().map(one).collect() }
    }

    /// How many boundaries of a slot are looked at.
    pub(super) fn count(&self, slot: usize) -> usize {
        self.by_slot[slot].len()
    }
}

/// The nearest linearised boundary of each slot that was asked about.
#[derive(Debug)]
pub(super) struct Boundaries {
    normals: Rows,
    /// How far the linear function must rise to reach the boundary: negative beyond it.
    rises: Vec<f64>,
    /// The estimated distance; infinite where every gradient is zero.
    distances: Vec<f64>,
    difference: Arc<dyn Loss>,
    margin: Arc<dyn Loss>,
    asking: Vec<usize>,
    aims: Vec<Aim>,
    points: Vec<f32>,
    answer: LossGradient,
}

impl Boundaries {
    pub(super) fn new(target: &Target<'_, Gradient>) -> Self {
        Self {
            normals: Rows::zeros(target),
            rises: vec![0.0; target.len()],
            distances: vec![f64::INFINITY; target.len()],
            difference: Arc::new(LogitDifference),
            margin: Arc::new(Margin),
            asking: vec![],
            aims: vec![],
            points: vec![],
            answer: LossGradient::default(),
        }
    }

    /// Linearises every boundary of `slots` at their rows of `points` and keeps the nearest, the first of equals: one
    /// gradient query per boundary.
    pub(super) fn linearise(
        &mut self,
        target: &mut Target<'_, Gradient>,
        slots: &[usize],
        rivals: &Rivals,
        points: &Rows,
    ) -> Result<()> {
        slots.iter().for_each(|&slot| self.distances[slot] = f64::INFINITY);
        let most = slots.iter().map(|&slot| rivals.count(slot)).max().unwrap_or(0);
        for rank in 0..most {
            for targeted in [false, true] {
                self.asking.clear();
                self.aims.clear();
                for &slot in slots.iter().filter(|&&slot| !target.is_closed(slot)) {
                    let aim = target.aim(slot);
                    let aim = match rivals.by_slot[slot].get(rank) {
                        Some(Rival::Class(class)) if !targeted => Aim::targeted(aim.label, *class),
                        Some(Rival::Largest) if targeted => aim,
                        _ => continue,
                    };
                    self.asking.push(slot);
                    self.aims.push(aim);
                }
                let loss = if targeted { &self.margin } else { &self.difference };
                self.ask(target, points, Arc::clone(loss))?;
            }
        }
        for &slot in slots {
            if self.distances[slot].is_infinite() && !target.is_closed(slot) {
                target.note_zero_gradient(slot);
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        target: &mut Target<'_, Gradient>,
        points: &Rows,
        loss: Arc<dyn Loss>,
    ) -> Result<()> {
        points.gather(&self.asking, &mut self.points);
        let answer = &mut self.answer;
        target.loss_and_gradient_towards(&self.asking, &self.points, &self.aims, &loss, answer)?;
        let rows = self.answer.gradient.chunks_exact_mut(target.features().max(1));
        for ((&slot, gradient), &value) in self.asking.iter().zip(rows).zip(&self.answer.loss) {
            let region = target.region(slot);
            if !value.is_finite() || !region.restrict(gradient) {
                continue;
            }
            let rise = -f64::from(value);
            let distance = rise.abs() / region.norm.dual_size(gradient);
            if distance < self.distances[slot] {
                (self.rises[slot], self.distances[slot]) = (rise, distance);
                self.normals.row_mut(slot).copy_from_slice(gradient);
            }
        }
        Ok(())
    }

    /// Whether any boundary of a slot was found.
    pub(super) fn is_known(&self, slot: usize) -> bool {
        self.distances[slot].is_finite()
    }

    /// Writes into `out` the point of the nearest boundary, as linearised at `at`, that is nearest to `from` within
    /// bounds and mask.
    pub(super) fn reach(
        &self,
        slot: usize,
        region: &Region<'_>,
        at: &[f32],
        from: &[f32],
        out: &mut [f32],
    ) {
        let normal = self.normals.row(slot);
        let passed: f64 = normal
            .iter()
            .zip(at.iter().zip(from))
            .map(|(&w, (&a, &f))| f64::from(w) * (f64::from(f) - f64::from(a)))
            .sum();
        region.reach(from, normal, self.rises[slot] - passed, out);
    }

    /// The distance of the nearest boundary of a slot, without bounds.
    pub(super) fn distance(&self, slot: usize) -> f64 {
        self.distances[slot]
    }

    /// Moves the nearest boundary of a slot away by a length.
    pub(super) fn push_back(&mut self, slot: usize, region: &Region<'_>, length: f64) {
        let rise = length * region.norm.dual_size(self.normals.row(slot));
        self.rises[slot] += rise.copysign(self.rises[slot]);
    }
}
