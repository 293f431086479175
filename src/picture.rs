//! Samples and maps of their features as pictures: PNG files, and data URIs for pages that hold everything.
//!
//! Of a shape, axes of length one do not count; two axes are rows and columns; of three, the channels are the last one if
//! it is shorter than the first, else the first; of more, the last two are rows and columns. Three channels are red, green
//! and blue.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::grid::Grid;

/// Red, green and blue.
type Colour = [u8; 3];

/// The largest negative, no, and the largest positive value of a map: apart for those who do not tell red from green.
const NEGATIVE: Colour = [33, 102, 172];
const ZERO: Colour = [247, 247, 247];
const POSITIVE: Colour = [178, 24, 43];

/// A picture of 8 bits per channel.
///
/// # Example
/// ```
/// use ironbound::picture::Picture;
///
/// let ramp: Vec<f32> = (0..12).map(|level| level as f32 / 11.0).collect();
/// let picture = Picture::of_sample(&ramp, &[3, 4], (0.0, 1.0)).unwrap();
/// assert_eq!((picture.width(), picture.height()), (4, 3));
/// assert!(picture.to_png().starts_with(b"\x89PNG"));
/// // A vector is no image.
/// assert_eq!(Picture::of_sample(&ramp, &[12], (0.0, 1.0)), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    /// Row by row.
    pixels: Vec<Colour>,
}

impl Picture {
    /// Of one sample: grey from one channel, coloured from three. `range` has the values that are black and white; those
    /// beyond it are cut off, and NaN is black.
    ///
    /// None where `shape` is no image (less than two rows or columns, or another number of channels), or `values` are not as
    /// many as it has.
    #[must_use]
    pub fn of_sample(values: &[f32], shape: &[usize], range: (f32, f32)) -> Option<Self> {
        let (lower, upper) = (f64::from(range.0), f64::from(range.1));
        let level = |value: f32| {
            let share = (f64::from(value) - lower) / (upper - lower);
            (255.0 * share).round() as u8
        };
        Self::draw(shape, values.len(), |channels| match channels[..] {
            [grey] => Some([level(values[grey]); 3]),
            [red, green, blue] => Some([red, green, blue].map(|at| level(values[at]))),
            _ => None,
        })
    }

    /// Of one signed number per feature, such as a perturbation or a map of what mattered: blue below 0, white at 0, red
    /// above, full at `limit` and beyond. What has several channels, any number of them, is drawn as their mean.
    ///
    /// None where `shape` is no image (less than two rows or columns), or `values` are not as many as it has.
    #[must_use]
    pub fn of_map(values: &[f32], shape: &[usize], limit: f32) -> Option<Self> {
        Self::draw(shape, values.len(), |channels| {
            Some(signed(mean(values, &channels) / f64::from(limit)))
        })
    }

    /// The colour of each pixel from the places of its channels among a sample's values.
    fn draw(
        shape: &[usize],
        count: usize,
        colour: impl Fn(Vec<usize>) -> Option<Colour>,
    ) -> Option<Self> {
        let (grid, colours) = each(shape, count, colour)?;
        let (width, height) = (u32::try_from(grid.columns).ok()?, u32::try_from(grid.rows).ok()?);
        let pixels = colours.into_iter().collect::<Option<_>>()?;
        Some(Self { width, height, pixels })
    }

    /// The same picture with squares of so many pixels' side for pixels: what is small can be seen.
    #[must_use]
    pub fn enlarged(&self, times: u32) -> Self {
        let times = times.max(1);
        let (width, height) = (self.width * times, self.height * times);
        let at = |row: u32, column: u32| {
            self.pixels[(row / times) as usize * self.width as usize + (column / times) as usize]
        };
        let pixels =
            (0..height).flat_map(|row| (0..width).map(move |column| at(row, column))).collect();
        Self { width, height, pixels }
    }

    /// Pixels from left to right.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels from top to bottom.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes of a PNG file, grey where no pixel is coloured. The same picture gives the same bytes.
    #[must_use]
    pub fn to_png(&self) -> Vec<u8> {
        let is_grey = self.pixels.iter().all(|[red, green, blue]| red == green && green == blue);
        let (kind, data) = if is_grey {
            (png::ColorType::Grayscale, self.pixels.iter().map(|pixel| pixel[0]).collect())
        } else {
            (png::ColorType::Rgb, self.pixels.concat())
        };
        let mut file = vec![];
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(kind);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        // There are as many pixels as the header says, and writing to memory cannot fail.
        let _ = encoder.write_header().and_then(|mut writer| writer.write_image_data(&data));
        file
    }

    /// The PNG file as the address of an image in a page.
    #[must_use]
    pub fn to_data_uri(&self) -> String {
        format!("data:image/png;base64,{}", STANDARD.encode(self.to_png()))
    }
}

/// The largest magnitude that [`Picture::of_map`] draws of these values: its limit for full colours at the extremes.
///
/// None where `shape` is no image, or `values` are not as many as it has.
#[must_use]
pub fn largest(values: &[f32], shape: &[usize]) -> Option<f32> {
    let magnitude = |channels: Vec<usize>| mean(values, &channels).abs();
    let (_, all) = each(shape, values.len(), magnitude)?;
    Some(all.into_iter().fold(0.0, f64::max) as f32)
}

/// Of each pixel, row by row, what there is to say of the places of its channels; none where `shape` is no image.
fn each<T>(shape: &[usize], count: usize, of: impl Fn(Vec<usize>) -> T) -> Option<(Grid, Vec<T>)> {
    let grid = Grid::new(shape);
    if grid.rows < 2 || grid.columns < 2 || count == 0 || count != shape.iter().product::<usize>() {
        return None;
    }
    let channels = |row, column| {
        (0..grid.channels).map(|channel| grid.feature(row, column, channel)).collect()
    };
    let all = grid.whole().cells().map(|(row, column)| of(channels(row, column))).collect();
    Some((grid, all))
}

fn mean(values: &[f32], places: &[usize]) -> f64 {
    let sum: f64 = places.iter().map(|at| f64::from(values[*at])).sum();
    sum / places.len() as f64
}

/// From blue by white to red.
fn signed(share: f64) -> Colour {
    let end = if share < 0.0 { NEGATIVE } else { POSITIVE };
    let share = if share.is_nan() { 0.0 } else { share.abs().min(1.0) };
    let mix = |channel: usize| {
        let (zero, end) = (f64::from(ZERO[channel]), f64::from(end[channel]));
        (zero + share * (end - zero)).round() as u8
    };
    [mix(0), mix(1), mix(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size, the channels and the values of a PNG file.
    fn decoded(file: &[u8]) -> ((u32, u32), usize, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut values = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut values).unwrap();
        assert_eq!(frame.bit_depth, png::BitDepth::Eight);
        ((frame.width, frame.height), frame.color_type.samples(), values)
    }

    #[test]
    fn one_channel_is_grey() {
        let values = [0.0, 0.5, 1.0, 2.0, -1.0, f32::NAN];
        for shape in [&[3, 2][..], &[1, 3, 2], &[3, 2, 1]] {
            let picture = Picture::of_sample(&values, shape, (0.0, 1.0)).unwrap();
            assert_eq!(decoded(&picture.to_png()), ((2, 3), 1, vec![0, 128, 255, 255, 0, 0]));
        }
        let wider = Picture::of_sample(&values[..4], &[2, 2], (-1.0, 3.0)).unwrap();
        assert_eq!(decoded(&wider.to_png()).2, [64, 96, 128, 191]);
    }

    #[test]
    fn channels_are_colours_wherever_they_are() {
        // Four rows of three pixels: red, green, blue, a grey, and black.
        let mut last = vec![1., 0., 0., 0., 1., 0., 0., 0., 1., 0.2, 0.2, 0.2];
        last.resize(4 * 3 * 3, 0.0);
        let first: Vec<f32> = (0..36).map(|at| last[at % 12 * 3 + at / 12]).collect();
        let mut shown = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 51, 51, 51];
        shown.resize(36, 0);
        for (values, shape) in [(last, [4, 3, 3]), (first, [3, 4, 3])] {
            let picture = Picture::of_sample(&values, &shape, (0.0, 1.0)).unwrap();
            assert_eq!(decoded(&picture.to_png()), ((3, 4), 3, shown.clone()));
        }
    }

    #[test]
    fn maps_are_blue_white_and_red() {
        let values = [-2.0, -1.0, 0.0, 0.5, 1.0, f32::NAN];
        let picture = Picture::of_map(&values, &[2, 3], 1.0).unwrap();
        let half = [213, 136, 145];
        let expected = [NEGATIVE, NEGATIVE, ZERO, half, POSITIVE, ZERO].concat();
        assert_eq!(decoded(&picture.to_png()), ((3, 2), 3, expected));
        // Channels are averaged: the second pixel's cancel each other.
        let values = [1.0, 1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0];
        let picture = Picture::of_map(&values, &[2, 2, 2], 1.0).unwrap();
        assert_eq!(decoded(&picture.to_png()).2, [POSITIVE, ZERO, ZERO, ZERO].concat());
        assert_eq!(largest(&values, &[2, 2, 2]), Some(1.0));
        assert_eq!(largest(&[-0.5, 0.25, 0.0, 0.0], &[2, 2]), Some(0.5));
        assert_eq!(largest(&[1.0; 4], &[4]), None);
        // Nothing anywhere is all white, whatever the limit.
        let picture = Picture::of_map(&[0.0; 4], &[2, 2], 0.0).unwrap();
        assert_eq!(decoded(&picture.to_png()).2, [247; 4]);
    }

    #[test]
    fn enlarged_pixels_are_squares() {
        let small = Picture::of_sample(&[0.0, 1.0, 1.0, 0.0], &[2, 2], (0.0, 1.0)).unwrap();
        let (w, b) = (255, 0);
        let rows = [[b, b, w, w], [b, b, w, w], [w, w, b, b], [w, w, b, b]];
        assert_eq!(decoded(&small.enlarged(2).to_png()), ((4, 4), 1, rows.concat()));
        assert_eq!((small.enlarged(1), small.enlarged(0)), (small.clone(), small.clone()));
    }

    #[test]
    fn what_is_no_image_has_no_picture() {
        let values = [0.0; 24];
        for shape in [&[24][..], &[1, 24], &[24, 1], &[2, 3, 4], &[0, 4], &[5, 5]] {
            assert_eq!(Picture::of_sample(&values, shape, (0.0, 1.0)), None, "{shape:?}");
        }
        assert_eq!(Picture::of_sample(&[], &[0, 4], (0.0, 1.0)), None);
        assert!(Picture::of_map(&values, &[2, 3, 4], 1.0).is_some());
        assert_eq!(Picture::of_map(&values, &[24], 1.0), None);
    }

    #[test]
    fn a_page_holds_the_file() {
        let picture = Picture::of_map(&[-1.0, 0.0, 0.0, 1.0], &[2, 2], 1.0).unwrap();
        let uri = picture.to_data_uri();
        let file = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert_eq!(file, picture.to_png());
    }
}
