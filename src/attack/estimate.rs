//! Gradients estimated from the losses at pairs of points.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{Score, Target};
use crate::error::Result;
use crate::loss::LossKind;
use crate::rng::Stream;

/// How an estimate's directions are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directions {
    Normal,
    Signs,
}

/// Differences of the loss between points on either side.
#[derive(Debug)]
pub(super) struct Estimator<'a> {
    pub(super) loss: &'a LossKind,
    pub(super) directions: Directions,
    /// How far the points of a pair are from the middle, in units of the direction; at least as far as data must move to be
    /// other data.
    pub(super) width: f64,
    pub(super) pairs: usize,
}

impl Estimator<'_> {
    /// Climbs from the clean input for `steps` estimates per slot, one slot after the other, and asks about the last point.
    /// `step` moves a point along an estimate; what it returns is projected.
    pub(super) fn climb<S: Default>(
        &self,
        target: &mut Target<'_, Score>,
        steps: usize,
        step: impl Fn(&Target<'_, Score>, usize, &mut S, &[f32], &mut [f32]),
    ) -> Result<()> {
        for slot in 0..target.len() {
            let (mut stream, mut state) = (target.stream(slot, 0), S::default());
            let mut point = target.clean(slot).to_vec();
            let mut gradient = vec![0.0; point.len()];
            for _ in 0..steps {
                // An estimate is worth its queries only if the point that it leads to can be asked about.
                let affords = |pairs: &usize| target.affords(slot, 2 * *pairs as u64 + 1);
                let pairs = (1..=self.pairs).rev().find(affords);
                let Some(pairs) = pairs.filter(|_| !target.is_broken(slot)) else { break };
                self.estimate(target, slot, pairs, &point, &mut stream, &mut gradient)?;
                let region = target.region(slot);
                if !region.restrict(&mut gradient) {
                    target.note_zero_gradient(slot);
                    region.random_direction(&mut stream, &mut gradient);
                }
                step(target, slot, &mut state, &gradient, &mut point);
                region.project(&mut point);
            }
            if target.is_open(slot) && !target.is_broken(slot) {
                target.submit(&[slot], &point)?;
            }
        }
        Ok(())
    }

    /// Writes the mean over the pairs of the loss's difference times the direction, over twice the width.
    fn estimate(
        &self,
        target: &mut Target<'_, Score>,
        slot: usize,
        pairs: usize,
        point: &[f32],
        stream: &mut Stream,
        gradient: &mut [f32],
    ) -> Result<()> {
        let (region, features) = (target.region(slot), point.len());
        let width = |feature| self.width.max(region.least_change(feature));
        let widths: Vec<f64> = (0..features).map(width).collect();
        let (mut directions, mut probes) = (vec![], vec![]);
        for _ in 0..pairs {
            let first = directions.len();
            directions.extend((0..features).map(|_| self.directions.draw(stream)));
            for side in [1.0, -1.0] {
                let from = probes.len();
                let moved = point.iter().zip(&directions[first..]).zip(&widths);
                probes.extend(moved.map(|((&x, &u), &w)| (f64::from(x) + side * w * u) as f32));
                region.project(&mut probes[from..]);
            }
        }
        let mut losses = vec![];
        target.losses(&vec![slot; 2 * pairs], &probes, &self.loss.loss(), &mut losses)?;
        let mut sums = vec![0.0; features];
        let rows = directions.chunks_exact(features.max(1)).zip(losses.as_chunks::<2>().0);
        for (direction, &[ahead, behind]) in rows {
            let difference = f64::from(ahead) - f64::from(behind);
            sums.iter_mut().zip(direction).for_each(|(sum, u)| *sum += difference * u);
        }
        for ((g, sum), width) in gradient.iter_mut().zip(sums).zip(widths) {
            *g = (sum * (2.0 * width * pairs as f64).recip()) as f32;
        }
        Ok(())
    }
}

impl Directions {
    fn draw(self, stream: &mut Stream) -> f64 {
        match self {
            Self::Normal => StandardNormal.sample(stream),
            Self::Signs => {
                if stream.random() {
                    1.0
                } else {
                    -1.0
                }
            }
        }
    }
}
