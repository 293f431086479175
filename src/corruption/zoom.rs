//! The blur of a camera that comes closer.

use super::image::Image;
use super::level::{Level, Levels};
use crate::rng::Stream;

/// How many enlargements, from none on, and the step from one to the next.
const ZOOM: Levels<(u32, f64)> = Levels {
    cifar: [(7, 0.01), (12, 0.01), (16, 0.01), (21, 0.01), (26, 0.01)],
    imagenet: [(12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)],
};

pub(super) fn blur(image: &mut Image, level: Level, _stream: &mut Stream) {
    let (count, step) = ZOOM.at(level);
    // As NumPy's ranges have it: the last bits decide whether half a pixel rounds up.
    let step = (1.0 + step) - 1.0;
    image.map_planes(|plane| {
        let mut sum = plane.clone();
        for zoom in 0..count {
            let enlarged = plane.zoomed(1.0 + f64::from(zoom) * step);
            sum.values.iter_mut().zip(&enlarged.values).for_each(|(sum, x)| *sum += x);
        }
        sum.values.iter_mut().for_each(|x| *x /= f64::from(count + 1));
        sum
    });
}
