//! The questions about one sample whose target only decides.

use super::{Decision, Target};
use crate::error::{Error, Result};
use crate::norm::{Norm, Radius};
use crate::rng::Stream;
use crate::threat::Region;

/// Why a search ends early.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing more may be asked.
    Spent,
    /// The target could not answer.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a search comes to.
pub(super) type Sought<T> = Result<T, End>;

/// One slot of a target, with the questions that its attack allows itself.
#[derive(Debug)]
pub(super) struct Inquiry<'t, 'a> {
    target: &'t mut Target<'a, Decision>,
    slot: usize,
    queries: u64,
    pub(super) region: Region<'a>,
    pub(super) stream: Stream,
}

impl<'t, 'a> Inquiry<'t, 'a> {
    pub(super) fn new(target: &'t mut Target<'a, Decision>, slot: usize, queries: usize) -> Self {
        let (region, stream) = (target.region(slot), target.stream(slot, 0));
        Self { target, slot, queries: queries as u64, region, stream }
    }

    /// Searches slot after slot with at most `queries` questions each.
    pub(super) fn each(
        target: &mut Target<'_, Decision>,
        queries: usize,
        search: impl Fn(&mut Inquiry<'_, '_>) -> Sought<()>,
    ) -> Result<()> {
        (0..target.len()).try_for_each(|slot| {
            match search(&mut Inquiry::new(target, slot, queries)) {
                Ok(()) | Err(End::Spent) => Ok(()),
                Err(End::Failed(error)) => Err(error),
            }
        })
    }

    /// How many more points may be asked about.
    pub(super) fn left(&self) -> usize {
        self.queries.min(self.target.left(self.slot)) as usize
    }

    /// Whether each row of `points` meets the aim.
    pub(super) fn are_met(&mut self, points: &[f32]) -> Sought<Vec<bool>> {
        let rows = points.len() / self.region.clean.len().max(1);
        if rows > self.left() {
            return Err(End::Spent);
        }
        self.queries -= rows as u64;
        Ok(self.target.decide(&vec![self.slot; rows], points)?)
    }

    pub(super) fn is_met(&mut self, point: &[f32]) -> Sought<bool> {
        Ok(self.are_met(point)?.first() == Some(&true))
    }

    /// The nearest points of the session's that may meet the aim.
    pub(super) fn starts(&self, count: usize) -> Vec<&'a [f32]> {
        self.target.starts(self.slot, count)
    }

    /// What a step off the boundary and the way back take, as a rule.
    pub(super) fn reserve(&self) -> usize {
        10 + (-self.tolerance().log2()) as usize
    }

    /// The share of it to which a radius is found: d^-1.5, the precision of Chen et al. 2020,
    /// <https://arxiv.org/abs/1904.02144>, or a thousandth.
    fn tolerance(&self) -> f64 {
        (self.region.clean.len() as f64).powf(-1.5).min(1e-3)
    }

    /// Moves `point`, which meets the aim, back towards the clean input, as far as it meets the aim projected onto balls of the
    /// threat's norm.
    pub(super) fn shrink(&mut self, point: &mut Vec<f32>) -> Sought<()> {
        let (region, far) = (self.region, point.clone());
        let onto = |radius: f64, out: &mut [f32]| {
            out.copy_from_slice(&far);
            region.with_radius(Radius::Scalar(radius)).project(out);
        };
        self.bisect((0.0, region.distance(point)), point, onto)
    }

    /// Finds the least parameter of a path at which its points meet the aim, between one that does not and the larger
    /// one of `point`, which does. `point` becomes that of the least one found.
    pub(super) fn bisect(
        &mut self,
        (mut low, mut high): (f64, f64),
        point: &mut Vec<f32>,
        path: impl Fn(f64, &mut [f32]),
    ) -> Sought<()> {
        let mut middle = point.clone();
        while high - low > self.tolerance() * high {
            let parameter = f64::midpoint(low, high);
            path(parameter, &mut middle);
            if middle == *point {
                break;
            }
            if self.is_met(&middle)? {
                point.clone_from(&middle);
                high = parameter;
            } else {
                low = parameter;
            }
        }
        Ok(())
    }

    /// The direction in which points around `point`, on the boundary, meet the aim: the slopes of a regression of `count`
    /// decisions on random points nearby. None where they are zero.
    ///
    /// Away from the bounds that is, up to a factor, the mean of random directions, each with the sign of the decision there
    /// less the mean decision (Chen et al. 2020, section III.C.1 and equation (16)); a feature that a bound lets vary
    /// less is not taken for a less steep one. The points are as far from `point` in L2 as it is from the clean input, over
    /// the number of features, and a millionth of its own length at the least, below which single precision does not tell
    /// them apart; features with levels vary by them.
    pub(super) fn normal(&mut self, point: &[f32], count: usize) -> Sought<Option<Vec<f32>>> {
        /// Points that are asked about together.
        const ROWS: usize = 64;
        let features = point.len();
        let origin = vec![0.0; features];
        let distance = Norm::L2.size(self.region.clean, point) / features as f64;
        let length = distance.max(1e-6 * Norm::L2.size(&origin, point));
        let least: Vec<f64> = (0..features).map(|i| self.region.least_change(i)).collect();
        let mut sums = vec![Sums::default(); features];
        let mut decisions = 0.0;
        let mut direction = origin.clone();
        let mut around = vec![];
        for first in (0..count).step_by(ROWS) {
            around.clear();
            for _ in first..count.min(first + ROWS) {
                self.region.random_direction(&mut self.stream, &mut direction);
                let scale = length / Norm::L2.size(&origin, &direction).max(f64::MIN_POSITIVE);
                let row = around.len();
                let moved = point.iter().zip(&direction).zip(&least).map(|((&x, &u), &least)| {
                    (f64::from(x) + scale.max(least) * f64::from(u)) as f32
                });
                around.extend(moved);
                self.region.project(&mut around[row..]);
            }
            let met = self.are_met(&around)?;
            for (row, met) in around.chunks_exact(features).zip(met) {
                let sign = if met { 1.0 } else { -1.0 };
                decisions += sign;
                for (sums, (&x, &centre)) in sums.iter_mut().zip(row.iter().zip(point)) {
                    sums.add(f64::from(x) - f64::from(centre), sign);
                }
            }
        }
        let mean = decisions / count.max(1) as f64;
        // Where all agree, nothing is left but to go their way.
        let mean = if mean.abs() < 1.0 { mean } else { 0.0 };
        let slopes: Vec<f64> = sums.iter().map(|sums| sums.slope(mean, count as f64)).collect();
        let largest = slopes.iter().fold(0.0_f64, |most, slope| most.max(slope.abs()));
        let mut normal: Vec<f32> = slopes.iter().map(|slope| (slope / largest) as f32).collect();
        Ok(self.region.restrict(&mut normal).then_some(normal))
    }
}

/// What the regression on one feature needs.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    changes: f64,
    squares: f64,
    signed: f64,
}

impl Sums {
    fn add(&mut self, change: f64, sign: f64) {
        self.changes += change;
        self.squares += change * change;
        self.signed += sign * change;
    }

    /// The slope of the signs, whose mean is `mean`, on the changes; zero where the feature did not vary.
    fn slope(&self, mean: f64, count: f64) -> f64 {
        let variation = self.squares - self.changes * self.changes / count;
        if variation > 0.0 { (self.signed - mean * self.changes) / variation } else { 0.0 }
    }
}
