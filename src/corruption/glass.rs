//! The view through frosted glass.

use rand::RngExt;

use super::image::{Edge, Image};
use super::level::{Level, Levels};
use crate::rng::Stream;

/// The blur's standard deviation, how far away the pixels come from, and how often.
const GLASS: Levels<(f64, usize, usize)> = Levels {
    cifar: [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
    imagenet: [(0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
};

pub(super) fn blur(image: &mut Image, level: Level, stream: &mut Stream) {
    let (sigma, far, times) = GLASS.at(level);
    let (rows, columns) = image.size();
    image.map_planes(|plane| plane.smoothed(sigma, 4.0, Edge::Clamp));
    for _ in 0..times {
        for row in (far + 1..=rows.saturating_sub(far)).rev() {
            for column in (far + 1..=columns.saturating_sub(far)).rev() {
                // From `far` before this pixel to `far` - 1 after it.
                let [down, along] = [(); 2].map(|()| stream.random_range(0..2 * far));
                let here = row * columns + column;
                let there = (row + down - far) * columns + column + along - far;
                for plane in &mut image.planes {
                    plane.values[here] = plane.values[there];
                }
            }
        }
    }
    image.map_planes(|plane| plane.smoothed(sigma, 4.0, Edge::Clamp));
}
