//! Falling snow.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::image::{Image, Plane, luma};
use super::level::{Level, Levels};
use super::motion::smeared;
use crate::rng::Stream;

/// How the flakes are made and mixed.
#[derive(Clone, Copy, Debug)]
struct Flakes {
    /// Mean and standard deviation of the layer before it is cut.
    layer: (f64, f64),
    /// By how much the layer is enlarged.
    zoom: f64,
    /// Below it, there is no flake.
    least: f64,
    /// Reach and standard deviation of the blur along the fall.
    fall: (usize, f64),
    /// The share of the image that is not whitened.
    kept: f64,
}

const fn flakes(layer: (f64, f64), zoom: f64, least: f64, fall: (usize, f64), kept: f64) -> Flakes {
    Flakes { layer, zoom, least, fall, kept }
}

const FLAKES: Levels<Flakes> = Levels {
    cifar: [
        flakes((0.1, 0.2), 1.0, 0.6, (8, 3.0), 0.95),
        flakes((0.1, 0.2), 1.0, 0.5, (10, 4.0), 0.9),
        flakes((0.15, 0.3), 1.75, 0.55, (10, 4.0), 0.9),
        flakes((0.25, 0.3), 2.25, 0.6, (12, 6.0), 0.85),
        flakes((0.3, 0.3), 1.25, 0.65, (14, 12.0), 0.8),
    ],
    imagenet: [
        flakes((0.1, 0.3), 3.0, 0.5, (10, 4.0), 0.8),
        flakes((0.2, 0.3), 2.0, 0.5, (12, 4.0), 0.7),
        flakes((0.55, 0.3), 4.0, 0.9, (12, 8.0), 0.7),
        flakes((0.55, 0.3), 4.5, 0.85, (12, 8.0), 0.65),
        flakes((0.55, 0.3), 2.5, 0.85, (12, 12.0), 0.55),
    ],
};

pub(super) fn apply(image: &mut Image, level: Level, stream: &mut Stream) {
    let flakes = FLAKES.at(level);
    let (rows, columns) = image.size();
    let (mean, deviation) = flakes.layer;
    let layer = Plane::from_fn(rows, columns, |_, _| {
        let draw: f64 = StandardNormal.sample(stream);
        mean + deviation * draw
    });
    let mut layer = layer.zoomed(flakes.zoom);
    for x in &mut layer.values {
        *x = if *x < flakes.least { 0.0 } else { x.min(1.0) };
    }
    let (reach, sigma) = flakes.fall;
    let snow = smeared(&layer, reach, sigma, stream.random_range(-135.0..-45.0));
    whiten(image, flakes.kept);
    for plane in &mut image.planes {
        let flakes = snow.values.iter().zip(snow.values.iter().rev());
        for (x, (upright, turned)) in plane.values.iter_mut().zip(flakes) {
            *x += upright + turned;
        }
    }
}

fn whiten(image: &mut Image, kept: f64) {
    let pixels = image.planes.first().map_or(0, |plane| plane.values.len());
    for at in 0..pixels {
        let grey = image.rgb(at).map(luma);
        for plane in &mut image.planes {
            let x = &mut plane.values[at];
            let white = x.max(grey.unwrap_or(*x) * 1.5 + 0.5);
            *x = kept * *x + (1.0 - kept) * white;
        }
    }
}
