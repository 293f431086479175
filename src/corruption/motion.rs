//! The blur of a camera that moves.

use rand::RngExt;

use super::image::{Edge, Image, Plane};
use super::level::{Level, Levels};
use crate::rng::Stream;

/// The reach in pixels and the standard deviation along the line.
pub(super) const MOTION: Levels<(usize, f64)> = Levels {
    cifar: [(6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)],
    imagenet: [(10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)],
};

pub(super) fn blur(image: &mut Image, level: Level, stream: &mut Stream) {
    let (reach, sigma) = MOTION.at(level);
    let degrees = stream.random_range(-45.0..45.0);
    image.map_planes(|plane| smeared(plane, reach, sigma, degrees));
}

/// Every pixel becomes the mean of the 2 `reach` + 1 pixels from it on along a line, weighted by half a normal
/// distribution.
pub(super) fn smeared(plane: &Plane, reach: usize, sigma: f64, degrees: f64) -> Plane {
    let (rows, columns) = (plane.rows, plane.columns);
    let weights: Vec<f64> =
        (0..=2 * reach).map(|t| (-0.5 * (t as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let (sin, cos) = degrees.to_radians().sin_cos();
    let mut sum = Plane::from_fn(rows, columns, |_, _| 0.0);
    for (t, weight) in weights.iter().enumerate() {
        let [down, along] = [sin, cos].map(|share| (t as f64 * share - 0.5).ceil() as isize);
        let from = |at: usize, by, len| Edge::Clamp.index(at.cast_signed() + by, len);
        for (row, to) in sum.values.chunks_exact_mut(columns).enumerate() {
            let line = &plane.values[from(row, down, rows) * columns..][..columns];
            for (column, to) in to.iter_mut().enumerate() {
                *to += weight / total * line[from(column, along, columns)];
            }
        }
    }
    sum
}
