//! Salt and pepper: ever more pixels become black or white.

use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::path::Search;
use super::{Attack, Decision, Family, Target, checks, family};
use crate::error::Result;
use crate::grid::Grid;
use crate::norm::Norm;

/// Pixels in random order go to their lower or upper bound, each to one at random, until that succeeds.
///
/// # Threat model
/// Access to the decision. The budget plays no part; the bounds must be finite. Any norm. Untargeted and targeted.
///
/// # Shapes
/// Any. Of an image, all channels of a pixel change together; axes are told apart as in
/// [`Canvas`](crate::corruption::Canvas). A vector's features change one by one.
///
/// # Defaults
/// 10 random orders, 100 steps.
///
/// # Queries per sample
/// For each order, at most `steps + 1` forward passes until a success, then the logarithm to base 2 of the pixels per step.
///
/// # Errors
/// When a free feature has no finite bounds, the model cannot be run, or the run was cancelled.
///
/// # Reference
/// The salt and pepper attack of Rauber et al. 2017, <https://arxiv.org/abs/1707.04131>.
///
/// # Differences
/// Foolbox draws anew at each step; here a larger share of noise holds the smaller one, so that halving can locate the
/// pixel that decides.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaltAndPepper {
    /// How many random orders to try: the closest success counts.
    pub draws: usize,
    /// How many evenly spaced numbers of pixels to try in each.
    pub steps: usize,
    /// Whether all channels of a pixel change together.
    pub whole_pixels: bool,
}

impl Default for SaltAndPepper {
    fn default() -> Self {
        Self { draws: 10, steps: 100, whole_pixels: true }
    }
}

impl SaltAndPepper {
    /// The features that change together, where one of them may change.
    fn pixels(&self, target: &Target<'_, Decision>) -> Vec<Vec<usize>> {
        let region = target.region(0);
        let mut pixels: Vec<Vec<usize>> = if self.whole_pixels {
            let grid = Grid::new(target.shape());
            let pixel = |(row, column)| {
                (0..grid.channels).map(|channel| grid.feature(row, column, channel)).collect()
            };
            grid.whole().cells().map(pixel).collect()
        } else {
            (0..target.features()).map(|feature| vec![feature]).collect()
        };
        pixels.retain(|pixel| pixel.iter().any(|&feature| region.is_free(feature)));
        pixels
    }
}

impl Attack for SaltAndPepper {
    type Access = Decision;

    fn id(&self) -> &'static str {
        "salt-and-pepper"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        family::ANY_NORM
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("draws", self.draws)?;
        checks::at_least_one("steps", self.steps)
    }

    fn run(&self, target: &mut Target<'_, Decision>) -> Result<()> {
        let slots: Vec<usize> = (0..target.len()).collect();
        slots.iter().try_for_each(|&slot| checks::bounded(&target.region(slot)))?;
        if slots.is_empty() {
            return Ok(());
        }
        let pixels = self.pixels(target);
        let search = Search { length: pixels.len(), steps: self.steps };
        for draw in 0..self.draws {
            let grains: Vec<Vec<(usize, bool)>> = slots
                .iter()
                .map(|&slot| {
                    let mut stream = target.stream(slot, draw);
                    let mut order: Vec<usize> = (0..pixels.len()).collect();
                    order.shuffle(&mut stream);
                    order.into_iter().map(|pixel| (pixel, stream.random())).collect()
                })
                .collect();
            search.run(target, &slots, |target, slot, count, point| {
                let (region, bounds) = (target.region(slot), target.bounds());
                point.copy_from_slice(region.clean);
                for &(pixel, salt) in &grains[slot][..count] {
                    for &feature in &pixels[pixel] {
                        let (lower, upper) = bounds.at(feature);
                        point[feature] = if salt { upper } else { lower };
                    }
                }
                region.project(point);
            })?;
        }
        Ok(())
    }
}
