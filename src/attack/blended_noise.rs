//! Blended noise: every sample fades into a random one.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::path::Search;
use super::{Attack, Decision, Family, Target, checks, family};
use crate::error::Result;
use crate::norm::Norm;

/// The least share of uniform noise that succeeds when a sample is blended with it.
///
/// # Threat model
/// Access to the decision. The budget plays no part; the bounds, between which the noise lies, must be finite. Any norm.
/// Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// Up to 1000 draws, 100 steps, 10 halvings.
///
/// # Queries per sample
/// At most `draws` forward passes until one succeeds as it is; then at most `steps + 1` and `halvings` on the way to it, or
/// to the last one.
///
/// # Errors
/// When a free feature has no finite bounds, the model cannot be run, or the run was cancelled.
///
/// # Reference
/// The blended uniform noise attack of Rauber et al. 2017, <https://arxiv.org/abs/1707.04131>.
///
/// # Differences
/// Foolbox takes 1000 steps and halves none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlendedNoise {
    /// How many draws to try until one succeeds.
    pub draws: usize,
    /// How many evenly spaced points of the way to try.
    pub steps: usize,
    /// How often to halve the step before the first success.
    pub halvings: u32,
}

impl Default for BlendedNoise {
    fn default() -> Self {
        Self { draws: 1000, steps: 100, halvings: 10 }
    }
}

impl Attack for BlendedNoise {
    type Access = Decision;

    fn id(&self) -> &'static str {
        "blended-noise"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        family::ANY_NORM
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("draws", self.draws)?;
        Search::validate(self.steps, self.halvings)
    }

    fn run(&self, target: &mut Target<'_, Decision>) -> Result<()> {
        let bounds = target.bounds();
        let features = target.features();
        let slots: Vec<usize> = (0..target.len()).collect();
        slots.iter().try_for_each(|&slot| checks::bounded(&target.region(slot)))?;
        let mut ends = vec![0.0; slots.len() * features];
        let mut packed = vec![];
        let mut seeking = slots.clone();
        for draw in 0..self.draws {
            target.retain_open(&mut seeking);
            packed.clear();
            for &slot in &seeking {
                let (region, mut stream) = (target.region(slot), target.stream(slot, draw));
                let end = &mut ends[slot * features..][..features];
                for (feature, x) in end.iter_mut().enumerate() {
                    let (lower, upper) = bounds.at(feature);
                    *x = lower + stream.random::<f32>() * (upper - lower);
                }
                region.project(end);
                packed.extend_from_slice(end);
            }
            target.submit(&seeking, &packed)?;
        }
        Search::new(self.steps, self.halvings).towards(target, &slots, &ends)
    }
}
