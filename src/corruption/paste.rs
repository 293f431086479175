//! A square put on an image, and what the image's gradient says about the square.

use serde::{Deserialize, Serialize};

use super::canvas::Canvas;

/// Where a square stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The row of its centre, in pixels.
    pub row: f64,
    /// The column of its centre.
    pub column: f64,
    /// Degrees, counter-clockwise.
    pub rotation: f64,
    /// Its size, as a share of its own.
    pub scale: f64,
}

/// One pixel under the square, and the shares of the square's own pixels in it.
struct Covered {
    row: usize,
    column: usize,
    shares: [(usize, f64); 4],
}

impl Canvas<'_> {
    /// The sample under a square of `side` pixels, whose `pattern` holds rows by columns by channels, black 0 and white 1:
    /// linear between its pixels. What lies beyond the image is cut off.
    ///
    /// # Panics
    /// When sample or pattern have fewer values than that takes.
    #[must_use]
    pub fn paste(&self, sample: &[f32], pattern: &[f64], side: usize, place: &Place) -> Vec<f32> {
        let mut pasted = sample.to_vec();
        for Covered { row, column, shares } in self.covered(side, place) {
            for channel in 0..self.channels() {
                let (feature, lower, range) = self.scale(row, column, channel);
                let at = |pixel: usize| pattern[pixel * self.channels() + channel];
                let colour: f64 = shares.iter().map(|&(pixel, share)| share * at(pixel)).sum();
                pasted[feature] = (lower + range * colour.clamp(0.0, 1.0)) as f32;
            }
        }
        pasted
    }

    /// Adds to `sum`, laid out as the pattern is, the gradient of the pattern from that of the sample under it.
    pub(crate) fn lift(&self, gradient: &[f32], side: usize, place: &Place, sum: &mut [f64]) {
        for Covered { row, column, shares } in self.covered(side, place) {
            for channel in 0..self.channels() {
                let (feature, _, range) = self.scale(row, column, channel);
                for (pixel, share) in shares {
                    let slope = share * range * f64::from(gradient[feature]);
                    sum[pixel * self.channels() + channel] += slope;
                }
            }
        }
    }

    /// The pixels whose centre is under the square.
    fn covered(&self, side: usize, place: &Place) -> impl Iterator<Item = Covered> {
        let (rows, columns) = self.size();
        let (sine, cosine) = place.rotation.to_radians().sin_cos();
        let place = *place;
        let cells = (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)));
        cells.filter_map(move |(row, column)| {
            let (y, x) = (row as f64 - place.row, column as f64 - place.column);
            // Turned back, and to the pattern's own size; its first pixel's centre is 0.
            let own = |along: f64| along / place.scale + (side as f64 - 1.0) / 2.0;
            let (down, right) = (own(cosine * y + sine * x), own(cosine * x - sine * y));
            let within = |at: f64| (-0.5..side as f64 - 0.5).contains(&at);
            (within(down) && within(right)).then(|| {
                let last = (side - 1) as f64;
                let (down, right) = (down.clamp(0.0, last), right.clamp(0.0, last));
                let (top, left) = (down.floor(), right.floor());
                let (below, after) = (down - top, right - left);
                let pixel = |row: f64, column: f64| {
                    row.min(last) as usize * side + column.min(last) as usize
                };
                let shares = [
                    (pixel(top, left), (1.0 - below) * (1.0 - after)),
                    (pixel(top, left + 1.0), (1.0 - below) * after),
                    (pixel(top + 1.0, left), below * (1.0 - after)),
                    (pixel(top + 1.0, left + 1.0), below * after),
                ];
                Covered { row, column, shares }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::corruption::ParameterSet;
    use crate::rng::stream;
    use crate::threat::Bounds;

    const PLACE: Place = Place { row: 3.0, column: 2.0, rotation: 0.0, scale: 1.0 };

    fn numbers(seed: u64, count: usize) -> Vec<f64> {
        let mut draws = stream(seed, "paste", 0, 0);
        (0..count).map(|_| draws.random_range(0.1..0.9)).collect()
    }

    #[test]
    fn whole_pixels_and_quarter_turns_are_exact() {
        let bounds = Bounds::Uniform(-1.0, 1.0);
        let canvas = Canvas::new(&[2, 8, 8], &bounds, ParameterSet::Auto).unwrap();
        let (sample, pattern) = (vec![0.25; 128], numbers(1, 18));
        for (rotation, from) in [
            (0.0, (|r, c| (r, c)) as fn(usize, usize) -> (usize, usize)),
            (90.0, |r, c| (c, 2 - r)),
            (180.0, |r, c| (2 - r, 2 - c)),
        ] {
            let pasted = canvas.paste(&sample, &pattern, 3, &Place { rotation, ..PLACE });
            for (at, x) in pasted.iter().enumerate() {
                let (channel, row, column) = (at / 64, at / 8 % 8, at % 8);
                let within = (2..5).contains(&row) && (1..4).contains(&column);
                let expected = if within {
                    let (r, c) = from(row - 2, column - 1);
                    2.0 * pattern[(r * 3 + c) * 2 + channel] - 1.0
                } else {
                    0.25
                };
                assert!((f64::from(*x) - expected).abs() < 1e-6, "{rotation} {at}: {x}");
            }
        }
    }

    /// Pasting is linear in the pattern: the gradient is its transpose.
    #[test]
    fn the_gradient_is_that_of_the_pixels_under_it() {
        let bounds = Bounds::Uniform(-1.0, 3.0);
        let canvas = Canvas::new(&[9, 8, 3], &bounds, ParameterSet::Auto).unwrap();
        let sample = vec![0.0; 9 * 8 * 3];
        let slopes: Vec<f32> = numbers(2, sample.len()).iter().map(|x| *x as f32 - 0.5).collect();
        let place = Place { row: 4.3, column: 2.6, rotation: 31.0, scale: 0.8 };
        let (before, change) = (numbers(3, 48), numbers(4, 48));
        let after: Vec<f64> = before.iter().zip(&change).map(|(a, b)| a + 0.1 * b).collect();
        let value = |pattern: &[f64]| -> f64 {
            let pasted = canvas.paste(&sample, pattern, 4, &place);
            pasted.iter().zip(&slopes).map(|(x, g)| f64::from(*x) * f64::from(*g)).sum()
        };
        let mut lifted = vec![0.0; 48];
        canvas.lift(&slopes, 4, &place, &mut lifted);
        let along: f64 = lifted.iter().zip(&change).map(|(g, d)| 0.1 * g * d).sum();
        let rise = value(&after) - value(&before);
        assert!(rise.abs() > 1e-3 && (rise - along).abs() < 1e-5, "{rise} {along}");
    }

    #[test]
    fn what_lies_beyond_the_image_is_cut_off() {
        let bounds = Bounds::default();
        let canvas = Canvas::new(&[8, 8], &bounds, ParameterSet::Auto).unwrap();
        let place = Place { row: 0.0, column: 7.0, ..PLACE };
        let pasted = canvas.paste(&[0.0; 64], &[1.0; 9], 3, &place);
        let covered: Vec<usize> = (0..64).filter(|&at| pasted[at] > 0.5).collect();
        assert_eq!(covered, [6, 7, 14, 15]);
    }
}
