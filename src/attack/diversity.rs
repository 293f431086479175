//! Random resizing and padding of inputs.

use rand::RngExt;

use crate::grid::Grid;
use crate::rng::Stream;

/// With some probability, the input is shrunk and placed at random on a background of zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Diversity {
    pub(super) probability: f64,
    /// The smallest side, as a share of the input's.
    pub(super) smallest: f64,
}

/// A linear map of images: bilinear resizing to `down.len()` x `along.len()`, then padding.
#[derive(Debug)]
pub(super) struct Placement {
    top: usize,
    left: usize,
    down: Vec<Tap>,
    along: Vec<Tap>,
}

/// One coordinate of the small image: a share of that at `from`, the rest of that at `to`.
#[derive(Clone, Copy, Debug)]
struct Tap {
    from: usize,
    to: usize,
    share: f64,
}

impl Diversity {
    /// What to do to an input; none to leave it as it is.
    pub(super) fn draw(&self, grid: &Grid, stream: &mut Stream) -> Option<Placement> {
        if stream.random::<f64>() >= self.probability {
            return None;
        }
        let least = ((self.smallest * grid.rows as f64) as usize).clamp(1, grid.rows);
        let height = stream.random_range(least..grid.rows.max(least + 1));
        let share = height as f64 / grid.rows as f64;
        let width = ((share * grid.columns as f64).round() as usize).clamp(1, grid.columns);
        Some(Placement {
            top: stream.random_range(0..=grid.rows - height),
            left: stream.random_range(0..=grid.columns - width),
            down: taps(grid.rows, height),
            along: taps(grid.columns, width),
        })
    }
}

/// Where the coordinates of a side of `small` lie on one of `large`, by their centres.
fn taps(large: usize, small: usize) -> Vec<Tap> {
    let last = large - 1;
    let tap = |i: usize| {
        let at = (i as f64 + 0.5) * large as f64 / small as f64 - 0.5;
        let at = at.clamp(0.0, last as f64);
        let from = at as usize;
        Tap { from, to: (from + 1).min(last), share: 1.0 - (at - from as f64) }
    };
    (0..small).map(tap).collect()
}

impl Placement {
    /// The image that the map makes of `image`.
    pub(super) fn apply(&self, grid: &Grid, image: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        self.each(grid, |at, weights| {
            let value: f64 = weights.iter().map(|&(i, w)| w * f64::from(image[i])).sum();
            out[at] = value as f32;
        });
    }

    /// The gradient with respect to the image, of one with respect to what the map makes of it.
    pub(super) fn adjoint(&self, grid: &Grid, gradient: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        self.each(grid, |at, weights| {
            for &(i, w) in weights {
                out[i] += (w * f64::from(gradient[at])) as f32;
            }
        });
    }

    /// Every feature of the small image in its place, with the features that it is made of and their weights.
    fn each(&self, grid: &Grid, mut visit: impl FnMut(usize, &[(usize, f64); 4])) {
        for (row, down) in self.down.iter().enumerate() {
            for (column, along) in self.along.iter().enumerate() {
                for channel in 0..grid.channels {
                    let weights = [
                        (down.from, along.from, down.share * along.share),
                        (down.from, along.to, down.share * (1.0 - along.share)),
                        (down.to, along.from, (1.0 - down.share) * along.share),
                        (down.to, along.to, (1.0 - down.share) * (1.0 - along.share)),
                    ];
                    let weights = weights.map(|(r, c, w)| (grid.feature(r, c, channel), w));
                    visit(grid.feature(self.top + row, self.left + column, channel), &weights);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    const ALWAYS: Diversity = Diversity { probability: 1.0, smallest: 0.5 };

    fn image(features: usize, seed: u64) -> Vec<f32> {
        let mut draw = stream(seed, "image", features, 0);
        (0..features).map(|_| draw.random_range(-1.0..1.0)).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    /// `<map x, y> = <x, adjoint y>`.
    #[test]
    fn the_adjoint_is_exact() {
        for shape in [&[3, 8, 11][..], &[8, 11, 3], &[28, 28], &[1, 5, 4], &[2, 2], &[7]] {
            let (grid, features) = (Grid::new(shape), shape.iter().product());
            let mut draw = stream(0, "diversity", features, 0);
            for _ in 0..20 {
                let map = ALWAYS.draw(&grid, &mut draw).unwrap();
                let (x, y) = (image(features, 1), image(features, 2));
                let (mut mapped, mut back) = (vec![1.0; features], vec![1.0; features]);
                map.apply(&grid, &x, &mut mapped);
                map.adjoint(&grid, &y, &mut back);
                let (left, right) = (dot(&mapped, &y), dot(&x, &back));
                assert!((left - right).abs() < 1e-5 * features as f64, "{shape:?}: {left} {right}");
            }
        }
    }

    #[test]
    fn a_constant_image_becomes_a_smaller_one_on_zeros() {
        let grid = Grid::new(&[3, 10, 20]);
        let mut draw = stream(0, "diversity", 0, 0);
        let mut sides = [0; 11];
        for _ in 0..300 {
            let map = ALWAYS.draw(&grid, &mut draw).unwrap();
            let (height, width) = (map.down.len(), map.along.len());
            assert_eq!(width, 2 * height);
            sides[height] += 1;
            let mut out = vec![7.0; 600];
            map.apply(&grid, &[1.0; 600], &mut out);
            let ones = out.iter().filter(|x| (**x - 1.0).abs() < 1e-6).count();
            let zeros = out.iter().filter(|x| **x == 0.0).count();
            assert_eq!((ones, zeros), (3 * height * width, 600 - 3 * height * width));
        }
        assert!(sides[5..10].iter().all(|count| *count > 30) && sides[10] == 0, "{sides:?}");
        let sometimes = Diversity { probability: 0.5, ..ALWAYS };
        let drawn = (0..400).filter(|_| sometimes.draw(&grid, &mut draw).is_some()).count();
        assert!((160..240).contains(&drawn), "{drawn} of 400");
    }

    /// A ramp stays one: its values are those at the centres.
    #[test]
    fn resizing_is_bilinear() {
        let grid = Grid::new(&[2, 4]);
        let map = Placement { top: 1, left: 1, down: taps(2, 1), along: taps(4, 2) };
        let mut out = [9.0; 8];
        map.apply(&grid, &[0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0], &mut out);
        for (found, expected) in out.iter().zip([0.0, 0.0, 0.0, 0.0, 0.0, 5.5, 7.5, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{out:?}");
        }
    }
}
