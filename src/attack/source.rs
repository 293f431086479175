//! How the gradient of a step comes about: averaged over queries, of transformed inputs, tuned by those nearby.

use std::sync::Arc;

use super::ascent::Batch;
use super::diversity::{Diversity, Placement};
use super::{Access, Gradient, Target};
use crate::error::Result;
use crate::loss::Loss;
use crate::norm::Radius;
use crate::rng::Stream;
use crate::threat::Region;

/// A plain gradient by default.
#[derive(Debug)]
pub(super) struct Source {
    /// Queries to average at each point.
    pub(super) eot: usize,
    /// What is done to the input before each query.
    pub(super) diversity: Option<Diversity>,
    /// Random points nearby whose mean gradient tunes the next step's.
    pub(super) neighbours: usize,
    /// The radius of their ball, as a multiple of eps.
    pub(super) reach: f64,
}

impl Default for Source {
    fn default() -> Self {
        Self { eot: 1, diversity: None, neighbours: 0, reach: 0.0 }
    }
}

impl Source {
    /// Forward and backward passes per step. Nothing follows the last one that it could tune.
    pub(super) fn cost(&self, last: bool) -> u64 {
        let nearby = if last { 0 } else { self.neighbours };
        (self.eot * (1 + nearby)) as u64 * <Gradient as Access>::COST
    }

    /// Asks for the gradients of the batch's rows, up to a positive factor, and drops what is settled.
    pub(super) fn ask(
        &self,
        target: &mut Target<'_, Gradient>,
        batch: &mut Batch,
        loss: &Arc<dyn Loss>,
        last: bool,
    ) -> Result<()> {
        batch.gradient.clear();
        for _ in 0..self.eot {
            self.query(target, batch, loss, false)?;
            sum(&mut batch.gradient, &mut batch.answer.gradient);
            batch.settle(target);
        }
        if self.neighbours == 0 {
            return Ok(());
        }
        batch.nearby.clear();
        if !last {
            for _ in 0..self.eot * self.neighbours {
                self.query(target, batch, loss, true)?;
                sum(&mut batch.nearby, &mut batch.answer.gradient);
                batch.settle(target);
            }
        }
        self.tune(batch);
        Ok(())
    }

    /// One query. Its gradients are fit for sums.
    fn query(
        &self,
        target: &mut Target<'_, Gradient>,
        batch: &mut Batch,
        loss: &Arc<dyn Loss>,
        nearby: bool,
    ) -> Result<()> {
        let placements = self.place(target, batch, nearby);
        let Batch { slots, aims, asked, answer, draft, .. } = batch;
        target.loss_and_gradient_towards(slots, asked, aims, loss, answer)?;
        let rows = answer.gradient.chunks_exact_mut(batch.features.max(1));
        for (row, (&slot, gradient)) in slots.iter().zip(rows).enumerate() {
            if let Some(Some(placement)) = placements.get(row) {
                draft.copy_from_slice(gradient);
                placement.adjoint(&batch.grid, draft, gradient);
            }
            target.region(slot).restrict(gradient);
        }
        Ok(())
    }

    /// Writes down what to ask about, and what was done to it.
    fn place(
        &self,
        target: &Target<'_, Gradient>,
        batch: &mut Batch,
        nearby: bool,
    ) -> Vec<Option<Placement>> {
        let Batch { points, ahead, asked, streams, draft, .. } = batch;
        asked.clone_from(if nearby || ahead.is_empty() { points } else { ahead });
        let mut placements = vec![];
        for (row, point) in asked.chunks_exact_mut(batch.features.max(1)).enumerate() {
            if nearby {
                draft.copy_from_slice(point);
                let region = target.region(batch.slots[row]);
                self.neighbour(&region, draft, &mut streams[row], point);
            }
            if let Some(diversity) = &self.diversity {
                let placement = diversity.draw(&batch.grid, &mut streams[row]);
                if let Some(placement) = &placement {
                    draft.copy_from_slice(point);
                    placement.apply(&batch.grid, draft, point);
                }
                placements.push(placement);
            }
        }
        placements
    }

    /// A random point of the ball around `centre`, moved into the box.
    fn neighbour(&self, region: &Region<'_>, centre: &[f32], stream: &mut Stream, out: &mut [f32]) {
        region.ball_around(centre).random_point(stream, out);
        for (x, &c) in out.iter_mut().zip(centre) {
            *x = (f64::from(c) + self.reach * (f64::from(*x) - f64::from(c))) as f32;
        }
        region.with_radius(Radius::Scalar(f64::INFINITY)).project(out);
    }

    /// gradient = gradient + variance, where variance is by how much the mean gradient nearby differed a step before.
    fn tune(&self, batch: &mut Batch) {
        batch.variance.resize(batch.gradient.len(), 0.0);
        batch.nearby.resize(batch.gradient.len(), 0.0);
        let rows = batch.gradient.iter_mut().zip(&mut batch.variance).zip(&batch.nearby);
        for ((g, variance), &sum) in rows {
            let (here, nearby) = (f64::from(*g), f64::from(sum) / self.neighbours as f64);
            *g = (here + f64::from(*variance)) as f32;
            *variance = (nearby - here) as f32;
        }
    }
}

/// Adds `terms` to `sums`, which are empty before the first. `terms` are used up.
fn sum(sums: &mut Vec<f32>, terms: &mut Vec<f32>) {
    if sums.is_empty() {
        return std::mem::swap(sums, terms);
    }
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += *term);
}
