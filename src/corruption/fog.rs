//! Fog.

use super::image::Image;
use super::level::{Level, Levels};
use super::plasma::plasma;
use crate::rng::Stream;

/// The weight of the plasma and its decay.
const FOG: Levels<(f64, f64)> = Levels {
    cifar: [(0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)],
    imagenet: [(1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)],
};

pub(super) fn apply(image: &mut Image, level: Level, stream: &mut Stream) {
    let (weight, decay) = FOG.at(level);
    let (rows, columns) = image.size();
    let fog = plasma(rows, columns, decay, stream);
    let white = image.values_mut().fold(0.0, |most: f64, x| most.max(*x));
    for plane in &mut image.planes {
        for (x, fog) in plane.values.iter_mut().zip(&fog.values) {
            *x = (*x + weight * fog) * white / (white + weight);
        }
    }
}
