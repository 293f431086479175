//! The blur of a lens out of focus.

use super::band::Band;
use super::image::{Edge, Image, Plane};
use super::level::{Level, Levels};
use crate::rng::Stream;

/// The radius of the disk, and the standard deviation of the blur of its border.
const DISK: Levels<(f64, f64)> = Levels {
    cifar: [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)],
    imagenet: [(3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)],
};

pub(super) fn blur(image: &mut Image, level: Level, _stream: &mut Stream) {
    let (radius, border) = DISK.at(level);
    let disk = disk(radius, border);
    image.map_planes(|plane| correlated(plane, &disk));
}

/// A disk whose border is blurred, on a square of odd sides.
fn disk(radius: f64, border: f64) -> Plane {
    let small = radius <= 8.0;
    let half = if small { 8 } else { radius.floor() as usize };
    let side = 2 * half + 1;
    let inside = |row: usize, column: usize| {
        let [down, along] = [row, column].map(|at| at as f64 - half as f64);
        if down * down + along * along <= radius * radius { 1.0 } else { 0.0 }
    };
    let mut disk = Plane::from_fn(side, side, inside);
    let total: f64 = disk.values.iter().sum();
    disk.values.iter_mut().for_each(|weight| *weight /= total);
    let soften = Band::gaussian(side, border, if small { 1 } else { 2 }, Edge::Mirror);
    disk.mapped(&soften, &soften)
}

/// Every pixel becomes the sum of those around it, weighted by a square of odd sides.
fn correlated(plane: &Plane, weights: &Plane) -> Plane {
    let half = (weights.rows / 2).cast_signed();
    let mut sum = Plane::from_fn(plane.rows, plane.columns, |_, _| 0.0);
    let reach = |len: usize, by: usize| -> Vec<usize> {
        let from = by.cast_signed() - half;
        (0..len.cast_signed()).map(|at| Edge::Mirror.index(at + from, len)).collect()
    };
    for down in 0..weights.rows {
        let rows = reach(plane.rows, down);
        for along in 0..weights.columns {
            let weight = weights.at(down, along);
            if weight == 0.0 {
                continue;
            }
            let columns = reach(plane.columns, along);
            for (to, &row) in sum.values.chunks_exact_mut(plane.columns).zip(&rows) {
                let from = &plane.values[row * plane.columns..][..plane.columns];
                to.iter_mut().zip(&columns).for_each(|(to, &column)| *to += weight * from[column]);
            }
        }
    }
    sum
}
