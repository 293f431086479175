//! Contrast reduction: every sample fades into one level.

use serde::{Deserialize, Serialize};

use super::path::Search;
use super::{Attack, Decision, Family, Target, checks, family};
use crate::error::Result;
use crate::norm::Norm;

/// The least loss of contrast that succeeds: all features move towards one level, by the same share of their way.
///
/// # Threat model
/// Access to the decision. The budget plays no part; the bounds must be finite. Any norm. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// The level in the middle between the bounds, 100 steps, 10 halvings.
///
/// # Queries per sample
/// At most `steps + 1` forward passes until a success, then `halvings`.
///
/// # Errors
/// When a free feature has no finite bounds, the model cannot be run, or the run was cancelled.
///
/// # Reference
/// The contrast reduction attack of Rauber et al. 2017, <https://arxiv.org/abs/1707.04131>.
///
/// # Differences
/// Foolbox searches either in steps or by halving, which finds some boundary; here steps find the first one, and halving
/// locates it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastReduction {
    /// The level, as a share of the way from the lower bound to the upper one.
    pub level: f64,
    /// How many evenly spaced points of the way to try.
    pub steps: usize,
    /// How often to halve the step before the first success.
    pub halvings: u32,
}

impl Default for ContrastReduction {
    fn default() -> Self {
        Self { level: 0.5, steps: 100, halvings: 10 }
    }
}

impl Attack for ContrastReduction {
    type Access = Decision;

    fn id(&self) -> &'static str {
        "contrast-reduction"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        family::ANY_NORM
    }

    fn validate(&self) -> Result<()> {
        checks::share("level", self.level)?;
        Search::validate(self.steps, self.halvings)
    }

    fn run(&self, target: &mut Target<'_, Decision>) -> Result<()> {
        let bounds = target.bounds();
        let slots: Vec<usize> = (0..target.len()).collect();
        let mut ends = vec![];
        for &slot in &slots {
            let region = target.region(slot);
            checks::bounded(&region)?;
            ends.extend((0..target.features()).map(|feature| {
                let (lower, upper) = bounds.at(feature);
                let (lower, upper) = (f64::from(lower), f64::from(upper));
                (lower + self.level * (upper - lower)) as f32
            }));
        }
        Search::new(self.steps, self.halvings).towards(target, &slots, &ends)
    }
}
