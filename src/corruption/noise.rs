//! Noise of sensors.

use rand::RngExt;
use rand_distr::{Distribution, Poisson, StandardNormal};

use super::image::Image;
use super::level::{Level, Levels};
use crate::rng::Stream;

/// The standard deviation.
const GAUSSIAN: Levels<f64> =
    Levels { cifar: [0.04, 0.06, 0.08, 0.09, 0.1], imagenet: [0.08, 0.12, 0.18, 0.26, 0.38] };

/// The mean count of photons at white.
const PHOTONS: Levels<f64> =
    Levels { cifar: [500.0, 250.0, 100.0, 75.0, 50.0], imagenet: [60.0, 25.0, 12.0, 5.0, 3.0] };

/// The share of values that are lost.
const LOST: Levels<f64> =
    Levels { cifar: [0.01, 0.02, 0.03, 0.05, 0.07], imagenet: [0.03, 0.06, 0.09, 0.17, 0.27] };

pub(super) fn gaussian(image: &mut Image, level: Level, stream: &mut Stream) {
    let deviation = GAUSSIAN.at(level);
    for value in image.values_mut() {
        let draw: f64 = StandardNormal.sample(stream);
        *value += deviation * draw;
    }
}

pub(super) fn shot(image: &mut Image, level: Level, stream: &mut Stream) {
    let photons = PHOTONS.at(level);
    for value in image.values_mut() {
        // Black has no photons, and no distribution.
        if let Ok(counts) = Poisson::new(*value * photons) {
            *value = counts.sample(stream) / photons;
        }
    }
}

pub(super) fn impulse(image: &mut Image, level: Level, stream: &mut Stream) {
    let share = LOST.at(level);
    for value in image.values_mut() {
        if stream.random_bool(share) {
            *value = if stream.random() { 1.0 } else { 0.0 };
        }
    }
}
