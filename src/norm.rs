//! The norms: size, projection, steepest step, random point in the ball. `match norm` occurs here only.

mod level;
mod plane;
mod sizes;
mod sparse;

pub use sizes::Sizes;
pub(crate) use sparse::spread;

use std::collections::BinaryHeap;
use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::rng::Stream;
use crate::simd::vectorized;

/// How the size of a perturbation is measured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The number of changed features.
    L0,
    /// The sum of absolute changes.
    L1,
    /// The Euclidean length.
    L2,
    /// The largest absolute change.
    #[default]
    Linf,
}

impl Norm {
    const NAMES: [(Self, &'static str); 4] =
        [(Self::L0, "l0"), (Self::L1, "l1"), (Self::L2, "l2"), (Self::Linf, "linf")];

    /// The size of `point - clean`, two slices of the same length, computed in f64 from the f32 values as stored.
    ///
    /// Shrinking any component never makes it larger, rounding included.
    #[must_use]
    pub fn size(self, clean: &[f32], point: &[f32]) -> f64 {
        match self {
            Self::L0 => sum(clean, point, |d| f64::from(u8::from(d != 0.0))),
            Self::L1 => sum(clean, point, f64::abs),
            Self::L2 => sum(clean, point, |d| d * d).sqrt(),
            Self::Linf => vectorized(
                #[inline(always)]
                || largest(clean, point),
            ),
        }
    }

    /// The norm in which a gradient tells how much a change of size 1 does at the most; none of a count.
    pub(crate) fn dual(self) -> Option<Self> {
        match self {
            Self::L0 => None,
            Self::L1 => Some(Self::Linf),
            Self::L2 => Some(Self::L2),
            Self::Linf => Some(Self::L1),
        }
    }

    /// The size of a perturbation of 1 in each of `features` features.
    pub(crate) fn size_of_ones(self, features: usize) -> f64 {
        match self {
            Self::L0 | Self::L1 => features as f64,
            Self::L2 => (features as f64).sqrt(),
            Self::Linf => 1.0,
        }
    }

    /// The power of a size that adds up over the parts of a perturbation; none where each feature has the budget to itself.
    pub(crate) fn power(self) -> Option<i32> {
        match self {
            Self::L0 | Self::L1 => Some(1),
            Self::L2 => Some(2),
            Self::Linf => None,
        }
    }

    /// Whether few coordinates hold the most that a gradient promises.
    pub(crate) fn is_sparse(self) -> bool {
        matches!(self, Self::L0 | Self::L1)
    }

    /// Moves `point` to the nearest point of the ball around `clean`, rounded towards `clean` so that
    /// [`size`](Self::size) stays within the radius. A point of the ball is left as it is.
    ///
    /// L0 keeps the largest changes (the first of equals). L1 is the nearest point of ball and box at once (Croce & Hein
    /// 2021, proposition 2.1, <https://arxiv.org/abs/2103.01208>; without a box Duchi et al. 2008,
    /// <https://doi.org/10.1145/1390156.1390191>); the other norms know no box. `point` is finite, `clean` in the box.
    pub(crate) fn project(
        self,
        clean: &[f32],
        point: &mut [f32],
        radius: Radius<'_>,
        bounds: impl Fn(usize) -> (f32, f32),
    ) {
        match self {
            Self::L0 => keep_largest(clean, point, radius.largest()),
            Self::L1 => {
                let eps = radius.largest();
                if self.size(clean, point) > eps {
                    let largest = Self::Linf.size(clean, point);
                    let room = |feature: usize, d: f64| {
                        let ((lower, upper), c) = (bounds(feature), f64::from(clean[feature]));
                        (if d < 0.0 { c - f64::from(lower) } else { f64::from(upper) - c }).max(0.0)
                    };
                    let changes = || {
                        clean.iter().zip(&*point).enumerate().map(|(feature, (&c, &x))| {
                            let d = f64::from(x) - f64::from(c);
                            (largest - d.abs(), room(feature, d))
                        })
                    };
                    let level = level::water_level(changes, largest, eps);
                    self.settle(clean, point, eps, |feature, d| {
                        let change = level - (largest - d.abs());
                        change.min(room(feature, d)).max(0.0).copysign(d)
                    });
                }
            }
            Self::L2 => {
                let (size, eps) = (self.size(clean, point), radius.largest());
                if size > eps {
                    self.settle(clean, point, eps, |_, d| d / size * eps);
                }
            }
            Self::Linf => {
                for (feature, (&c, x)) in clean.iter().zip(point).enumerate() {
                    let (change, eps) = (f64::from(*x) - f64::from(c), radius.at(feature));
                    if change.abs() > eps {
                        *x = move_within(c, eps.copysign(change));
                    }
                }
            }
        }
    }

    /// Applies `shrink` to every component, rounding towards `clean`, and takes off the last few ulps of the sum.
    fn settle(
        self,
        clean: &[f32],
        point: &mut [f32],
        eps: f64,
        shrink: impl Fn(usize, f64) -> f64,
    ) {
        for (feature, (&c, x)) in clean.iter().zip(&mut *point).enumerate() {
            *x = move_within(c, shrink(feature, f64::from(*x) - f64::from(c)));
        }
        let mut trim = f64::EPSILON;
        while self.size(clean, point) > eps {
            for (&c, x) in clean.iter().zip(&mut *point) {
                *x = move_within(c, (f64::from(*x) - f64::from(c)) * (1.0 - trim));
            }
            trim = (trim * 2.0).min(1.0);
        }
    }

    /// Moves `point` by `length` along the direction of steepest ascent, without projecting it.
    ///
    /// Linf moves every feature by `length` of its own along the sign, with sign(0) = 0; L2 along g / |g|. L1 moves
    /// the steepest coordinate, the first of equals, and once that meets its bound spends the rest of the length on the
    /// next: the steepest step inside the box (Croce & Hein 2021, <https://arxiv.org/abs/2103.01208>, section 2.2). L0
    /// sends the `length` steepest coordinates to their bounds, where those are finite. `direction` is finite.
    pub(crate) fn step(
        self,
        point: &mut [f32],
        direction: &[f32],
        length: impl Fn(usize) -> f64,
        bounds: impl Fn(usize) -> (f32, f32),
    ) {
        match self {
            Self::L0 => {
                let price = |free: f64, _| (if free.is_finite() { free } else { 0.0 }, 1.0);
                spend(point, direction, length(0), bounds, price);
            }
            Self::L1 => spend(point, direction, length(0), bounds, |free, left| {
                let moved = free.min(left);
                (moved, moved)
            }),
            Self::L2 => {
                let squares: f64 = direction.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
                if squares > 0.0 {
                    let (size, length) = (squares.sqrt(), length(0));
                    for (x, &g) in point.iter_mut().zip(direction) {
                        *x = (f64::from(*x) + f64::from(g) / size * length) as f32;
                    }
                }
            }
            Self::Linf => {
                for (feature, (x, &g)) in point.iter_mut().zip(direction).enumerate() {
                    let sign = f64::from(i8::from(g > 0.0) - i8::from(g < 0.0));
                    *x = (f64::from(*x) + sign * length(feature)) as f32;
                }
            }
        }
    }

    /// Writes a uniformly random point of the ball into the `free` features of `point`, up to rounding.
    ///
    /// L2 takes a random direction and the radius u^(1/d); L1 exponential spacings with random signs. L0 changes as many
    /// features as it may to values uniform within their bounds, where those are finite.
    pub(crate) fn random_point(
        self,
        clean: &[f32],
        point: &mut [f32],
        radius: Radius<'_>,
        free: impl Fn(usize) -> bool,
        bounds: impl Fn(usize) -> (f32, f32),
        stream: &mut Stream,
    ) {
        let features = (0..clean.len()).filter(|&feature| free(feature));
        let dimension = features.clone().count();
        match self {
            Self::L0 => {
                let mut wanted = radius.largest();
                for (seen, i) in features.enumerate() {
                    let (lower, upper) = bounds(i);
                    let chosen = stream.random::<f64>() * ((dimension - seen) as f64) < wanted;
                    let value = stream.random::<f64>();
                    if chosen && lower.is_finite() && upper.is_finite() {
                        wanted -= 1.0;
                        point[i] =
                            (f64::from(lower) * (1.0 - value) + f64::from(upper) * value) as f32;
                    }
                }
            }
            Self::L1 => {
                let mut total: f64 = Exp1.sample(stream);
                for i in features.clone() {
                    let spacing: f64 = Exp1.sample(stream);
                    total += spacing;
                    point[i] = if stream.random() { spacing as f32 } else { -spacing as f32 };
                }
                for i in features {
                    point[i] = shifted(clean[i], point[i], total, radius.largest());
                }
            }
            Self::L2 => {
                let mut squares = 0.0;
                for i in features.clone() {
                    let draw: f64 = StandardNormal.sample(stream);
                    squares += draw * draw;
                    point[i] = draw as f32;
                }
                let length = radius.largest() * stream.random::<f64>().powf(1.0 / dimension as f64);
                for i in features {
                    point[i] = shifted(clean[i], point[i], squares.sqrt(), length);
                }
            }
            Self::Linf => {
                for i in features {
                    let share = stream.random_range(-1.0..=1.0);
                    point[i] = (f64::from(clean[i]) + share * radius.at(i)) as f32;
                }
            }
        }
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(norm, _)| norm == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for Norm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(norm, _)| *norm);
        found.ok_or_else(|| Error::Unknown {
            what: "norm",
            name: text.into(),
            choices: Self::NAMES.iter().map(|(_, name)| (*name).into()).collect(),
        })
    }
}

/// The radius of a ball.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Radius<'a> {
    /// One number for the whole perturbation.
    Scalar(f64),
    /// One number per feature ([`Norm::Linf`] only).
    PerFeature(&'a [f64]),
}

impl Radius<'_> {
    /// The radius along one feature.
    #[must_use]
    pub fn at(&self, feature: usize) -> f64 {
        match self {
            Self::Scalar(eps) => *eps,
            Self::PerFeature(all) => all[feature],
        }
    }

    /// The largest radius along any feature.
    #[must_use]
    pub fn largest(&self) -> f64 {
        match self {
            Self::Scalar(eps) => *eps,
            Self::PerFeature(all) => all.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// The sum of a term per feature, in eight interleaved partial sums: a fixed order that the compiler can vectorise.
fn sum(clean: &[f32], point: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; 8];
    let (clean, clean_rest) = clean.as_chunks::<8>();
    let (point, point_rest) = point.as_chunks::<8>();
    let add =
        |(lane, (&c, &x)): (&mut f64, (&f32, &f32))| *lane += term(f64::from(x) - f64::from(c));
    for (c, x) in clean.iter().zip(point) {
        lanes.iter_mut().zip(c.iter().zip(x)).for_each(add);
    }
    lanes.iter_mut().zip(clean_rest.iter().zip(point_rest)).for_each(add);
    lanes.iter().sum()
}

/// The f32 nearest to `c + delta` among those that are no further than `|delta|` from `c`.
pub(crate) fn move_within(c: f32, delta: f64) -> f32 {
    let from = f64::from(c);
    let near = (from + delta) as f32;
    let beyond = (f64::from(near) - from).abs() > delta.abs();
    // Without a branch: which way a sum rounds is anybody's guess, a processor's too.
    let back = if delta > 0.0 { -1 } else { 1 };
    let place = in_order(near.to_bits().cast_signed()) + i32::from(beyond) * back;
    f32::from_bits(in_order(place).cast_unsigned())
}

/// From the bits of a float to a number that grows with it, and back.
fn in_order(bits: i32) -> i32 {
    if bits < 0 { i32::MIN.wrapping_sub(bits) } else { bits }
}

/// `c + part / whole * length`.
fn shifted(c: f32, part: f32, whole: f64, length: f64) -> f32 {
    let share = if whole > 0.0 { f64::from(part) / whole } else { 0.0 };
    (f64::from(c) + share * length) as f32
}

/// The largest change: several maxima side by side, which the compiler makes vectors of.
#[inline(always)]
fn largest(clean: &[f32], point: &[f32]) -> f64 {
    let gap = |c: f32, x: f32| (f64::from(x) - f64::from(c)).abs();
    let wider = |most: f64, gap: f64| if gap > most { gap } else { most };
    let ((clean, clean_rest), (point, point_rest)) =
        (clean.as_chunks::<8>(), point.as_chunks::<8>());
    let mut most = [0.0; 8];
    for (clean, point) in clean.iter().zip(point) {
        for lane in 0..8 {
            most[lane] = wider(most[lane], gap(clean[lane], point[lane]));
        }
    }
    let rest = clean_rest.iter().zip(point_rest).map(|(&c, &x)| gap(c, x));
    most.into_iter().chain(rest).fold(0.0, wider)
}

/// Undoes all but the `count` largest changes.
#[expect(clippy::float_cmp, reason = "a feature that is not exactly the clean one has changed")]
fn keep_largest(clean: &[f32], point: &mut [f32], count: f64) {
    let mut changed: Vec<usize> = (0..clean.len()).filter(|&i| point[i] != clean[i]).collect();
    if changed.len() as f64 <= count {
        return;
    }
    let size = |i: usize| (f64::from(point[i]) - f64::from(clean[i])).abs();
    changed.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
    for &i in &changed[count as usize..] {
        point[i] = clean[i];
    }
}

/// Spends `left` on coordinates in the order of their steepness. `price` says how far to move along a coordinate, given
/// its distance from the bound ahead and what is left, and what that costs.
fn spend(
    point: &mut [f32],
    direction: &[f32],
    mut left: f64,
    bounds: impl Fn(usize) -> (f32, f32),
    price: impl Fn(f64, f64) -> (f64, f64),
) {
    let free = |x: f32, i: usize| {
        let (lower, upper) = bounds(i);
        if direction[i] > 0.0 {
            f64::from(upper) - f64::from(x)
        } else {
            f64::from(x) - f64::from(lower)
        }
    };
    if left <= 0.0 {
        return;
    }
    // Steepness above, index below: the largest key is the first of the steepest coordinates that can move.
    let key = |(i, (&x, &g)): (usize, (&f32, &f32))| {
        let moves = g != 0.0 && price(free(x, i), 1.0).0 > 0.0;
        if moves { (u64::from(g.abs().to_bits()) << 32) | u64::from(!(i as u32)) } else { 0 }
    };
    let mut pay = |point: &mut [f32], key: u64| {
        let i = !(key as u32) as usize;
        let (moved, cost) = price(free(point[i], i), left);
        point[i] = (f64::from(point[i]) + moved.copysign(f64::from(direction[i]))) as f32;
        left -= cost;
        left > 0.0
    };
    let first = point.iter().zip(direction).enumerate().map(key).max().unwrap_or(0);
    if first == 0 || !pay(point, first) {
        return;
    }
    let rest =
        point.iter().zip(direction).enumerate().map(key).filter(|&key| key != 0 && key != first);
    let mut rest: BinaryHeap<u64> = rest.collect();
    while let Some(next) = rest.pop() {
        if !pay(point, next) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_nearer_the_limit_is_within_it(
            c in prop_oneof![-1.0..1.0_f32, Just(0.1), Just(0.0), Just(-0.0), -1e30..1e30_f32],
            delta in prop_oneof![-0.5..0.5_f64, Just(0.1), Just(-0.1), Just(0.0), -1e-30..1e-30_f64],
        ) {
            let found = move_within(c, delta);
            let distance = |x: f32| (f64::from(x) - f64::from(c)).abs();
            prop_assert!(distance(found) <= delta.abs());
            let next = if delta > 0.0 { found.next_up() } else { found.next_down() };
            prop_assert!(distance(next) > delta.abs(), "{c} {delta}: {found}, not {next}");
        }
    }
}
