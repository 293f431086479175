//! The loop behind FGSM, BIM, PGD and the family of MI-FGSM: step up the loss, project, repeat.

use std::ops::Range;
use std::sync::Arc;

use super::kernel::Smoothing;
use super::packed::{close_gaps, survivors};
use super::source::Source;
use super::{Gradient, Target, checks, odi};
use crate::error::{Error, Result};
use crate::goal::Aim;
use crate::grid::Grid;
use crate::loss::Loss;
use crate::model::LossGradient;
use crate::rng::Stream;
use crate::threat::{Region, StepSize, climb};

/// The settings that tell those attacks apart.
#[derive(Debug)]
pub(super) struct Ascent {
    pub(super) steps: usize,
    pub(super) step: StepSize,
    /// Whether to begin at a random point instead of the clean input.
    pub(super) random_start: bool,
    /// Steps that lead from there to a start of diverse logits.
    pub(super) odi: usize,
    /// The decay of the accumulated gradient; none at 0.
    pub(super) momentum: f64,
    /// Whether gradients are taken where the accumulated one would lead.
    pub(super) nesterov: bool,
    /// How a gradient comes about.
    pub(super) source: Source,
    /// What smooths it.
    pub(super) smoothing: Option<Smoothing>,
    /// Whether a sample is done once it is broken.
    pub(super) early_stop: bool,
    /// Whether the L1 step may choose a coordinate that the box blocks.
    pub(super) ignore_box: bool,
}

impl Ascent {
    /// Plain steps from the clean input, until a sample is broken.
    pub(super) fn plain(steps: usize, step: StepSize) -> Self {
        Self {
            steps,
            step,
            random_start: false,
            odi: 0,
            momentum: 0.0,
            nesterov: false,
            source: Source::default(),
            smoothing: None,
            early_stop: true,
            ignore_box: false,
        }
    }

    /// One run up `loss` for the open slots that have an aim in `aims`, with the random streams `restart`.
    ///
    /// Asks `steps` times for a gradient and one last forward query per sample.
    pub(super) fn run(
        &self,
        target: &mut Target<'_, Gradient>,
        restart: usize,
        aims: &[Option<Aim>],
        loss: &Arc<dyn Loss>,
    ) -> Result<()> {
        let mut batch = self.start(target, restart, aims);
        odi::diversify(target, &mut batch, self.odi)?;
        for step in 1..=self.steps {
            let last = step == self.steps;
            batch.leave(target, self.source.cost(last) + 1)?;
            if batch.slots.is_empty() {
                break;
            }
            self.look_ahead(target, &mut batch);
            self.source.ask(target, &mut batch, loss, last)?;
            self.advance(target, &mut batch);
        }
        batch.settle(target);
        target.submit(&batch.slots, &batch.points)
    }

    fn start(&self, target: &Target<'_, Gradient>, restart: usize, aims: &[Option<Aim>]) -> Batch {
        let features = target.features();
        let mut batch = Batch {
            features,
            early_stop: self.early_stop,
            climbs: self.momentum == 0.0 && self.smoothing.is_none(),
            grid: Grid::new(target.shape()),
            draft: vec![0.0; features],
            ..Batch::default()
        };
        for (slot, aim) in aims.iter().enumerate() {
            let Some(aim) = aim.filter(|_| batch.goes_on(target, slot)) else { continue };
            let (mut stream, from) = (target.stream(slot, restart), batch.points.len());
            batch.points.extend_from_slice(target.clean(slot));
            if self.random_start {
                target.region(slot).random_point(&mut stream, &mut batch.points[from..]);
            }
            let Batch { climbs, lower, upper, .. } = &mut batch;
            *climbs = *climbs && target.region(slot).add_limits(lower, upper);
            batch.slots.push(slot);
            batch.aims.push(aim);
            batch.streams.push(stream);
        }
        if self.momentum > 0.0 {
            batch.velocity = vec![0.0; batch.points.len()];
        }
        batch
    }

    /// Where the accumulated gradient alone would lead, `x + momentum * step * velocity`, in the region.
    fn look_ahead(&self, target: &Target<'_, Gradient>, batch: &mut Batch) {
        if !self.nesterov || batch.velocity.is_empty() {
            return;
        }
        let features = batch.features;
        batch.ahead.clone_from(&batch.points);
        let rows = batch
            .ahead
            .chunks_exact_mut(features.max(1))
            .zip(batch.velocity.chunks_exact(features.max(1)));
        for (&slot, (point, velocity)) in batch.slots.iter().zip(rows) {
            let region = target.region(slot);
            // Of gradients that are divided by their mean: each is about as large as a step.
            let unit = features as f64 / region.norm.size_of_ones(features);
            let length = region.lengths(self.step);
            for (feature, (x, &v)) in point.iter_mut().zip(velocity).enumerate() {
                let ahead = self.momentum * length(feature) * unit * f64::from(v);
                *x = (f64::from(*x) + ahead) as f32;
            }
            region.project(point);
        }
    }

    /// One step of every sample.
    fn advance(&self, target: &mut Target<'_, Gradient>, batch: &mut Batch) {
        for row in 0..batch.slots.len() {
            let (slot, range) = (batch.slots[row], batch.range(row));
            let region = target.region(slot);
            let gradient = &mut batch.gradient[range.clone()];
            if batch.climbs {
                let limits = (&batch.lower[range.clone()], &batch.upper[range.clone()]);
                let point = &mut batch.points[range.clone()];
                if climb(point, gradient, region.lengths(self.step)(0), limits) {
                    continue;
                }
            }
            let mut rises = region.restrict(gradient);
            if let Some(smoothing) = &self.smoothing {
                smoothing.apply(&batch.grid, gradient, &mut batch.draft);
                rises = region.restrict(gradient);
            }
            if !rises {
                target.note_zero_gradient(slot);
                region.random_direction(&mut batch.streams[row], gradient);
            }
            let direction = if self.momentum > 0.0 {
                let velocity = &mut batch.velocity[range.clone()];
                accumulate(velocity, gradient, self.momentum);
                velocity
            } else {
                gradient
            };
            let point = &mut batch.points[range];
            self.step(&region, point, direction);
            region.project(point);
        }
    }

    fn step(&self, region: &Region<'_>, point: &mut [f32], direction: &[f32]) {
        if self.ignore_box {
            region.without_box().step(point, direction, self.step);
        } else {
            region.step(point, direction, self.step);
        }
    }
}

/// velocity = decay * velocity + gradient / |gradient|_1; a zero gradient adds nothing.
fn accumulate(velocity: &mut [f32], gradient: &[f32], decay: f64) {
    let size: f64 = gradient.iter().map(|&g| f64::from(g).abs()).sum();
    let scale = if size > 0.0 { size.recip() } else { 0.0 };
    for (v, &g) in velocity.iter_mut().zip(gradient) {
        *v = (decay * f64::from(*v) + scale * f64::from(g)) as f32;
    }
}

/// Every slot's own aim.
pub(super) fn own_aims(target: &Target<'_, Gradient>) -> Vec<Option<Aim>> {
    (0..target.len()).map(|slot| Some(target.aim(slot))).collect()
}

/// The step, once an absolute and a relative one are reconciled.
pub(super) fn step_size(step: Option<f64>, rel_step: Option<f64>, default: f64) -> StepSize {
    step.map_or(StepSize::Relative(rel_step.unwrap_or(default)), StepSize::Absolute)
}

/// Checks that at most one of the two is given.
pub(super) fn check_step(step: Option<f64>, rel_step: Option<f64>) -> Result<()> {
    if let (Some(step), Some(rel_step)) = (step, rel_step) {
        let expected = format!("`rel_step` is {rel_step} as well; give one of the two");
        return Err(Error::parameter("step", step, expected));
    }
    step.map_or(Ok(()), |step| checks::positive("step", step))?;
    rel_step.map_or(Ok(()), |step| checks::positive("rel_step", step))
}

/// The samples still worked on, packed: row i of each array belongs to slot `slots[i]`.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) features: usize,
    early_stop: bool,
    pub(super) grid: Grid,
    pub(super) slots: Vec<usize>,
    /// What the loss shall measure.
    pub(super) aims: Vec<Aim>,
    pub(super) streams: Vec<Stream>,
    pub(super) points: Vec<f32>,
    /// Whether a step and its projection are one pass, within these limits of each feature.
    climbs: bool,
    lower: Vec<f32>,
    upper: Vec<f32>,
    /// Empty without momentum.
    velocity: Vec<f32>,
    /// Where gradients are taken, empty where that is at the points.
    pub(super) ahead: Vec<f32>,
    pub(super) gradient: Vec<f32>,
    /// By how much the gradients around the last point differed from that at it; empty where nobody asked.
    pub(super) variance: Vec<f32>,
    /// The sum of those around this one.
    pub(super) nearby: Vec<f32>,
    /// What is asked about, and the answer.
    pub(super) asked: Vec<f32>,
    pub(super) answer: LossGradient,
    /// Room for one row.
    pub(super) draft: Vec<f32>,
}

impl Batch {
    /// Where a row's features are.
    pub(super) fn range(&self, row: usize) -> Range<usize> {
        row * self.features..(row + 1) * self.features
    }

    /// Whether a slot can be asked about and is not done.
    pub(super) fn goes_on(&self, target: &Target<'_, Gradient>, slot: usize) -> bool {
        target.affords(slot, 1) && !(self.early_stop && target.is_broken(slot))
    }

    /// Drops what is done.
    pub(super) fn settle(&mut self, target: &Target<'_, Gradient>) {
        let goes_on: Vec<bool> =
            self.slots.iter().map(|&slot| self.goes_on(target, slot)).collect();
        self.retain(|row| goes_on[row]);
    }

    /// Drops what is done, and what cannot pay `cost`: a step is worth its queries only if the point that it leads to
    /// can be asked about.
    fn leave(&mut self, target: &mut Target<'_, Gradient>, cost: u64) -> Result<()> {
        self.settle(target);
        let pays: Vec<bool> = self.slots.iter().map(|&slot| target.affords(slot, cost)).collect();
        for (row, &slot) in self.slots.iter().enumerate().filter(|(row, _)| !pays[*row]) {
            target.submit(&[slot], &self.points[self.range(row)])?;
        }
        self.retain(|row| pays[row]);
        Ok(())
    }

    /// Drops the other rows and closes the gaps.
    fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let rows = self.slots.len();
        let Some(kept) = survivors(rows, keep) else { return };
        close_gaps(&mut self.slots, 1, &kept);
        close_gaps(&mut self.aims, 1, &kept);
        close_gaps(&mut self.streams, 1, &kept);
        for values in [
            &mut self.points,
            &mut self.lower,
            &mut self.upper,
            &mut self.velocity,
            &mut self.ahead,
            &mut self.gradient,
            &mut self.variance,
            &mut self.nearby,
        ] {
            // What comes with the first gradients may not be there yet.
            if values.len() == rows * self.features {
                close_gaps(values, self.features, &kept);
            }
        }
    }
}
