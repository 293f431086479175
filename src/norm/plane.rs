//! Dual norms, and the nearest point at which a linear function has a given value.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Norm;

impl Norm {
    /// The dual norm of a gradient: how fast its linear function can rise per unit of size. For L0, which has no dual,
    /// that of L1.
    #[must_use]
    pub(crate) fn dual_size(self, gradient: &[f32]) -> f64 {
        let sizes = gradient.iter().map(|&g| f64::from(g).abs());
        match self {
            Self::L0 | Self::L1 => sizes.fold(0.0, f64::max),
            Self::L2 => sizes.map(|g| g * g).sum::<f64>().sqrt(),
            Self::Linf => sizes.sum(),
        }
    }

    /// The estimated distance to where a function that lacks `gap`, with a gradient of dual size `slope`, reaches zero;
    /// infinite without slope. In L0, of which the slope says nothing, that is 0.
    pub(crate) fn to_boundary(self, gap: f64, slope: f64) -> f64 {
        match self {
            Self::L0 => 0.0,
            Self::L1 | Self::L2 | Self::Linf if slope > 0.0 => gap / slope,
            _ => f64::INFINITY,
        }
    }

    /// A radius less a share of it; in L0 at least one feature less.
    pub(crate) fn shrunk(self, radius: f64, share: f64) -> f64 {
        match self {
            Self::L0 => (radius * (1.0 - share)).floor().min(radius - 1.0),
            Self::L1 | Self::L2 | Self::Linf => radius * (1.0 - share),
        }
    }

    /// A radius and a share of it; in L0 at least one feature more.
    pub(crate) fn grown(self, radius: f64, share: f64) -> f64 {
        match self {
            Self::L0 => (radius * (1.0 + share)).floor().max(radius + 1.0),
            Self::L1 | Self::L2 | Self::Linf => radius * (1.0 + share),
        }
    }

    /// Writes into `out` the point nearest to `from` at which the linear function with gradient `normal` has risen by
    /// `rise` (fallen, where that is negative), no feature moving further than its `room` towards that side. Where the
    /// room does not suffice, every feature that helps uses all of its own that is finite.
    ///
    /// The projection onto a hyperplane within a box of Croce & Hein 2020, section 3.1
    /// (<https://arxiv.org/abs/1907.02044>); exact for L0 where no feature has infinite room, or all have. `normal` and
    /// `rise` are finite.
    pub(crate) fn to_plane(
        self,
        from: &[f32],
        normal: &[f32],
        rise: f64,
        room: impl Fn(usize, bool) -> f64,
        out: &mut [f32],
    ) {
        let gap = rise.abs();
        let (slope, room) = (
            |i: usize| f64::from(normal[i]).abs(),
            |i: usize| room(i, (normal[i] > 0.0) == (rise > 0.0)),
        );
        let move_by = |out: &mut [f32], i: usize, length: f64| {
            let length = if (normal[i] > 0.0) == (rise > 0.0) { length } else { -length };
            out[i] = (f64::from(from[i]) + length) as f32;
        };
        out.copy_from_slice(from);
        if gap <= 0.0 {
            return;
        }
        let fill = |out: &mut [f32], speed: fn(f64) -> f64| {
            let level = water_level(normal.len(), gap, slope, speed, room);
            for i in (0..normal.len()).filter(|&i| normal[i] != 0.0) {
                let length = (level * speed(slope(i))).min(room(i));
                move_by(out, i, if length.is_finite() { length } else { 0.0 });
            }
        };
        match self {
            Self::L0 => fill_in_order(out, gap, slope, room, |i| slope(i) * room(i), move_by),
            Self::L1 => fill_in_order(out, gap, slope, room, slope, move_by),
            Self::L2 => fill(out, |slope| slope),
            Self::Linf => fill(out, |_| 1.0),
        }
    }
}

/// The least t at which the sum of `slope * min(t * speed(slope), room)` is `gap`; infinite when it never is.
///
/// The sum is concave in t, so that Newton's method from 0 climbs to it, passing no more breakpoints than there are.
fn water_level(
    features: usize,
    gap: f64,
    slope: impl Fn(usize) -> f64,
    speed: impl Fn(f64) -> f64,
    room: impl Fn(usize) -> f64,
) -> f64 {
    let (mut level, mut full) = (0.0, usize::MAX);
    loop {
        let (mut rate, mut gained, mut count) = (0.0, 0.0, 0);
        for i in 0..features {
            let (slope, room) = (slope(i), room(i));
            let speed = speed(slope);
            if slope <= 0.0 {
                continue;
            }
            if level * speed >= room {
                gained += slope * room;
                count += 1;
            } else {
                rate += slope * speed;
            }
        }
        if count == full {
            return level;
        }
        if rate <= 0.0 {
            return f64::INFINITY;
        }
        (level, full) = ((gap - gained) / rate, count);
    }
}

/// Closes the gap by one feature after the other, the one with the largest key first, the first of equals.
fn fill_in_order(
    out: &mut [f32],
    mut gap: f64,
    slope: impl Fn(usize) -> f64,
    room: impl Fn(usize) -> f64,
    key: impl Fn(usize) -> f64,
    move_by: impl Fn(&mut [f32], usize, f64),
) {
    let key = |i: usize| {
        let helps = slope(i) > 0.0 && room(i) > 0.0;
        // Positive numbers are ordered as their bits are; a slope decides between infinite keys.
        helps.then(|| (key(i).to_bits(), slope(i).to_bits(), Reverse(i)))
    };
    let mut pay = |out: &mut [f32], i: usize| {
        let length = (gap / slope(i)).min(room(i));
        move_by(out, i, length);
        gap -= length * slope(i);
        gap > 0.0
    };
    let Some(first) = (0..out.len()).filter_map(key).max() else { return };
    if !pay(out, first.2.0) {
        return;
    }
    let rest = (0..out.len()).filter_map(key).filter(|key| *key != first);
    let mut rest: BinaryHeap<_> = rest.collect();
    while let Some((_, _, Reverse(i))) = rest.pop() {
        if !pay(out, i) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::rng::stream;

    const ALL: [Norm; 4] = [Norm::L0, Norm::L1, Norm::L2, Norm::Linf];

    fn dot(a: &[f32], b: &[f32], c: &[f32]) -> f64 {
        a.iter()
            .zip(b)
            .zip(c)
            .map(|((a, b), c)| f64::from(*a) * (f64::from(*b) - f64::from(*c)))
            .sum()
    }

    #[test]
    fn without_bounds_the_distance_is_the_gap_over_the_dual_norm() {
        for features in [1, 2, 9, 300] {
            let mut draw = stream(1, "plane", features, 0);
            let mut row =
                || -> Vec<f32> { (0..features).map(|_| draw.random_range(-1.0..1.0)).collect() };
            let (from, normal) = (row(), row());
            let mut out = vec![0.0; features];
            for (norm, rise) in ALL.iter().flat_map(|norm| [(norm, 0.7), (norm, -0.3)]) {
                norm.to_plane(&from, &normal, rise, |_, _| f64::INFINITY, &mut out);
                assert!((dot(&normal, &out, &from) - rise).abs() < 1e-5, "{norm} {rise}");
                let expected =
                    if *norm == Norm::L0 { 1.0 } else { rise.abs() / norm.dual_size(&normal) };
                let size = norm.size(&from, &out);
                assert!((size / expected - 1.0).abs() < 1e-4, "{norm}: {size} {expected}");
            }
        }
    }

    /// In a box: on the plane, inside, and no point on the plane and inside that a random search finds is nearer.
    #[test]
    fn in_a_box_no_point_of_the_plane_is_nearer() {
        for case in 0..200 {
            let features = 1 + case % 7;
            let mut draw = stream(2, "plane", case, 0);
            let mut row =
                |a, b| -> Vec<f32> { (0..features).map(|_| draw.random_range(a..b)).collect() };
            let (from, normal, share) = (row(0.0, 1.0), row(-1.0, 1.0), row(0.05, 0.95)[0]);
            let room = |i: usize, up: bool| {
                if up { 1.0 - f64::from(from[i]) } else { f64::from(from[i]) }
            };
            let most: f64 =
                (0..features).map(|i| f64::from(normal[i].abs()) * room(i, normal[i] > 0.0)).sum();
            let rise = most * f64::from(share);
            let mut out = vec![0.0; features];
            for norm in ALL {
                norm.to_plane(&from, &normal, rise, room, &mut out);
                assert!((dot(&normal, &out, &from) - rise).abs() < 1e-5, "{norm} {case}");
                assert!(out.iter().all(|x| (0.0..=1.0).contains(x)), "{norm} {case}: {out:?}");
                let size = norm.size(&from, &out);
                for _ in 0..300 {
                    let other: Vec<f32> =
                        (0..features).map(|_| draw.random_range(0.0..=1.0)).collect();
                    // Scaled back towards `from`, onto the plane.
                    let risen = dot(&normal, &other, &from);
                    if risen < rise {
                        continue;
                    }
                    let back = |(c, x): (&f32, &f32)| c + (x - c) * (rise / risen) as f32;
                    let other: Vec<f32> = from.iter().zip(&other).map(back).collect();
                    let found = norm.size(&from, &other);
                    assert!(found >= size * (1.0 - 1e-5), "{norm} {case}: {found} < {size}");
                }
                norm.to_plane(&from, &normal, 2.0 * most, room, &mut out);
                assert!((dot(&normal, &out, &from) - most).abs() < 1e-5, "the far corner: {norm}");
            }
        }
    }
}
