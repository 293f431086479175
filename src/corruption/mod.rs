//! The common corruptions of images: what weather, sensors, lenses and compression do, without an adversary.
//!
//! Fifteen [kinds](Kind) at five [severities](Severity), as Hendrycks & Dietterich 2019,
//! <https://arxiv.org/abs/1903.12261>, define them and as the authors' code (which made ImageNet-C and CIFAR-10-C)
//! parametrises them. A [`Canvas`] says how samples are images, and corrupts them.
//!
//! # Differences
//! Images stay real numbers: intermediate images are not rounded to 8 bits but where a corruption is that rounding
//! ([`Kind::JpegCompression`]). Where the code assumes squares of 32 or 224 pixels, the image's own sides stand. What
//! differs for one kind is said there.

mod band;
mod canvas;
mod defocus;
mod elastic;
mod fog;
mod frost;
mod glass;
mod image;
mod jpeg;
mod kinds;
mod level;
mod motion;
mod noise;
mod paste;
mod pixelate;
mod plasma;
mod severities;
mod snow;
mod table;
#[cfg(test)]
mod tests;
mod tone;
mod zoom;

pub use canvas::Canvas;
pub(crate) use canvas::restart;
pub use kinds::Kinds;
pub use level::{ParameterSet, Severity};
pub use paste::Place;
pub use severities::Severities;

table::corruptions! {
    /// Lightens: the largest channel of each pixel (its value in HSV) rises by a constant, hue and saturation stay. Without
    /// three channels, each value rises.
    "brightness" => Brightness, tone::brightness;
    /// Draws every channel towards its mean.
    "contrast" => Contrast, tone::contrast;
    /// Each pixel becomes the mean of a disk around it.
    "defocus-blur" => DefocusBlur, defocus::blur;
    /// A random affine map, then every pixel is moved by a smooth random field. Interpolation is exact, not in steps of
    /// 1/32 pixel.
    "elastic-transform" => ElasticTransform, elastic::transform;
    /// Adds a plasma of the diamond-square algorithm and scales back to the range.
    "fog" => Fog, fog::apply;
    /// Mixes with a texture of ice. The authors' are five photographs; this one is drawn anew for each sample, with the
    /// lightness, tint, contrast and grain that the photographs have on average.
    "frost" => Frost, frost::apply;
    /// Adds normal noise.
    "gaussian-noise" => GaussianNoise, noise::gaussian;
    /// A slight blur, pixels replaced by neighbours, the blur again. The authors' code means to exchange the two, but
    /// copies on colour images; so it is in the published images, and here.
    "glass-blur" => GlassBlur, glass::blur;
    /// Sends values at random to black or white, each channel by itself.
    "impulse-noise" => ImpulseNoise, noise::impulse;
    /// Compresses by JPEG and back: 8 bits, colour at half the resolution, the usual quantisation tables.
    "jpeg-compression" => JpegCompression, jpeg::compress;
    /// Each pixel becomes a weighted mean of pixels along a line at a random angle.
    "motion-blur" => MotionBlur, motion::blur;
    /// Reduces the size and enlarges again, both by boxes.
    "pixelate" => Pixelate, pixelate::apply;
    /// Poisson noise: each value is a count of photons.
    "shot-noise" => ShotNoise, noise::shot;
    /// Whitens, and adds flakes blurred along their fall, twice: upright and turned by half.
    "snow" => Snow, snow::apply;
    /// The mean of the image and of enlargements of its middle.
    "zoom-blur" => ZoomBlur, zoom::blur;
}
