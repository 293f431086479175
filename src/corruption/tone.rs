//! Lighter, and with less contrast.

use super::image::Image;
use super::level::{Level, Levels};
use crate::rng::Stream;

/// What is added to the value.
const LIGHTER: Levels<f64> =
    Levels { cifar: [0.05, 0.1, 0.15, 0.2, 0.3], imagenet: [0.1, 0.2, 0.3, 0.4, 0.5] };

/// The share of the contrast that is left.
const LEFT: Levels<f64> =
    Levels { cifar: [0.75, 0.5, 0.4, 0.3, 0.15], imagenet: [0.4, 0.3, 0.2, 0.1, 0.05] };

pub(super) fn brightness(image: &mut Image, level: Level, _stream: &mut Stream) {
    let lighter = LIGHTER.at(level);
    let pixels = image.planes.first().map_or(0, |plane| plane.values.len());
    for at in 0..pixels {
        let value = image.rgb(at).map(|rgb| rgb.into_iter().fold(0.0, f64::max));
        for plane in &mut image.planes {
            let x = &mut plane.values[at];
            match value {
                // The same hue and saturation: all channels in proportion.
                Some(value) if value > 0.0 => *x *= (value + lighter).min(1.0) / value,
                _ => *x += lighter,
            }
        }
    }
}

pub(super) fn contrast(image: &mut Image, level: Level, _stream: &mut Stream) {
    let left = LEFT.at(level);
    for plane in &mut image.planes {
        let mean = plane.mean();
        plane.values.iter_mut().for_each(|x| *x = mean + left * (*x - mean));
    }
}
