//! Too few pixels.

use super::band::Band;
use super::image::Image;
use super::level::{Level, Levels};
use crate::rng::Stream;

/// The share of each side's pixels that is left.
const LEFT: Levels<f64> =
    Levels { cifar: [0.95, 0.9, 0.85, 0.75, 0.65], imagenet: [0.6, 0.5, 0.4, 0.3, 0.25] };

pub(super) fn apply(image: &mut Image, level: Level, _stream: &mut Stream) {
    let left = LEFT.at(level);
    let (rows, columns) = image.size();
    let [low, narrow] = [rows, columns].map(|side| ((side as f64 * left) as usize).max(1));
    image.map_planes(|plane| {
        plane
            .mapped(&Band::boxes(rows, low), &Band::boxes(columns, narrow))
            .mapped(&Band::boxes(low, rows), &Band::boxes(narrow, columns))
    });
}
