//! HopSkipJump: along the boundary by a normal estimated from decisions.

use serde::{Deserialize, Serialize};

use super::inquiry::{Inquiry, Sought};
use super::{Attack, Decision, Family, Target, checks, start};
use crate::error::Result;
use crate::norm::Norm;
use crate::threat::StepSize;

/// HopSkipJump: estimates the boundary's normal from decisions around a point on it, steps along it into the adversarial
/// side, and returns to the boundary on the way to the clean input.
///
/// # Threat model
/// Decision-based: it learns whether a point is adversarial, nothing else. Minimal norm: l2, linf; the budget plays no part.
/// Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 10 000 queries; estimates from 100 points, times the square root of the step; a start from the nearest points of the
/// data set and `starts` 100 random ones.
///
/// # Queries per sample
/// At most `queries` forward, all of which it uses unless it finds no start: those cost at most 10 and ten times `starts`.
///
/// # Errors
/// When the model cannot be run, or the run was cancelled.
///
/// # Reference
/// Chen, Jordan & Wainwright 2020, <https://arxiv.org/abs/1904.02144>, algorithms 1 and 2.
///
/// # Differences
/// The paper starts from uniform noise or, targeted, from one image of the class; here the start is the best of many. The
/// points around the boundary are drawn from the sphere, |x - clean| / d away in l2, for both norms, and not further at
/// the first step; the bisection is as precise in linf as in l2: the paper's distances for linf vanish in single
/// precision. The decisions' mean over the points is a regression on them, which is the same but where bounds let features
/// vary less.
///
/// # Strength
/// On linear models of 8 to 500 features within 1.06 times the smallest perturbation in l2, 1.13 times in linf.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HopSkipJump {
    /// The most queries.
    pub queries: usize,
    /// Points of the first estimate.
    pub points: usize,
    /// Random points to start from.
    pub starts: usize,
}

impl Default for HopSkipJump {
    fn default() -> Self {
        Self { queries: 10_000, points: 100, starts: 100 }
    }
}

impl Attack for HopSkipJump {
    type Access = Decision;

    fn id(&self) -> &'static str {
        "hopskipjump"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L2, Norm::Linf]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("queries", self.queries)?;
        checks::at_least_one("points", self.points)?;
        checks::at_least_one("starts", self.starts)
    }

    fn run(&self, target: &mut Target<'_, Decision>) -> Result<()> {
        Inquiry::each(target, self.queries, |inquiry| self.search(inquiry))
    }
}

impl HopSkipJump {
    fn search(&self, inquiry: &mut Inquiry<'_, '_>) -> Sought<()> {
        let Some(mut point) = start::find(inquiry, self.starts)? else { return Ok(()) };
        for step in 1.. {
            let root = f64::from(step).sqrt();
            // The last estimate leaves enough to use it.
            let count = (self.points as f64 * root) as usize;
            let count = count.min(inquiry.left().saturating_sub(inquiry.reserve()));
            if count == 0 {
                break;
            }
            let Some(normal) = inquiry.normal(&point, count)? else { continue };
            leap(inquiry, &mut point, &normal, root)?;
        }
        Ok(())
    }
}

/// Steps from a boundary point along its normal, by its distance over `root` or the largest of its halves that stays
/// adversarial, and back to the boundary.
fn leap(
    inquiry: &mut Inquiry<'_, '_>,
    point: &mut Vec<f32>,
    normal: &[f32],
    root: f64,
) -> Sought<()> {
    let region = inquiry.region;
    let mut length = region.distance(point) / root;
    let mut next = vec![];
    loop {
        next.clone_from(point);
        region.step(&mut next, normal, StepSize::Absolute(length));
        region.project(&mut next);
        if next == *point {
            return Ok(());
        }
        if inquiry.is_met(&next)? {
            break;
        }
        length /= 2.0;
    }
    inquiry.shrink(&mut next)?;
    *point = next;
    Ok(())
}
