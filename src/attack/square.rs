//! The Square attack: random search with windows that shrink.

use serde::{Deserialize, Serialize};

use super::packed::{close_gaps, survivors};
use super::square_moves::{begin, change, least_side};
use super::{Attack, Score, Target};
use crate::error::{Error, Result};
use crate::grid::Grid;
use crate::loss::{LossKind, check_classes};
use crate::model::ModelInfo;
use crate::rng::Stream;

/// The Square attack: changes a random square of the sample, keeps the change if the loss rises, and repeats.
///
/// # Threat model
/// Score-based (logits, no gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted and targeted.
///
/// # Shapes
/// Any. Axes of length one do not count. A vector is a row, and its squares are intervals of adjacent features; two axes
/// are an image's rows and columns; of three, the channels are the last if it is shorter than the first, else the first;
/// of more, the last two are rows and columns and all others channels. A square that is longer than an image's shorter
/// side becomes a rectangle of the same area. A square has the same rows and columns in every channel. With a mask, squares
/// lie in the smallest rectangle that holds all free features.
///
/// # Defaults
/// 5000 queries from one random start on the margin, `p_init` 0.8.
///
/// # Queries per sample
/// At most `restarts` times `queries` forward, the first of each restart at its random start; a broken sample stops.
///
/// # Errors
/// When the model cannot be run, has fewer classes than the loss needs, or the run was cancelled.
///
/// # Reference
/// Andriushchenko et al. 2020, <https://arxiv.org/abs/1912.00049>, algorithms 1 to 3; `p_init` and the queries are those of
/// Croce & Hein 2020, <https://arxiv.org/abs/2003.01690>, section 5.
///
/// # Differences
/// Targeted, the paper maximises cross-entropy: that is `loss=ce`. In l1 the rule is that of l2 with every size measured in
/// l1, and the projection is onto ball and box at once. A change that the box or the mask undoes is drawn again, 50 times at
/// most. In l2 and l1 the five by five tiles of the start cover images whose sides are no multiples of five.
///
/// # Strength
/// On linear models of 8 to 200 features it succeeds within 1.01 times the smallest perturbation in linf. In l1 and l2, whose
/// changes follow a smooth pattern, weights without one take 1.5 and 1.4 times; 20 000 queries bring that to 1.3 in l2.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Square {
    /// Queries per restart.
    pub queries: usize,
    /// How often to begin.
    pub restarts: usize,
    /// The share of the sample's area that the first squares have, above 0 and at most 1.
    pub p_init: f64,
    /// The loss to maximise.
    pub loss: LossKind,
}

impl Default for Square {
    fn default() -> Self {
        Self { queries: 5000, restarts: 1, p_init: 0.8, loss: LossKind::Margin }
    }
}

/// The steps of 10 000 after which the area is halved.
const HALVED_AFTER: [u64; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];

/// How often a change that changes nothing is drawn again.
const REDRAWS: usize = 50;

impl Square {
    /// The share of the sample's area that the square of step `step` has, the first change being step 1.
    ///
    /// `p_init` is halved after steps 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 of 10 000 queries; for another
    /// number of queries these are scaled.
    #[must_use]
    pub fn share(&self, step: usize) -> f64 {
        let scaled = step as u64 * 10_000 / self.queries.max(1) as u64;
        let halvings = HALVED_AFTER.iter().filter(|&&after| scaled > after).count();
        self.p_init / f64::from(1_u32 << halvings)
    }

    fn search(&self, target: &mut Target<'_, Score>, restart: usize) -> Result<()> {
        let mut slots: Vec<usize> = (0..target.len()).collect();
        target.retain_open(&mut slots);
        let Some(&first) = slots.first() else { return Ok(()) };
        let region = target.region(first);
        let (grid, least) = (Grid::new(target.shape()).around_free(&region), least_side(&region));
        let loss = self.loss.loss();
        let mut search = Search::start(target, &grid, slots, restart);
        for step in 0..self.queries {
            search.retain(|slot| !target.is_broken(slot) && target.is_open(slot));
            if search.slots.is_empty() {
                break;
            }
            if step > 0 {
                search.propose(target, &grid, grid.sides(self.share(step), least));
            }
            target.losses(&search.slots, &search.proposed, &loss, &mut search.losses)?;
            search.keep_better();
        }
        Ok(())
    }
}

impl Attack for Square {
    type Access = Score;

    fn id(&self) -> &'static str {
        "square"
    }

    fn validate(&self) -> Result<()> {
        for (field, count) in [("queries", self.queries), ("restarts", self.restarts)] {
            if count == 0 {
                return Err(Error::parameter(field, count, "expected 1 or more"));
            }
        }
        if self.p_init > 0.0 && self.p_init <= 1.0 {
            return Ok(());
        }
        Err(Error::parameter("p_init", self.p_init, "expected a number above 0, at most 1"))
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        check_classes(&*self.loss.loss(), model.classes)
    }

    fn run(&self, target: &mut Target<'_, Score>) -> Result<()> {
        (0..self.restarts).try_for_each(|restart| self.search(target, restart))
    }
}

/// The samples still worked on, packed: row i of each array belongs to slot `slots[i]`.
#[derive(Debug)]
struct Search {
    features: usize,
    slots: Vec<usize>,
    streams: Vec<Stream>,
    /// The best points so far and their losses.
    best: Vec<f32>,
    best_losses: Vec<f32>,
    /// The points to ask about and their losses.
    proposed: Vec<f32>,
    losses: Vec<f32>,
}

impl Search {
    fn start(target: &Target<'_, Score>, grid: &Grid, slots: Vec<usize>, restart: usize) -> Self {
        let features = target.features();
        let mut proposed = vec![0.0; slots.len() * features];
        let mut streams = Vec::with_capacity(slots.len());
        for (&slot, point) in slots.iter().zip(proposed.chunks_exact_mut(features.max(1))) {
            let mut stream = target.stream(slot, restart);
            begin(grid, &target.region(slot), &mut stream, point);
            streams.push(stream);
        }
        let best_losses = vec![f32::NEG_INFINITY; slots.len()];
        let best = proposed.clone();
        Self { features, slots, streams, best, best_losses, proposed, losses: vec![] }
    }

    /// One change of every best point.
    fn propose(&mut self, target: &Target<'_, Score>, grid: &Grid, sides: (usize, usize)) {
        let features = self.features.max(1);
        let rows = self.best.chunks_exact(features).zip(self.proposed.chunks_exact_mut(features));
        for ((&slot, stream), (best, point)) in self.slots.iter().zip(&mut self.streams).zip(rows) {
            let region = target.region(slot);
            for _ in 0..=REDRAWS {
                point.copy_from_slice(best);
                change(grid, &region, sides, stream, point);
                if point != best {
                    break;
                }
            }
        }
    }

    fn keep_better(&mut self) {
        let features = self.features.max(1);
        let rows = self.best.chunks_exact_mut(features).zip(self.proposed.chunks_exact(features));
        let losses = self.best_losses.iter_mut().zip(&self.losses);
        for ((best, point), (best_loss, &loss)) in rows.zip(losses) {
            if loss > *best_loss {
                best.copy_from_slice(point);
                *best_loss = loss;
            }
        }
    }

    /// Drops the other slots and closes the gaps.
    fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let Some(kept) = survivors(self.slots.len(), |row| keep(self.slots[row])) else { return };
        close_gaps(&mut self.slots, 1, &kept);
        close_gaps(&mut self.streams, 1, &kept);
        close_gaps(&mut self.best_losses, 1, &kept);
        close_gaps(&mut self.best, self.features, &kept);
        close_gaps(&mut self.proposed, self.features, &kept);
    }
}
