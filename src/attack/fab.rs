//! The fast adaptive boundary attack.

use serde::{Deserialize, Serialize};

use super::boundary::{Boundaries, Rivals};
use super::rows::Rows;
use super::{Attack, Family, Gradient, Target, checks};
use crate::error::Result;
use crate::norm::Radius;
use crate::threat::Region;

/// FAB: steps to the linearised decision boundary, drawn towards the clean input.
///
/// # Threat model
/// White box (gradients). Minimal norm: l1, l2, linf; the budget plays no part. Untargeted and
/// targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 100 steps from the clean input with `alpha_max` 0.1, `eta` 1.05, `beta` 0.9, and 3 steps of the final search.
///
/// # Queries per sample
/// At most 1 + `final_steps` forward, and per step of each restart 1 forward more and one gradient (forward and
/// backward) per class other than the label; one gradient towards a target. With many classes, use
/// [`FabT`](super::FabT).
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Croce & Hein 2020, <https://arxiv.org/abs/1907.02044>, algorithm 1 and sections 3.1 to 3.3.
///
/// # Differences
/// Towards a target, the boundary is the one to the largest logit other than the target's. The final search interpolates
/// the margin over all classes. Later restarts begin uniformly in a ball of half the size of the best point, or of what
/// the bounds allow while there is none (a change of 1 in every feature without bounds). Where all gradients are zero, there is no boundary to step to: the restart ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fab {
    /// Steps per restart.
    pub steps: usize,
    /// How often to begin.
    pub restarts: usize,
    /// The most that a step is drawn towards the projection of the clean input, from 0 to 1.
    pub alpha_max: f64,
    /// How far beyond the linearised boundary a step goes: 1 is up to it.
    pub eta: f64,
    /// The share of the perturbation that is left after a success.
    pub beta: f64,
    /// Steps of the final search between the best point and the clean input.
    pub final_steps: usize,
}

impl Default for Fab {
    fn default() -> Self {
        Self { steps: 100, restarts: 1, alpha_max: 0.1, eta: 1.05, beta: 0.9, final_steps: 3 }
    }
}

impl Attack for Fab {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "fab"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("steps", self.steps)?;
        checks::at_least_one("restarts", self.restarts)?;
        checks::share("alpha_max", self.alpha_max)?;
        checks::share("beta", self.beta)?;
        checks::positive("eta", self.eta)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        self.search(target, None)
    }
}

impl Fab {
    /// Runs it against all boundaries at once, or against one at a time: those to the first `ranks` classes.
    pub(super) fn search(
        &self,
        target: &mut Target<'_, Gradient>,
        ranks: Option<usize>,
    ) -> Result<()> {
        let mut walk = Walk::new(self, target);
        walk.slots.retain(|&slot| target.affords(slot, 1));
        walk.points.gather(&walk.slots, &mut walk.packed);
        target.logits(&walk.slots, &walk.packed, &mut walk.logits)?;
        let rivals = Rivals::ranked(target, &walk.slots, &walk.logits);
        let mut margins = vec![0.0; target.len()];
        for (&slot, logits) in walk.slots.iter().zip(walk.logits.chunks_exact(target.classes())) {
            margins[slot] = target.aim(slot).margin(logits);
        }
        // A clean input that succeeds is as close as can be.
        let candidates: Vec<usize> = (0..target.len())
            .filter(|&slot| rivals.count(slot) > 0 && !target.is_broken(slot))
            .collect();
        for restart in 0..self.restarts {
            let Some(ranks) = ranks else {
                walk.descend(target, &candidates, &rivals, restart, restart)?;
                continue;
            };
            for rank in 0..ranks {
                let draw = restart * ranks + rank;
                walk.descend(target, &candidates, &rivals.only(rank), restart, draw)?;
            }
        }
        walk.refine(target, &candidates, &margins)
    }
}

/// The points under way.
struct Walk<'a> {
    fab: &'a Fab,
    slots: Vec<usize>,
    points: Rows,
    boundaries: Boundaries,
    packed: Vec<f32>,
    logits: Vec<f32>,
    /// The projections of the point and of the clean input.
    near: Vec<f32>,
    anchor: Vec<f32>,
}

impl<'a> Walk<'a> {
    fn new(fab: &'a Fab, target: &Target<'_, Gradient>) -> Self {
        Self {
            fab,
            slots: (0..target.len()).collect(),
            points: Rows::clean(target),
            boundaries: Boundaries::new(target),
            packed: vec![],
            logits: vec![],
            near: vec![0.0; target.features()],
            anchor: vec![0.0; target.features()],
        }
    }

    /// One restart.
    fn descend(
        &mut self,
        target: &mut Target<'_, Gradient>,
        candidates: &[usize],
        rivals: &Rivals,
        restart: usize,
        draw: usize,
    ) -> Result<()> {
        self.slots.clear();
        self.slots.extend(candidates.iter().copied().filter(|&slot| rivals.count(slot) > 0));
        for &slot in &self.slots {
            let point = self.points.row_mut(slot);
            let region = target.region(slot);
            point.copy_from_slice(region.clean);
            if restart > 0 {
                let size =
                    target.closest(slot).map_or_else(|| region.farthest(), |best| best.distance);
                let radius = Radius::Scalar(size / 2.0);
                let ball = region.with_radius(radius);
                ball.random_point(&mut target.stream(slot, draw), point);
            }
        }
        for _ in 0..self.fab.steps {
            // A step is worth its queries only if the point that it leads to can be asked about.
            let cost = |slot: usize| 2 * rivals.count(slot) as u64 + 1;
            self.slots.retain(|&slot| target.affords(slot, cost(slot)));
            self.boundaries.linearise(target, &self.slots, rivals, &self.points)?;
            let boundaries = &self.boundaries;
            self.slots.retain(|&slot| !target.is_closed(slot) && boundaries.is_known(slot));
            for at in 0..self.slots.len() {
                let slot = self.slots[at];
                self.step(slot, &target.region(slot));
            }
            self.points.gather(&self.slots, &mut self.packed);
            target.logits(&self.slots, &self.packed, &mut self.logits)?;
            for (&slot, logits) in self.slots.iter().zip(self.logits.chunks_exact(target.classes()))
            {
                if target.aim(slot).is_met(logits) {
                    let rows = self.points.row_mut(slot).iter_mut().zip(target.clean(slot));
                    rows.for_each(|(x, &c)| *x = between(c, *x, self.fab.beta));
                }
            }
        }
        Ok(())
    }

    /// `x = (1 - alpha) (x + eta d) + alpha (clean + eta e)`, where d and e lead from x and from clean to the boundary.
    fn step(&mut self, slot: usize, region: &Region<'_>) {
        let Self { fab, boundaries, near, anchor, points, .. } = self;
        let point = points.row_mut(slot);
        boundaries.reach(slot, region, point, point, near);
        boundaries.reach(slot, region, point, region.clean, anchor);
        let (own, clean) = (region.norm.size(point, near), region.distance(anchor));
        let alpha = if own > 0.0 { (own / (own + clean)).min(fab.alpha_max) } else { 0.0 };
        let beyond =
            |from: f32, to: f32| f64::from(from) + fab.eta * (f64::from(to) - f64::from(from));
        let rows = near.iter().zip(&*anchor).zip(region.clean);
        for (x, ((&near, &anchor), &clean)) in point.iter_mut().zip(rows) {
            *x = ((1.0 - alpha) * beyond(*x, near) + alpha * beyond(clean, anchor)) as f32;
        }
        region.project(point);
    }

    /// The final search: the zero of the margin between the best point and the clean input, by interpolation.
    fn refine(
        &mut self,
        target: &mut Target<'_, Gradient>,
        candidates: &[usize],
        margins: &[f32],
    ) -> Result<()> {
        let mut inner = Rows::clean(target);
        let mut outer = Rows::zeros(target);
        let mut margins: Vec<(f32, f32)> = margins.iter().map(|&inner| (inner, 0.0)).collect();
        self.slots.clear();
        for &slot in candidates {
            if let Some(best) = target.closest(slot) {
                outer.row_mut(slot).copy_from_slice(best.point);
                margins[slot].1 = best.margin;
                self.slots.push(slot);
            }
        }
        for _ in 0..self.fab.final_steps {
            self.slots.retain(|&slot| target.affords(slot, 1));
            for &slot in &self.slots {
                let (above, below) = (f64::from(margins[slot].0), f64::from(margins[slot].1));
                let share = if above > below { above / (above - below) } else { 1.0 };
                let rows = inner.row(slot).iter().zip(outer.row(slot));
                for (x, (&inner, &outer)) in self.points.row_mut(slot).iter_mut().zip(rows) {
                    *x = between(inner, outer, share);
                }
                target.region(slot).project(self.points.row_mut(slot));
            }
            self.points.gather(&self.slots, &mut self.packed);
            target.logits(&self.slots, &self.packed, &mut self.logits)?;
            for (&slot, logits) in self.slots.iter().zip(self.logits.chunks_exact(target.classes()))
            {
                let (aim, point) = (target.aim(slot), self.points.row(slot));
                if aim.is_met(logits) {
                    outer.row_mut(slot).copy_from_slice(point);
                    margins[slot].1 = aim.margin(logits);
                } else {
                    inner.row_mut(slot).copy_from_slice(point);
                    margins[slot].0 = aim.margin(logits);
                }
            }
        }
        Ok(())
    }
}

/// The point at `share` of the way from `a` to `b`.
fn between(a: f32, b: f32, share: f64) -> f32 {
    (f64::from(a) + share * (f64::from(b) - f64::from(a))) as f32
}
