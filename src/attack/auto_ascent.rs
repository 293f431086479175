//! The loop behind APGD and its targeted form: steps with momentum whose size adapts to the loss, sample by sample.

use std::sync::Arc;

use super::pace::{Pace, checkpoints, sparse_checkpoints, thinner};
use super::packed::{close_gaps, survivors};
use super::{Gradient, Target};
use crate::error::{Error, Result};
use crate::goal::Aim;
use crate::loss::{Loss, LossKind};
use crate::model::LossGradient;
use crate::norm::{Norm, Radius};
use crate::rng::Stream;
use crate::threat::{Region, StepSize};

/// The weight of the new step beside the last one's.
const MOMENTUM: f64 = 0.75;

/// The settings that the attacks share.
#[derive(Debug)]
pub(super) struct AutoAscent<'a> {
    pub(super) loss: &'a LossKind,
    pub(super) steps: usize,
    /// The share of steps that must raise the loss for the step size to stay.
    pub(super) rho: f64,
    /// Queries per gradient.
    pub(super) eot: usize,
}

/// A part of a run.
#[derive(Clone, Copy, Debug)]
struct Phase {
    /// The radius, as a multiple of the threat's.
    radius: f64,
    steps: usize,
    first: bool,
}

impl Phase {
    /// Where the phase's points may lie.
    fn region<'a>(self, region: Region<'a>) -> Region<'a> {
        if self.radius > 1.0 {
            let radius = (self.radius * region.radius.largest()).min(f64::MAX);
            return region.with_radius(Radius::Scalar(radius));
        }
        region
    }
}

impl AutoAscent<'_> {
    /// Checks the settings.
    pub(super) fn validate(&self, restarts: usize) -> Result<()> {
        for (field, count) in [("steps", self.steps), ("restarts", restarts), ("eot", self.eot)] {
            if count == 0 {
                return Err(Error::parameter(field, count, "expected 1 or more"));
            }
        }
        if (0.0..=1.0).contains(&self.rho) {
            return Ok(());
        }
        Err(Error::parameter("rho", self.rho, "expected a number from 0 to 1"))
    }

    /// One run from random points for the open slots that have an aim in `aims`, with the random streams `restart`.
    ///
    /// Asks `steps` gradients and one last forward query per sample and phase.
    pub(super) fn run(
        &self,
        target: &mut Target<'_, Gradient>,
        restart: usize,
        aims: &[Option<Aim>],
    ) -> Result<()> {
        let open = |slot: &usize| aims[*slot].is_some() && goes_on(target, *slot);
        let open: Vec<usize> = (0..target.len()).filter(open).collect();
        let Some(&first) = open.first() else { return Ok(()) };
        let whole = Phase { radius: 1.0, steps: self.steps, first: true };
        let (enlarged, plain) = if target.region(first).norm.is_sparse() {
            // Points of enlarged balls are of no use to a sample that cannot pay for the way back.
            let cost = self.steps as u64 * self.gradient_cost() + 3;
            open.into_iter().partition(|&slot| target.affords(slot, cost))
        } else {
            (vec![], open)
        };
        let outer = (self.steps * 3).div_ceil(10).min((self.steps - 1) / 2);
        let phases = [
            Phase { radius: 3.0, steps: outer, first: true },
            Phase { radius: 2.0, steps: outer, first: false },
            Phase { radius: 1.0, steps: self.steps - 2 * outer, first: outer == 0 },
        ];
        for (slots, phases) in [(enlarged, &phases[..]), (plain, &[whole])] {
            let phases = phases.iter().filter(|phase| phase.steps > 0);
            let mut batch: Option<Batch> = None;
            for &phase in phases {
                let batch =
                    batch.get_or_insert_with(|| Batch::new(target, &slots, restart, aims, phase));
                self.climb(target, batch, phase)?;
            }
        }
        Ok(())
    }

    /// Forward and backward passes per gradient.
    fn gradient_cost(&self) -> u64 {
        2 * self.eot as u64
    }

    /// One phase. The batch's points end as the best ones.
    fn climb(
        &self,
        target: &mut Target<'_, Gradient>,
        batch: &mut Batch,
        phase: Phase,
    ) -> Result<()> {
        let loss = self.loss.loss();
        batch.project(target, phase);
        self.ask(target, &loss, batch)?;
        batch.begin(target, phase);
        let checkpoints =
            if batch.is_sparse { sparse_checkpoints } else { checkpoints }(phase.steps);
        let mut checked = 0;
        for step in 1..=phase.steps {
            batch.advance(target, phase, step > 1);
            if step < phase.steps {
                self.ask(target, &loss, batch)?;
            } else {
                batch.ask_last(target, &loss)?;
            }
            if batch.slots.is_empty() {
                break;
            }
            batch.note();
            if checkpoints.contains(&step) {
                batch.check(target, |pace| pace.halve(step - checked, self.rho));
                checked = step;
            }
        }
        batch.points.copy_from_slice(&batch.best);
        Ok(())
    }

    /// Asks for the gradients at the batch's points and drops what is settled. A step is worth its query only if the
    /// point that it leads to can be asked about.
    fn ask(
        &self,
        target: &mut Target<'_, Gradient>,
        loss: &Arc<dyn Loss>,
        batch: &mut Batch,
    ) -> Result<()> {
        let affords =
            |target: &Target<'_, Gradient>, slot| target.affords(slot, self.gradient_cost() + 1);
        for (row, &slot) in batch.slots.iter().enumerate() {
            if !affords(target, slot) {
                target.submit(&[slot], &batch.points[batch.range(row)])?;
            }
        }
        batch.retain(|slot| affords(target, slot));
        let mut more = LossGradient::default();
        for round in 0..self.eot {
            let Batch { slots, points, aims, answer, .. } = &mut *batch;
            if round == 0 {
                target.loss_and_gradient_towards(slots, points, aims, loss, answer)?;
            } else {
                target.loss_and_gradient_towards(slots, points, aims, loss, &mut more)?;
                add(&mut answer.loss, &more.loss);
                add(&mut answer.gradient, &more.gradient);
            }
            batch.retain(|slot| goes_on(target, slot));
        }
        // The direction of the sum is the mean's.
        batch.answer.loss.iter_mut().for_each(|sum| *sum /= self.eot as f32);
        Ok(())
    }
}

fn add(sums: &mut [f32], terms: &[f32]) {
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
}

fn goes_on(target: &Target<'_, Gradient>, slot: usize) -> bool {
    target.affords(slot, 1) && !target.is_broken(slot)
}

/// The samples still worked on, packed: row i of each array belongs to slot `slots[i]`.
#[derive(Debug, Default)]
struct Batch {
    features: usize,
    is_sparse: bool,
    slots: Vec<usize>,
    /// What the loss shall measure.
    aims: Vec<Aim>,
    streams: Vec<Stream>,
    paces: Vec<Pace>,
    points: Vec<f32>,
    /// The points before; empty for sparse steps, which have no momentum.
    previous: Vec<f32>,
    best: Vec<f32>,
    best_gradient: Vec<f32>,
    /// Losses and gradients at the points.
    answer: LossGradient,
    /// One point to work on, and the keys of its coordinates.
    draft: Vec<f32>,
    keys: Vec<u64>,
}

impl Batch {
    fn new(
        target: &Target<'_, Gradient>,
        slots: &[usize],
        restart: usize,
        aims: &[Option<Aim>],
        phase: Phase,
    ) -> Self {
        let features = target.features();
        let is_sparse = slots.first().is_some_and(|&slot| target.region(slot).norm.is_sparse());
        let mut points = vec![0.0; slots.len() * features];
        let mut streams = Vec::with_capacity(slots.len());
        for (&slot, point) in slots.iter().zip(points.chunks_exact_mut(features.max(1))) {
            let mut stream = target.stream(slot, restart);
            phase.region(target.region(slot)).random_point(&mut stream, point);
            streams.push(stream);
        }
        Self {
            features,
            is_sparse,
            slots: slots.to_vec(),
            aims: slots.iter().map(|&slot| aims[slot].unwrap_or(target.aim(slot))).collect(),
            streams,
            previous: if is_sparse { vec![] } else { points.clone() },
            points,
            draft: vec![0.0; features],
            ..Self::default()
        }
    }

    /// Where a row's features are.
    fn range(&self, row: usize) -> std::ops::Range<usize> {
        row * self.features..(row + 1) * self.features
    }

    /// Moves the points into the phase's region.
    fn project(&mut self, target: &Target<'_, Gradient>, phase: Phase) {
        let points = self.points.chunks_exact_mut(self.features.max(1));
        for (&slot, point) in self.slots.iter().zip(points) {
            phase.region(target.region(slot)).project(point);
        }
    }

    /// Takes the points, whose gradients are known, as the first of a phase.
    fn begin(&mut self, target: &Target<'_, Gradient>, phase: Phase) {
        self.best.clone_from(&self.points);
        self.best_gradient.clone_from(&self.answer.gradient);
        self.paces.clear();
        for (row, &slot) in self.slots.iter().enumerate() {
            let (loss, region) = (self.answer.loss[row], target.region(slot));
            let pace = if !self.is_sparse {
                Pace::dense(loss)
            } else if phase.first {
                let free = (0..self.features).filter(|&feature| region.is_free(feature)).count();
                Pace::sparse(loss, free / 5, free)
            } else {
                let changed = changed(&region, &self.points[self.range(row)]);
                Pace::sparse(loss, thinner(changed), changed)
            };
            self.paces.push(pace);
        }
    }

    /// One step of every sample.
    fn advance(&mut self, target: &mut Target<'_, Gradient>, phase: Phase, momentum: bool) {
        for row in 0..self.slots.len() {
            let range = self.range(row);
            let region = phase.region(target.region(self.slots[row]));
            let (gradient, draft) = (&mut self.answer.gradient[range.clone()], &mut self.draft[..]);
            if !region.restrict(gradient) {
                target.note_zero_gradient(self.slots[row]);
                region.random_direction(&mut self.streams[row], gradient);
            }
            let point = &mut self.points[range.clone()];
            draft.copy_from_slice(point);
            let (step, count) = (StepSize::Relative(self.paces[row].step), self.paces[row].count);
            if let Some(count) = count {
                region.sparse_step(draft, gradient, step, count, &mut self.keys);
                region.project(draft);
            } else {
                region.step(draft, gradient, step);
                region.project(draft);
                let previous = &mut self.previous[range];
                if momentum {
                    blend(draft, point, previous);
                    region.project(draft);
                }
                previous.copy_from_slice(point);
            }
            point.copy_from_slice(draft);
        }
    }

    /// Asks about the points without their gradients and drops what is settled.
    fn ask_last(&mut self, target: &mut Target<'_, Gradient>, loss: &Arc<dyn Loss>) -> Result<()> {
        let losses = &mut self.answer.loss;
        target.losses_towards(&self.slots, &self.points, &self.aims, loss, losses)?;
        self.retain(|slot| goes_on(target, slot));
        Ok(())
    }

    /// Compares the losses with those before.
    fn note(&mut self) {
        for row in 0..self.slots.len() {
            if self.paces[row].note(self.answer.loss[row]) {
                let range = self.range(row);
                self.best[range.clone()].copy_from_slice(&self.points[range.clone()]);
                self.best_gradient[range.clone()].copy_from_slice(&self.answer.gradient[range]);
            }
        }
    }

    /// A checkpoint, at which samples may return to their best points.
    fn check(&mut self, target: &Target<'_, Gradient>, halve: impl Fn(&mut Pace) -> bool) {
        for row in 0..self.slots.len() {
            let range = self.range(row);
            let returns = if self.is_sparse {
                let region = target.region(self.slots[row]);
                self.paces[row].thin_out(changed(&region, &self.best[range.clone()]))
            } else {
                halve(&mut self.paces[row])
            };
            if returns {
                self.points[range.clone()].copy_from_slice(&self.best[range.clone()]);
                self.answer.gradient[range.clone()].copy_from_slice(&self.best_gradient[range]);
            }
        }
    }

    /// Drops the other slots and closes the gaps.
    fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let rows = self.slots.len();
        let Some(kept) = survivors(rows, |row| keep(self.slots[row])) else { return };
        close_gaps(&mut self.slots, 1, &kept);
        close_gaps(&mut self.aims, 1, &kept);
        close_gaps(&mut self.streams, 1, &kept);
        // What comes with the first gradients may not be there yet.
        if self.paces.len() == rows {
            close_gaps(&mut self.paces, 1, &kept);
        }
        if self.answer.loss.len() == rows {
            close_gaps(&mut self.answer.loss, 1, &kept);
        }
        let features = self.features;
        for values in [
            &mut self.points,
            &mut self.previous,
            &mut self.best,
            &mut self.best_gradient,
            &mut self.answer.gradient,
        ] {
            if values.len() == rows * features {
                close_gaps(values, features, &kept);
            }
        }
    }
}

/// `point + 0.75 (draft - point) + 0.25 (point - previous)`, into `draft`.
fn blend(draft: &mut [f32], point: &[f32], previous: &[f32]) {
    for ((z, &x), &before) in draft.iter_mut().zip(point).zip(previous) {
        let (to, from) = (f64::from(*z) - f64::from(x), f64::from(x) - f64::from(before));
        *z = (f64::from(x) + MOMENTUM * to + (1.0 - MOMENTUM) * from) as f32;
    }
}

/// How many features a point changes.
fn changed(region: &Region<'_>, point: &[f32]) -> usize {
    Norm::L0.size(region.clean, point) as usize
}
