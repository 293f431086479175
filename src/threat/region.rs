//! The geometry of what the attacker may do to one sample.

use rand_distr::{Distribution, StandardNormal};

use super::{Bounds, Domain, Monotone, Spacing};
use crate::norm::{Norm, Radius, move_within, spread};
use crate::rng::Stream;
use crate::simd::vectorized;

/// The points that an attacker may choose for one sample: ball, box and mask, and what the domain says.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    /// The clean input, the ball's centre.
    pub clean: &'a [f32],
    /// The ball's norm.
    pub norm: Norm,
    /// The ball's radius.
    pub radius: Radius<'a>,
    /// The box, which [`bounds_at`](Self::bounds_at) narrows for features that move one way only.
    pub(super) bounds: &'a Bounds,
    /// The features that may change.
    pub mask: Option<&'a [bool]>,
    /// What the data can be.
    pub(super) domain: &'a Domain,
}

/// How far one step goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepSize {
    /// In the units of the data. Where features have budgets of their own, the step of the largest one.
    Absolute(f64),
    /// As a share of the budget.
    Relative(f64),
}

impl<'a> Region<'a> {
    /// The same with another ball.
    #[must_use]
    pub fn with_radius(self, radius: Radius<'a>) -> Self {
        Self { radius, ..self }
    }

    /// The ball of the same radius around another centre, with the mask and without a box.
    #[must_use]
    pub fn ball_around(self, centre: &'a [f32]) -> Self {
        Self { clean: centre, ..self.without_box() }
    }

    /// The same without a box: every feature is unbounded and moves both ways.
    #[must_use]
    pub fn without_box(self) -> Self {
        static ANY: Domain = Domain::ANY;
        Self { bounds: &Bounds::NONE, domain: &ANY, ..self }
    }

    /// The smallest and the largest value of a feature: of one that moves one way only, the clean value on the other side.
    #[must_use]
    pub fn bounds_at(&self, feature: usize) -> (f32, f32) {
        let (lower, upper) = self.bounds.at(feature);
        match self.domain.monotone_at(feature) {
            Monotone::Free => (lower, upper),
            Monotone::Increase => (self.clean[feature], upper),
            Monotone::Decrease => (lower, self.clean[feature]),
        }
    }

    /// How far the largest value of a feature is from the smallest, where that is the same finite number for all: how far white
    /// is from black, of images.
    #[must_use]
    pub fn range(&self) -> Option<f64> {
        let width = |feature: usize| {
            let (lower, upper) = self.bounds.at(feature);
            f64::from(upper) - f64::from(lower)
        };
        let first = width(0);
        let same = match self.bounds {
            Bounds::Uniform(..) => true,
            Bounds::PerFeature(pairs) => {
                (0..pairs.len()).all(|feature| width(feature).total_cmp(&first).is_eq())
            }
        };
        Some(first).filter(|width| same && width.is_finite())
    }

    /// The perturbation's size in f64, whether or not the point is feasible.
    #[must_use]
    pub fn distance(&self, point: &[f32]) -> f64 {
        self.norm.size(self.clean, point)
    }

    /// The perturbation's size in f64, if `point` lies in ball and box, leaves the masked features alone and is one that
    /// the domain allows.
    ///
    /// # Errors
    /// What the point violates.
    #[expect(clippy::float_cmp, reason = "a masked feature is exactly the clean one")]
    pub fn check(&self, point: &[f32]) -> Result<f64, Violation> {
        if point.len() != self.clean.len() {
            return Err(Violation::Length { found: point.len(), expected: self.clean.len() });
        }
        if self.is_plainly_inside(point) {
            return self.within_radius(point);
        }
        for (feature, (&x, &c)) in point.iter().zip(self.clean).enumerate() {
            let (lower, upper) = self.bounds.at(feature);
            if !x.is_finite() {
                return Err(Violation::NotFinite(feature));
            }
            if x < lower || x > upper {
                return Err(Violation::OutOfBounds(feature));
            }
            let (lower, upper) = self.bounds_at(feature);
            if x < lower || x > upper {
                return Err(Violation::Monotone(feature));
            }
            if !self.is_free(feature) && x != c {
                return Err(Violation::Masked(feature));
            }
            if let Radius::PerFeature(radii) = self.radius {
                let (size, eps) = ((f64::from(x) - f64::from(c)).abs(), radii[feature]);
                if size > eps {
                    return Err(Violation::TooLarge { size, eps });
                }
            }
        }
        if let Some(feature) = self.domain.off_grid(point) {
            return Err(Violation::OffGrid(feature));
        }
        if let Some(group) = self.domain.not_one_hot(point) {
            return Err(Violation::NotOneHot { group });
        }
        self.within_radius(point)
    }

    fn within_radius(&self, point: &[f32]) -> Result<f64, Violation> {
        let (size, eps) = (self.distance(point), self.radius.largest());
        if size > eps { Err(Violation::TooLarge { size, eps }) } else { Ok(size) }
    }

    /// Whether only the ball can be violated: in one pass without branches, where all features are alike.
    fn is_plainly_inside(&self, point: &[f32]) -> bool {
        let (Bounds::Uniform(lower, upper), Radius::Scalar(_), None) =
            (self.bounds, self.radius, self.mask)
        else {
            return false;
        };
        *self.domain == Domain::ANY
            && vectorized(
                #[inline(always)]
                || {
                    let inside = |x: &f32| x.is_finite() & (x >= lower) & (x <= upper);
                    point.iter().fold(true, |all, x| all & inside(x))
                },
            )
    }

    /// Moves `point` into the region: masked features back to the clean value, the rest to the nearest point of the
    /// ball around the clean input, then into the box; in L1, to the nearest point of ball and box at once.
    /// A point that [`check`](Self::check) accepts is left as it is. It accepts the result once it is
    /// [realised](Self::realise), which changes nothing where data can be anything in between.
    ///
    /// A NaN becomes the clean value, an infinity the largest finite one.
    pub fn project(&self, point: &mut [f32]) {
        if self.radius.largest() <= 0.0 {
            return point.copy_from_slice(self.clean);
        }
        for (feature, (&c, x)) in self.clean.iter().zip(&mut *point).enumerate() {
            if !self.is_free(feature) || x.is_nan() {
                *x = c;
            }
            *x = x.clamp(f32::MIN, f32::MAX);
        }
        self.norm.project(self.clean, point, self.radius, |feature| self.bounds_at(feature));
        if let (Bounds::Uniform(lower, upper), None) = (self.bounds, &self.domain.monotone) {
            point.iter_mut().for_each(|x| *x = x.max(*lower).min(*upper));
            return;
        }
        for (feature, x) in point.iter_mut().enumerate() {
            let (lower, upper) = self.bounds_at(feature);
            *x = x.max(lower).min(upper);
        }
    }

    /// Adds the smallest and the largest value of each feature in ball and box, where these hold all features one by one (Linf
    /// without groups or a mask): for [`climb`], which is then a restricted step with its projection. Says whether it did.
    pub(crate) fn add_limits(&self, lower: &mut Vec<f32>, upper: &mut Vec<f32>) -> bool {
        let is_alike = matches!(self.radius, Radius::Scalar(_))
            && self.norm.power().is_none()
            && self.mask.is_none()
            && self.domain.one_hot.is_empty();
        if !is_alike {
            return false;
        }
        let eps = self.radius.largest().max(0.0);
        let limit = |clean: f32, delta: f64, (least, most): (f32, f32)| {
            move_within(clean, delta).max(least).min(most)
        };
        let features = self.clean.iter().enumerate();
        match (self.bounds, &self.domain.monotone) {
            // The usual case, without a look at each feature's bounds.
            (&Bounds::Uniform(least, most), None) => {
                lower.extend(self.clean.iter().map(|&clean| limit(clean, -eps, (least, most))));
                upper.extend(self.clean.iter().map(|&clean| limit(clean, eps, (least, most))));
            }
            _ => {
                let bounds = |feature| self.bounds_at(feature);
                lower.extend(features.clone().map(|(at, &clean)| limit(clean, -eps, bounds(at))));
                upper.extend(features.map(|(at, &clean)| limit(clean, eps, bounds(at))));
            }
        }
        true
    }

    /// Makes a gradient fit for [`step`](Self::step): zero where it is masked or NaN, finite where it is infinite; of
    /// groups, of which one feature rises as another falls, what differs from the mean. Says whether anything is left of it.
    pub fn restrict(&self, gradient: &mut [f32]) -> bool {
        for (feature, g) in gradient.iter_mut().enumerate() {
            if g.is_nan() || !self.is_free(feature) {
                *g = 0.0;
            }
            *g = g.clamp(f32::MIN, f32::MAX);
        }
        for group in &self.domain.one_hot {
            let sum: f64 = group.iter().map(|&feature| f64::from(gradient[feature])).sum();
            let mean = sum / group.len() as f64;
            for &feature in group {
                let centred = f64::from(gradient[feature]) - mean;
                gradient[feature] = (centred as f32).clamp(f32::MIN, f32::MAX);
            }
        }
        gradient.iter().any(|g| *g != 0.0)
    }

    /// Moves `point` one step along the norm's steepest ascent for a [restricted](Self::restrict) gradient. The result
    /// may lie outside the region: [`project`](Self::project) it.
    ///
    /// Linf: every feature by the size along the gradient's sign, sign(0) = 0; features with budgets of their own move
    /// in proportion to them. L2: along g / |g|. L1: the steepest coordinate by the size; one that meets its bound
    /// leaves the rest of the size to the next steepest.
    pub fn step(&self, point: &mut [f32], gradient: &[f32], size: StepSize) {
        let (lengths, bounds) = (self.lengths(size), |feature| self.bounds_at(feature));
        match self.radius {
            Radius::Scalar(_) => {
                let length = lengths(0);
                self.norm.step(point, gradient, |_| length, bounds);
            }
            Radius::PerFeature(_) => self.norm.step(point, gradient, lengths, bounds),
        }
    }

    /// How far a step of this size moves each feature, or, where they share one budget, all of them together.
    pub(crate) fn lengths(&self, size: StepSize) -> impl Fn(usize) -> f64 {
        let share = match size {
            StepSize::Relative(share) => share,
            StepSize::Absolute(size) => size / self.radius.largest().max(f64::MIN_POSITIVE),
        };
        move |feature| match (self.radius, size) {
            (Radius::Scalar(_), StepSize::Absolute(size)) => size,
            (radius, _) => (share * radius.at(feature)).min(f64::MAX),
        }
    }

    /// Moves `point` along the sign of a [restricted](Self::restrict) gradient in the `count` steepest features that the
    /// box lets move, by the same amount in each and by the size in all; those above them that it blocks move as far.
    /// The result may lie outside the region. `keys` is room to work in.
    pub(crate) fn sparse_step(
        &self,
        point: &mut [f32],
        gradient: &[f32],
        size: StepSize,
        count: usize,
        keys: &mut Vec<u64>,
    ) {
        let length = match size {
            StepSize::Absolute(size) => size,
            StepSize::Relative(share) => (share * self.radius.largest()).min(f64::MAX),
        };
        spread(point, gradient, length, count, |feature| self.bounds_at(feature), keys);
    }

    /// Writes into `out` the point nearest to `from`, within bounds and mask (whatever the ball), at which the linear
    /// function with gradient `normal` has risen by `rise`, or as far as they let it. `normal` is
    /// [restricted](Self::restrict), `from` within bounds.
    pub fn reach(&self, from: &[f32], normal: &[f32], rise: f64, out: &mut [f32]) {
        let room = |feature: usize, up: bool| {
            let (lower, upper) = self.bounds_at(feature);
            let x = f64::from(from[feature]);
            if !self.is_free(feature) {
                0.0
            } else if up {
                f64::from(upper) - x
            } else {
                x - f64::from(lower)
            }
        };
        self.norm.to_plane(from, normal, rise, room, out);
    }

    /// Whether every point of ball, box and mask is one that the domain allows.
    #[must_use]
    pub fn is_continuous(&self) -> bool {
        self.domain.is_continuous()
    }

    /// How far a feature must move to be other data: 0 where it is continuous.
    pub(crate) fn least_change(&self, feature: usize) -> f64 {
        if self.domain.one_hot.iter().any(|group| group.contains(&feature)) {
            return 1.0;
        }
        self.domain.spacing_at(feature).map_or(0.0, Spacing::step)
    }

    /// Whether every free feature has two finite bounds.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let bounded = |feature: usize| {
            let (lower, upper) = self.bounds_at(feature);
            lower.is_finite() && upper.is_finite()
        };
        (0..self.clean.len()).all(|feature| !self.is_free(feature) || bounded(feature))
    }

    /// The size of the perturbation that takes every free feature to its further bound, by 1 where that is infinite.
    #[must_use]
    pub fn farthest(&self) -> f64 {
        let corner: Vec<f32> = (0..self.clean.len())
            .map(|feature| {
                let ((lower, upper), clean) = (self.bounds_at(feature), self.clean[feature]);
                if !self.is_free(feature) {
                    clean
                } else if upper.is_infinite() || lower.is_infinite() {
                    clean + 1.0
                } else if upper - clean > clean - lower {
                    upper
                } else {
                    lower
                }
            })
            .collect();
        self.distance(&corner)
    }

    /// Writes a random point into `point`: uniform in the ball over the free features, then clipped to the box.
    pub fn random_point(&self, stream: &mut Stream, point: &mut [f32]) {
        point.copy_from_slice(self.clean);
        let bounds = |feature| self.bounds_at(feature);
        let free = |feature| self.is_free(feature);
        self.norm.random_point(self.clean, point, self.radius, free, bounds, stream);
        self.project(point);
    }

    /// Writes a direction that favours none over the free features (Gaussian), to stand in for a zero gradient.
    pub fn random_direction(&self, stream: &mut Stream, direction: &mut [f32]) {
        for (feature, g) in direction.iter_mut().enumerate() {
            *g = if self.is_free(feature) { StandardNormal.sample(stream) } else { 0.0 };
        }
    }

    /// Whether a feature may change.
    #[must_use]
    pub fn is_free(&self, feature: usize) -> bool {
        self.mask.is_none_or(|mask| mask[feature])
    }
}

/// Moves `point` by `length` along the sign of a gradient, and then to the nearest value within its limits: a
/// [restricted](Region::restrict) step in Linf and its projection in one pass. Says whether the gradient is anything but zero.
pub(crate) fn climb(
    point: &mut [f32],
    gradient: &[f32],
    length: f64,
    (lower, upper): (&[f32], &[f32]),
) -> bool {
    vectorized(
        #[inline(always)]
        || {
            let mut rises = false;
            let limits = lower.iter().zip(upper);
            for ((x, &g), (&lower, &upper)) in point.iter_mut().zip(gradient).zip(limits) {
                let (up, down) = (g > 0.0, g < 0.0);
                rises |= up | down;
                let step = if up { length } else { 0.0 } - if down { length } else { 0.0 };
                let moved = (f64::from(*x) + step) as f32;
                let moved = if moved < lower { lower } else { moved };
                *x = if moved > upper { upper } else { moved };
            }
            rises
        },
    )
}

/// How a point leaves its region.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The point has another number of features.
    #[error("the point has {found} features, expected {expected}")]
    Length {
        /// The point's.
        found: usize,
        /// The clean input's.
        expected: usize,
    },
    /// A value is NaN or infinite.
    #[error("feature {0} is not finite")]
    NotFinite(usize),
    /// A value lies outside the bounds.
    #[error("feature {0} is out of bounds")]
    OutOfBounds(usize),
    /// A feature that moves one way only went the other.
    #[error("feature {0} moved the way that it must not")]
    Monotone(usize),
    /// A masked feature changed.
    #[error("feature {0} is masked and changed")]
    Masked(usize),
    /// A feature with levels is between two of them.
    #[error("feature {0} is off its levels")]
    OffGrid(usize),
    /// Of a group, not one feature is 1 and the others are 0.
    #[error("group {group} is not one-hot")]
    NotOneHot {
        /// Its index in the domain.
        group: usize,
    },
    /// The perturbation is too large.
    #[error("the perturbation's size is {size}, more than {eps}")]
    TooLarge {
        /// Its size, or that of the feature at fault where features have budgets of their own.
        size: f64,
        /// The budget.
        eps: f64,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::threat::Threat;

    proptest! {
        /// One pass gives the bits of three.
        #[test]
        fn climbing_is_a_restricted_step_and_a_projection(
            features in prop::collection::vec(
                (0.0..1.0_f32, -0.3..1.3_f32, prop::sample::select(vec![0.0, -0.0, f32::NAN, 1e-30, -3.0, f32::INFINITY, 0.7])),
                1..40,
            ),
            eps in 0.0..0.5_f64,
            share in 0.01..2.0_f64,
        ) {
            let clean: Vec<f32> = features.iter().map(|feature| feature.0).collect();
            let gradient: Vec<f32> = features.iter().map(|feature| feature.2).collect();
            let threat = Threat::new(Norm::Linf, eps);
            let region = threat.region(0, &clean);
            let mut start: Vec<f32> = features.iter().map(|feature| feature.1).collect();
            region.project(&mut start);

            let (mut expected, mut restricted) = (start.clone(), gradient.clone());
            let expected_rises = region.restrict(&mut restricted);
            region.step(&mut expected, &restricted, StepSize::Relative(share));
            region.project(&mut expected);

            let (mut lower, mut upper) = (vec![], vec![]);
            prop_assert!(region.add_limits(&mut lower, &mut upper));
            let length = region.lengths(StepSize::Relative(share))(0);
            let mut found = start;
            let rises = climb(&mut found, &gradient, length, (&lower, &upper));
            prop_assert_eq!(rises, expected_rises);
            prop_assert_eq!(found, expected);
        }
    }
}
