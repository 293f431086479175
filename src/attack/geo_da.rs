//! GeoDA: straight to the boundary's tangent plane, whose normal is estimated from decisions.

use serde::{Deserialize, Serialize};

use super::inquiry::{Inquiry, Sought};
use super::{Attack, Decision, Family, Target, checks, start};
use crate::error::Result;
use crate::threat::Region;

/// GeoDA: estimates the boundary's normal from decisions around a point on it, and looks for the next one along the
/// smallest perturbations that cross planes with that normal.
///
/// # Threat model
/// Decision-based: it learns whether a point is adversarial, nothing else. Minimal norm: l1, l2, linf; the budget plays no
/// part. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 10 000 queries over 10 estimates, each from 0.6^(-2/3) times the points of the one before; a start from the nearest
/// points of the data set and `starts` 100 random ones.
///
/// # Queries per sample
/// At most `queries` forward; fewer where there is no start (at most 10 and ten times `starts`).
///
/// # Errors
/// When the model cannot be run, or the run was cancelled.
///
/// # Reference
/// Rahmati et al. 2020, <https://arxiv.org/abs/2003.06468>, algorithm 1 and section 3.
///
/// # Differences
/// The smallest perturbations are those within the bounds, where the paper clips what crosses the plane without them; for
/// l1 that is what the paper takes from SparseFool. Directions are drawn from the whole space, not from low frequencies.
/// The normal is that of [`HopSkipJump`](super::HopSkipJump) and its differences. A round that leads further away is not
/// followed. The start is the best of many.
///
/// # Strength
/// Within 1.25 times the smallest perturbation on linear models of 8 to 500 features; 1.4 times in l1 where a quarter of 500
/// features have to go to their bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeoDa {
    /// The most queries.
    pub queries: usize,
    /// Estimates of the normal.
    pub rounds: usize,
    /// Random points to start from.
    pub starts: usize,
}

impl Default for GeoDa {
    fn default() -> Self {
        Self { queries: 10_000, rounds: 10, starts: 100 }
    }
}

/// By how much the points of an estimate grow from round to round: lambda^(-2/3) for the paper's lambda of 0.6.
const GROWTH: f64 = 1.405_72;

impl Attack for GeoDa {
    type Access = Decision;

    fn id(&self) -> &'static str {
        "geoda"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("queries", self.queries)?;
        checks::at_least_one("rounds", self.rounds)?;
        checks::at_least_one("starts", self.starts)
    }

    fn run(&self, target: &mut Target<'_, Decision>) -> Result<()> {
        Inquiry::each(target, self.queries, |inquiry| self.search(inquiry))
    }
}

impl GeoDa {
    fn search(&self, inquiry: &mut Inquiry<'_, '_>) -> Sought<()> {
        let Some(mut point) = start::find(inquiry, self.starts)? else { return Ok(()) };
        for round in 0..self.rounds {
            // This round's share of what is left for it and those to come, less what each spends on a bisection.
            let to_come = (self.rounds - round) as i32;
            let share = (GROWTH - 1.0) / (GROWTH.powi(to_come) - 1.0);
            let left = inquiry.left().saturating_sub(inquiry.reserve() * to_come as usize);
            let count = (share * left as f64) as usize;
            if count == 0 {
                continue;
            }
            if let Some(normal) = inquiry.normal(&point, count)? {
                approach(inquiry, &mut point, &normal)?;
            }
        }
        Ok(())
    }
}

/// Moves `point` to the nearest one that meets the aim among those at which the linear function with gradient `normal` has
/// risen from the clean input; it stays where that is not nearer.
fn approach(inquiry: &mut Inquiry<'_, '_>, point: &mut Vec<f32>, normal: &[f32]) -> Sought<()> {
    let region = inquiry.region;
    let path = |rise: f64, out: &mut [f32]| {
        region.reach(region.clean, normal, rise, out);
        region.project(out);
    };
    let mut next = vec![0.0; point.len()];
    let rise = farthest(&region, region.distance(point), normal, path, &mut next);
    if inquiry.is_met(&next)? {
        inquiry.bisect((0.0, rise), &mut next, path)?;
        *point = next;
    }
    Ok(())
}

/// The largest rise whose point on the path is nearer to the clean input than `distance`. `next` becomes that point.
fn farthest(
    region: &Region<'_>,
    distance: f64,
    normal: &[f32],
    path: impl Fn(f64, &mut [f32]),
    next: &mut [f32],
) -> f64 {
    // Without bounds, the second is the rise at that distance.
    let (mut low, mut high) = (0.0, distance * region.norm.dual_size(normal));
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        path(middle, next);
        if region.distance(next) < distance { low = middle } else { high = middle }
    }
    path(low, next);
    low
}
