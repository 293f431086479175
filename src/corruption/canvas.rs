//! From samples to images and back.

use super::image::{Image, Plane};
use super::level::Level;
use super::{Kind, ParameterSet, Severity};
use crate::error::{Error, Result};
use crate::grid::Grid;
use crate::rng::Stream;
use crate::threat::Bounds;

/// How samples are images: which features are rows, columns and channels, and which values are black and white.
///
/// Axes of length one do not count. Two axes are rows and columns; of three, the channels are the last if it is shorter
/// than the first, else the first; of more, the last two are rows and columns and all others channels. Three channels are
/// red, green and blue; any other number are grey images, each by itself but under the same shapes.
///
/// # Example
/// ```
/// use ironbound::corruption::{Canvas, Kind, ParameterSet, Severity};
/// use ironbound::{Bounds, stream};
///
/// let bounds = Bounds::default();
/// let canvas = Canvas::new(&[3, 32, 32], &bounds, ParameterSet::Auto)?;
/// let grey = vec![0.5; 3 * 32 * 32];
/// let lighter = canvas.corrupt(&grey, Kind::Brightness, Severity::new(2)?, &mut stream(0, "example", 0, 0));
/// assert!(lighter.iter().all(|x| (x - 0.6).abs() < 1e-6));
/// # Ok::<(), ironbound::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Canvas<'a> {
    grid: Grid,
    bounds: &'a Bounds,
    small: bool,
}

/// The number of a draw of a kind at a severity, by which its random stream is found.
pub(crate) fn restart(kind: Kind, severity: Severity, draw: usize) -> usize {
    (draw * Kind::ALL.len() + kind as usize) * Severity::ALL.len() + usize::from(severity.get()) - 1
}

impl<'a> Canvas<'a> {
    /// The canvas of samples of a shape (without the batch axis), black at the lower bounds and white at the upper ones.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a shape that has no rows and columns, and for bounds that are infinite.
    pub fn new(shape: &[usize], bounds: &'a Bounds, set: ParameterSet) -> Result<Self> {
        let grid = Grid::new(shape);
        if grid.rows < 2 || grid.columns < 2 {
            let expected = "it takes images: expected two axes or more that are longer than one";
            return Err(Error::parameter("shape", format!("{shape:?}"), expected));
        }
        let features = shape.iter().product();
        let count = match bounds {
            Bounds::Uniform(..) => 1,
            Bounds::PerFeature(pairs) if pairs.len() == features => features,
            Bounds::PerFeature(pairs) => {
                let expected = format!("expected one pair per feature, that is {features}");
                return Err(Error::parameter("bounds", format!("{} long", pairs.len()), expected));
            }
        };
        for (lower, upper) in (0..count).map(|feature| bounds.at(feature)) {
            // A NaN is no number to be less than.
            if !(lower <= upper && (upper - lower).is_finite()) {
                let expected =
                    "black and white are the lower and the upper bound: expected finite ones";
                return Err(Error::parameter("bounds", format!("({lower}, {upper})"), expected));
            }
        }
        let small = set.is_small(grid.rows, grid.columns);
        Ok(Self { grid, bounds, small })
    }

    /// The parameters in use, never [`Auto`](ParameterSet::Auto).
    #[must_use]
    pub fn parameters(&self) -> ParameterSet {
        if self.small { ParameterSet::Cifar } else { ParameterSet::ImageNet }
    }

    /// Rows and columns.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.grid.rows, self.grid.columns)
    }

    /// Channels: three are red, green and blue.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.grid.channels
    }

    /// A pixel's feature in a channel, its black, and how far white is from it.
    pub(super) fn scale(&self, row: usize, column: usize, channel: usize) -> (usize, f64, f64) {
        let feature = self.grid.feature(row, column, channel);
        let (lower, upper) = self.bounds.at(feature);
        (feature, f64::from(lower), f64::from(upper) - f64::from(lower))
    }

    /// The sample, of which each pixel takes the value at a place of the image: that of its row and column by `from`, linear
    /// between pixels, black beyond them.
    ///
    /// # Panics
    /// When the sample has fewer values than the shape.
    #[must_use]
    pub fn warp(&self, sample: &[f32], from: impl Fn(f64, f64) -> (f64, f64)) -> Vec<f32> {
        let mut image = self.image(sample);
        image.map_planes(|plane| {
            Plane::from_fn(plane.rows, plane.columns, |row, column| {
                let (row, column) = from(row as f64, column as f64);
                plane.between_or_black(row, column)
            })
        });
        self.sample(&image, sample)
    }

    /// The sample, corrupted: of the same length and within the bounds. Every random draw comes from the stream.
    ///
    /// # Panics
    /// When the sample has fewer values than the shape.
    #[must_use]
    pub fn corrupt(
        &self,
        sample: &[f32],
        kind: Kind,
        severity: Severity,
        stream: &mut Stream,
    ) -> Vec<f32> {
        let mut image = self.image(sample);
        kind.function()(&mut image, Level { severity, small: self.small }, stream);
        self.sample(&image, sample)
    }

    pub(super) fn image(&self, sample: &[f32]) -> Image {
        let plane = |channel| {
            Plane::from_fn(self.grid.rows, self.grid.columns, |row, column| {
                let feature = self.grid.feature(row, column, channel);
                let (lower, upper) = self.bounds.at(feature);
                let (lower, upper) = (f64::from(lower), f64::from(upper));
                let range = if upper > lower { upper - lower } else { 1.0 };
                ((f64::from(sample[feature]) - lower) / range).clamp(0.0, 1.0)
            })
        };
        Image { planes: (0..self.grid.channels).map(plane).collect() }
    }

    /// The image in the order and units of the sample that it comes from.
    pub(super) fn sample(&self, image: &Image, like: &[f32]) -> Vec<f32> {
        let mut sample = like.to_vec();
        for (channel, plane) in image.planes.iter().enumerate() {
            for (row, column) in self.grid.whole().cells() {
                let feature = self.grid.feature(row, column, channel);
                let (lower, upper) = self.bounds.at(feature);
                let range = f64::from(upper) - f64::from(lower);
                let x = f64::from(lower) + range * plane.at(row, column).clamp(0.0, 1.0);
                sample[feature] = (x as f32).clamp(lower, upper);
            }
        }
        sample
    }
}
