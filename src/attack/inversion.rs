//! Inversion: the negative of every sample.

use serde::{Deserialize, Serialize};

use super::{Attack, Blind, Family, Target, checks, family};
use crate::error::Result;
use crate::norm::Norm;

/// The negative: every feature mirrored between its bounds.
///
/// # Threat model
/// No access. The budget plays no part; the bounds must be finite. Any norm. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// It has no parameters.
///
/// # Queries per sample
/// One forward pass.
///
/// # Errors
/// When a free feature has no finite bounds, the model cannot be run, or the run was cancelled.
///
/// # Reference
/// Hosseini et al. 2017, <https://arxiv.org/abs/1703.06857>.
///
/// # Differences
/// None.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inversion {}

impl Attack for Inversion {
    type Access = Blind;

    fn id(&self) -> &'static str {
        "inversion"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        family::ANY_NORM
    }

    fn validate(&self) -> Result<()> {
        Ok(())
    }

    fn run(&self, target: &mut Target<'_, Blind>) -> Result<()> {
        let bounds = target.bounds();
        let mut slots: Vec<usize> = (0..target.len()).collect();
        target.retain_open(&mut slots);
        let mut points = vec![];
        for &slot in &slots {
            let (region, start) = (target.region(slot), points.len());
            checks::bounded(&region)?;
            points.extend(region.clean.iter().enumerate().map(|(feature, &x)| {
                let (lower, upper) = bounds.at(feature);
                (f64::from(lower) + f64::from(upper) - f64::from(x)) as f32
            }));
            region.project(&mut points[start..]);
        }
        target.submit(&slots, &points)
    }
}
