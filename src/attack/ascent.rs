//! The loop behind FGSM, BIM, PGD and MI-FGSM: step up the loss, project, repeat.

use super::packed::{close_gaps, survivors};
use super::{Access, Gradient, Target};
use crate::error::Result;
use crate::loss::LossKind;
use crate::model::LossGradient;
use crate::rng::Stream;
use crate::threat::{Bounds, Region, StepSize};

/// The settings that tell those attacks apart.
#[derive(Debug)]
pub(super) struct Ascent<'a> {
    pub(super) loss: &'a LossKind,
    pub(super) steps: usize,
    pub(super) step: StepSize,
    pub(super) restarts: usize,
    /// Whether the first restart, too, begins at a random point.
    pub(super) random_start: bool,
    /// The decay of the accumulated gradient; none at 0.
    pub(super) momentum: f64,
    /// Whether a sample is done once it is broken.
    pub(super) early_stop: bool,
    /// Whether the L1 step may choose a coordinate that the box blocks.
    pub(super) ignore_box: bool,
}

impl Ascent<'_> {
    /// Asks `steps` gradients and one last forward query per sample and restart.
    pub(super) fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let loss = self.loss.loss();
        let mut answer = LossGradient::default();
        for restart in 0..self.restarts {
            let mut batch = self.start(target, restart);
            for _ in 0..self.steps {
                batch.retain(|slot| self.goes_on(target, slot));
                // A step is worth its query only if the point that it leads to can be asked about. Every slot of the
                // batch has asked as much as the others: all can afford that, or none.
                let step = <Gradient as Access>::COST + 1;
                if batch.slots.is_empty() || !batch.slots.iter().all(|&s| target.affords(s, step)) {
                    break;
                }
                target.loss_and_gradient(&batch.slots, &batch.points, &loss, &mut answer)?;
                self.advance(target, &mut batch, &mut answer.gradient);
            }
            batch.retain(|slot| self.goes_on(target, slot));
            target.submit(&batch.slots, &batch.points)?;
        }
        Ok(())
    }

    fn goes_on(&self, target: &Target<'_, Gradient>, slot: usize) -> bool {
        target.affords(slot, 1) && !(self.early_stop && target.is_broken(slot))
    }

    fn start(&self, target: &Target<'_, Gradient>, restart: usize) -> Batch {
        let slots: Vec<usize> =
            (0..target.len()).filter(|&slot| self.goes_on(target, slot)).collect();
        let mut streams: Vec<Stream> =
            slots.iter().map(|&slot| target.stream(slot, restart)).collect();
        let mut points = Vec::with_capacity(slots.len() * target.features());
        for (&slot, stream) in slots.iter().zip(&mut streams) {
            let from = points.len();
            points.extend_from_slice(target.clean(slot));
            if self.random_start || restart > 0 {
                target.region(slot).random_point(stream, &mut points[from..]);
            }
        }
        let velocity = if self.momentum > 0.0 { vec![0.0; points.len()] } else { vec![] };
        Batch { slots, points, velocity, streams }
    }

    /// One step of every sample that goes on.
    fn advance(&self, target: &mut Target<'_, Gradient>, batch: &mut Batch, gradients: &mut [f32]) {
        let features = target.features().max(1);
        let rows =
            batch.points.chunks_exact_mut(features).zip(gradients.chunks_exact_mut(features));
        for (row, (point, gradient)) in rows.enumerate() {
            let slot = batch.slots[row];
            let region = target.region(slot);
            let vanishes = !region.restrict(gradient);
            if vanishes {
                target.note_zero_gradient(slot);
            }
            if !self.goes_on(target, slot) {
                continue;
            }
            if vanishes {
                region.random_direction(&mut batch.streams[row], gradient);
            }
            let direction = if self.momentum > 0.0 {
                let velocity = &mut batch.velocity[row * features..(row + 1) * features];
                accumulate(velocity, gradient, self.momentum);
                velocity
            } else {
                gradient
            };
            self.step(&region, point, direction);
            region.project(point);
        }
    }

    fn step(&self, region: &Region<'_>, point: &mut [f32], direction: &[f32]) {
        if self.ignore_box {
            Region { bounds: &Bounds::NONE, ..*region }.step(point, direction, self.step);
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

/// The samples still worked on, packed: row i of each array belongs to slot `slots[i]`.
#[derive(Debug)]
struct Batch {
    slots: Vec<usize>,
    points: Vec<f32>,
    /// Empty without momentum.
    velocity: Vec<f32>,
    streams: Vec<Stream>,
}

impl Batch {
    /// Drops the other slots and closes the gaps.
    fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let features = self.points.len() / self.slots.len().max(1);
        let Some(kept) = survivors(self.slots.len(), |row| keep(self.slots[row])) else { return };
        close_gaps(&mut self.slots, 1, &kept);
        close_gaps(&mut self.streams, 1, &kept);
        close_gaps(&mut self.points, features, &kept);
        if !self.velocity.is_empty() {
            close_gaps(&mut self.velocity, features, &kept);
        }
    }
}
