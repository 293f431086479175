//! Frost on a window.

use rand::RngExt;

use super::image::{Image, Plane, luma};
use super::level::{Level, Levels};
use super::plasma::plasma;
use crate::rng::Stream;

/// The shares of the image and of the frost.
const SHARES: Levels<(f64, f64)> = Levels {
    cifar: [(1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
    imagenet: [(1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
};

// Measured on the authors' photographs, over crops of 224 pixels and of 32 pixels at a fifth of the size.
/// Where the mean lightness of the ice lies.
const LIGHTNESS: std::ops::Range<f64> = 0.37..0.89;
/// What the channels differ from the lightness by.
const TINT: [f64; 3] = [-0.07, 0.01, 0.06];
/// The standard deviation over a crop.
const CONTRAST: f64 = 0.09;
/// The decay at which the ridges of a plasma have the photographs' grain.
const DECAY: f64 = 1.1;

pub(super) fn apply(image: &mut Image, level: Level, stream: &mut Stream) {
    let (kept, share) = SHARES.at(level);
    let (rows, columns) = image.size();
    let frost = crystals(rows, columns, stream);
    let lightness = stream.random_range(LIGHTNESS);
    let tints = if image.planes.len() == 3 { &TINT[..] } else { &[luma(TINT)] };
    for (plane, tint) in image.planes.iter_mut().zip(tints.iter().cycle()) {
        for (x, frost) in plane.values.iter_mut().zip(&frost.values) {
            let ice = lightness + tint + CONTRAST * frost;
            *x = kept * *x + share * ice.clamp(0.0, 1.0);
        }
    }
}

/// Veins, which are the ridges of a plasma, of mean 0 and standard deviation 1.
fn crystals(rows: usize, columns: usize, stream: &mut Stream) -> Plane {
    let mut frost = plasma(rows, columns, DECAY, stream);
    frost.values.iter_mut().for_each(|x| *x = -(2.0 * *x - 1.0).abs());
    let mean = frost.mean();
    frost.values.iter_mut().for_each(|x| *x -= mean);
    let square = frost.values.iter().map(|x| x * x).sum::<f64>() / frost.values.len() as f64;
    let scale = if square > 0.0 { square.sqrt().recip() } else { 0.0 };
    frost.values.iter_mut().for_each(|x| *x *= scale);
    frost
}
