//! Where an attack begins that only sees decisions: on the boundary, as near as a few questions find it.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::inquiry::{Inquiry, Sought};
use crate::norm::Radius;
use crate::rng::Stream;
use crate::threat::Region;

/// The points of the data set that are tried.
const NEAREST: usize = 10;

/// The nearest point found on the boundary that meets the aim; none where the clean input does, or no point was found.
///
/// Tried are the nearest points of the session's [`Starts`](super::Starts), then `draws` random ones, and while there is
/// no success up to ten times as many. Once there is one, others count only if they meet the aim at its distance: a
/// question each, and a bisection for those that do.
pub(super) fn find(inquiry: &mut Inquiry<'_, '_>, draws: usize) -> Sought<Option<Vec<f32>>> {
    let region = inquiry.region;
    if inquiry.is_met(region.clean)? {
        return Ok(None);
    }
    let mut best = None;
    for start in inquiry.starts(NEAREST) {
        consider(inquiry, start.to_vec(), &mut best)?;
    }
    let mut point = vec![0.0; region.clean.len()];
    for draw in 0..10 * draws {
        if best.is_some() && draw >= draws {
            break;
        }
        let far = best.is_some();
        scatter(&region, &mut inquiry.stream, draw, far, &mut point);
        consider(inquiry, point.clone(), &mut best)?;
    }
    Ok(best)
}

/// Takes a point's way to the clean input where it meets the aim closer than the best one does.
fn consider(
    inquiry: &mut Inquiry<'_, '_>,
    mut point: Vec<f32>,
    best: &mut Option<Vec<f32>>,
) -> Sought<()> {
    let region = inquiry.region;
    let radius = best.as_ref().map_or(f64::INFINITY, |best| region.distance(best));
    region.with_radius(Radius::Scalar(radius)).project(&mut point);
    if inquiry.is_met(&point)? {
        inquiry.shrink(&mut point)?;
        *best = Some(point);
    }
    Ok(())
}

/// Writes the clean input, blended with a random point of the box or, every second time, with one of its corners. The
/// share of that, 1/16 at first, doubles every four draws; where it would be 1 and a feature has no bounds, the noise
/// goes on growing there, to 4096 times the unit of the data, and all begins anew. `far` noise is as large as it gets.
fn scatter(region: &Region<'_>, stream: &mut Stream, draw: usize, far: bool, point: &mut [f32]) {
    let doublings = if far { 12 } else { (draw / 4 % 17) as i32 - 4 };
    let strength = 2_f64.powi(doublings);
    let is_corner = draw % 2 == 1;
    for (feature, (x, &clean)) in point.iter_mut().zip(region.clean).enumerate() {
        let (lower, upper) = region.bounds_at(feature);
        let clean = f64::from(clean);
        let change = if lower.is_finite() && upper.is_finite() {
            let share = stream.random::<f64>();
            let share = if is_corner { share.round() } else { share };
            let (lower, upper) = (f64::from(lower), f64::from(upper));
            strength.min(1.0) * (lower * (1.0 - share) + upper * share - clean)
        } else {
            let normal: f64 = StandardNormal.sample(stream);
            strength * if is_corner { normal.signum() } else { normal }
        };
        *x = (clean + change) as f32;
    }
}
