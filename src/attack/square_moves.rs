//! The points that the Square attack proposes.

use rand::RngExt;

use crate::grid::{Grid, Window};
use crate::rng::Stream;
use crate::threat::Region;

/// The tiles of the first point, along each side, where the features share the budget.
const TILES: usize = 5;

/// A pattern of size 1 and a change of size 1 that add up to less are each other's opposites, but for rounding.
const CANCELLED: f64 = 1e-12;

/// Writes the first point: where each feature has the budget to itself, one column's channel after the other at either
/// end of it; where they share it, tiles of [patterns](Pattern) that use it up.
pub(super) fn begin(grid: &Grid, region: &Region<'_>, stream: &mut Stream, point: &mut [f32]) {
    point.copy_from_slice(region.clean);
    let Some(power) = region.norm.power() else {
        for column in 0..grid.columns {
            let stripe = Window { left: column, width: 1, ..grid.whole() };
            fill(grid, region, stripe, stream, point);
        }
        return region.project(point);
    };
    let mut change = vec![0.0; point.len()];
    for tile in grid.tiles(TILES) {
        let pattern = Pattern::new(tile, stream);
        for channel in 0..grid.channels {
            let sign = sign(stream);
            for (cell, feature) in free(grid, region, tile, channel) {
                change[feature] = sign * pattern.at(cell);
            }
        }
    }
    let size = root(change.iter().map(|d: &f64| d.abs().powi(power)).sum(), power);
    if size > 0.0 {
        let scale = region.radius.largest() / size;
        for (x, d) in point.iter_mut().zip(change) {
            *x = (f64::from(*x) + d * scale) as f32;
        }
    }
    region.project(point);
}

/// Changes `point` in a window of the given sides, the same way all over a channel of it; where the features share the
/// budget, another window gives up its part.
pub(super) fn change(
    grid: &Grid,
    region: &Region<'_>,
    sides: (usize, usize),
    stream: &mut Stream,
    point: &mut [f32],
) {
    let window = grid.place(sides, stream);
    match region.norm.power() {
        None => fill(grid, region, window, stream, point),
        Some(power) => {
            let giver = grid.place(sides, stream);
            transfer(grid, region, [window, giver], power, stream, point);
        }
    }
    region.project(point);
}

/// The least side of a window.
pub(super) fn least_side(region: &Region<'_>) -> usize {
    if region.norm.power().is_some() { 3 } else { 1 }
}

/// Sends each channel of the window to either end of its features' budgets.
fn fill(grid: &Grid, region: &Region<'_>, window: Window, stream: &mut Stream, point: &mut [f32]) {
    for channel in 0..grid.channels {
        let sign = sign(stream);
        for (_, feature) in free(grid, region, window, channel) {
            let end = f64::from(region.clean[feature]) + sign * region.radius.at(feature);
            point[feature] = end as f32;
        }
    }
}

/// Adds a pattern to the first window, at the cost of what the second window and the budget have left.
fn transfer(
    grid: &Grid,
    region: &Region<'_>,
    [window, giver]: [Window; 2],
    power: i32,
    stream: &mut Stream,
    point: &mut [f32],
) {
    let pattern = Pattern::new(window, stream);
    let whole = region.radius.largest().powi(power) - region.distance(point).powi(power);
    let unused = whole.max(0.0) / grid.channels as f64;
    let change = |point: &[f32], feature: usize| {
        f64::from(point[feature]) - f64::from(region.clean[feature])
    };
    let mut wanted = vec![];
    for channel in 0..grid.channels {
        let sign = sign(stream);
        let (mut pattern_sum, mut window_sum, mut giver_sum) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (cell, feature) in free(grid, region, window, channel) {
            pattern_sum += pattern.at(cell).abs().powi(power);
            window_sum += change(point, feature).abs().powi(power);
        }
        for (cell, feature) in free(grid, region, giver, channel) {
            if !window.contains(cell) {
                giver_sum += change(point, feature).abs().powi(power);
            }
        }
        let share = |sum: f64| if sum > 0.0 { sign / root(sum, power) } else { 0.0 };
        let (ours, theirs) = (share(pattern_sum), share(window_sum).abs());
        wanted.clear();
        wanted.extend(
            free(grid, region, window, channel)
                .map(|(cell, i)| (i, pattern.at(cell) * ours + change(point, i) * theirs)),
        );
        let size = |wanted: &[(usize, f64)]| wanted.iter().map(|(_, d)| d.abs().powi(power)).sum();
        let mut sum: f64 = size(&wanted);
        if sum < CANCELLED {
            let alone = free(grid, region, window, channel);
            wanted.clear();
            wanted.extend(alone.map(|(cell, feature)| (feature, pattern.at(cell) * ours)));
            sum = size(&wanted);
        }
        if sum > 0.0 {
            let scale = root(window_sum + giver_sum + unused, power) / root(sum, power);
            for (_, feature) in free(grid, region, giver, channel) {
                point[feature] = region.clean[feature];
            }
            for &(feature, d) in &wanted {
                point[feature] = (f64::from(region.clean[feature]) + d * scale) as f32;
            }
        }
    }
}

/// The free features of a window's channel, with their cells.
fn free<'a>(
    grid: &'a Grid,
    region: &'a Region<'_>,
    window: Window,
    channel: usize,
) -> impl Iterator<Item = ((usize, usize), usize)> + 'a {
    window
        .cells()
        .map(move |(row, column)| ((row, column), grid.feature(row, column, channel)))
        .filter(|(_, feature)| region.is_free(*feature))
}

fn sign(stream: &mut Stream) -> f64 {
    if stream.random() { 1.0 } else { -1.0 }
}

fn root(sum: f64, power: i32) -> f64 {
    sum.powf(f64::from(power).recip())
}

/// Two hills of opposite signs, side by side or one above the other: the paper's eta (equation 2).
#[derive(Debug)]
struct Pattern {
    window: Window,
    /// Whether the hills lie side by side.
    across: bool,
    /// The heights of the hills by the distance from the rim, first and second hill.
    heights: [Vec<f64>; 2],
}

impl Pattern {
    fn new(window: Window, stream: &mut Stream) -> Self {
        let drawn: bool = stream.random();
        let across = if window.height == 1 || window.width == 1 { window.width > 1 } else { drawn };
        let mut pattern = Self { window, across, heights: [vec![], vec![]] };
        pattern.heights = [0, 1].map(|hill| {
            let (height, width) = pattern.hill(hill);
            let n = height.max(width) / 2;
            let mut sum = 0.0;
            let rise = |k: usize| {
                sum += ((n + 1 - k) as f64).powi(-2);
                sum
            };
            (0..=n).map(rise).collect()
        });
        pattern
    }

    /// Height and width of a hill.
    fn hill(&self, hill: usize) -> (usize, usize) {
        let Window { height, width, .. } = self.window;
        let part = |length: usize| if hill == 0 { length / 2 } else { length - length / 2 };
        if self.across { (height, part(width)) } else { (part(height), width) }
    }

    /// The value at a cell of the grid inside the window.
    fn at(&self, (row, column): (usize, usize)) -> f64 {
        let (mut row, mut column) = (row - self.window.top, column - self.window.left);
        let (first_height, first_width) = self.hill(0);
        let second = if self.across { column >= first_width } else { row >= first_height };
        if second && self.across {
            column -= first_width;
        } else if second {
            row -= first_height;
        }
        let (height, width) = self.hill(usize::from(second));
        let off_centre = row.abs_diff(height / 2).max(column.abs_diff(width / 2));
        let value = self.heights[usize::from(second)][height.max(width) / 2 - off_centre];
        if second { -value } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::norm::Norm;
    use crate::rng::stream;
    use crate::threat::{Bounds, Threat};

    /// Equation 2 as it is printed, for one hill, in rows and columns from 1.
    fn printed(h1: usize, h2: usize, r: usize, s: usize) -> f64 {
        let n = (h1 / 2) as i64;
        let off = |at: usize, length: usize| (at as i64 - (length / 2) as i64 - 1).abs();
        let m = n - off(r, h1).max(off(s, h2));
        (0..=m).map(|k| 1.0 / ((n + 1 - k) as f64).powi(2)).sum()
    }

    #[test]
    fn patterns_are_equation_2() {
        for side in 2..12 {
            let mut seen = [false; 2];
            for draw in 0..20 {
                let window = Window { top: 3, left: 5, height: side, width: side };
                let pattern = Pattern::new(window, &mut stream(0, "pattern", draw, 0));
                seen[usize::from(pattern.across)] = true;
                let k = side / 2;
                for (row, column) in window.cells() {
                    let (r, s) = (row - 3, column - 5);
                    let (r, s) = if pattern.across { (r, s) } else { (s, r) };
                    let expected = if s < k {
                        printed(side, k, r + 1, s + 1)
                    } else {
                        -printed(side, side - k, r + 1, s - k + 1)
                    };
                    assert!((pattern.at((row, column)) - expected).abs() < 1e-12);
                }
            }
            assert_eq!(seen, [true; 2], "both orientations");
        }
    }

    #[test]
    fn changes_spend_the_budget_and_leave_the_rest_alone() {
        let clean = [0.5; 3 * 11 * 9];
        let grid = Grid::new(&[3, 11, 9]);
        for norm in [Norm::L1, Norm::L2, Norm::Linf] {
            let threat = Threat::new(norm, 0.3).with_bounds(Bounds::NONE);
            let region = threat.region(0, &clean);
            let mut draw = stream(1, "changes", 0, 0);
            let mut point = clean;
            begin(&grid, &region, &mut draw, &mut point);
            for _ in 0..200 {
                let size = region.check(&point).unwrap();
                assert!(size > 0.299, "{norm}: {size}");
                let before = point;
                let sides = grid.sides(0.1, least_side(&region));
                change(&grid, &region, sides, &mut draw, &mut point);
                let changed = before.iter().zip(&point).filter(|(a, b)| (*a - *b).abs() > 1e-5);
                let windows = if norm == Norm::Linf { 1 } else { 2 };
                let count = changed.count();
                assert!(count <= windows * sides.0 * sides.1 * 3, "{norm}: {count} changed");
            }
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the ends are exact in binary")]
    fn stripes_fill_columns_with_either_end() {
        let clean = [0.5; 2 * 4 * 6];
        let threat = Threat::new(Norm::Linf, 0.25);
        let region = threat.region(0, &clean);
        let grid = Grid::new(&[2, 4, 6]);
        let mut point = clean;
        begin(&grid, &region, &mut stream(2, "stripes", 0, 0), &mut point);
        let mut ends = [0; 2];
        for (channel, column) in (0..2).flat_map(|k| (0..6).map(move |c| (k, c))) {
            let first = point[grid.feature(0, column, channel)];
            assert!(first == 0.25 || first == 0.75);
            ends[usize::from(first > 0.5)] += 1;
            assert!((0..4).all(|row| point[grid.feature(row, column, channel)] == first));
        }
        assert!(ends.iter().all(|count| *count > 1), "{ends:?}");
    }
}
