//! Smoothing of gradients: their convolution with a kernel.

use serde::{Deserialize, Serialize};

use crate::grid::Grid;

/// The kernels of [`MiFgsm`](super::MiFgsm) that smooth its gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kernel {
    /// The gradient as it is.
    #[default]
    None,
    /// A normal distribution, whose standard deviation is the radius divided by the root of 3.
    Gaussian,
    /// Falling evenly to the edge.
    Linear,
    /// The same everywhere.
    Uniform,
}

impl Kernel {
    /// The convolution with a square kernel of `size`, an odd number of pixels; none where there is nothing to do.
    pub(super) fn smoothing(self, size: usize) -> Option<Smoothing> {
        let radius = (size / 2) as f64;
        let weight = |distance: f64| match self {
            Self::None | Self::Uniform => 1.0,
            Self::Linear => 1.0 - distance / (radius + 1.0),
            Self::Gaussian if radius > 0.0 => (-1.5 * (distance / radius).powi(2)).exp(),
            Self::Gaussian => 1.0,
        };
        let weights: Vec<f64> = (0..size).map(|i| weight((i as f64 - radius).abs())).collect();
        let total: f64 = weights.iter().sum();
        let weights = weights.into_iter().map(|weight| weight / total).collect();
        (self != Self::None).then_some(Smoothing { weights })
    }
}

/// A convolution with the product of two kernels of these weights, one down and one along. Beyond the edge is zero.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Smoothing {
    weights: Vec<f64>,
}

impl Smoothing {
    /// Smooths every channel of `gradient`. `draft` is room of the same size.
    pub(super) fn apply(&self, grid: &Grid, gradient: &mut [f32], draft: &mut [f32]) {
        for channel in 0..grid.channels {
            for column in 0..grid.columns {
                self.line(grid.rows, |row| grid.feature(row, column, channel), gradient, draft);
            }
            for row in 0..grid.rows {
                self.line(
                    grid.columns,
                    |column| grid.feature(row, column, channel),
                    draft,
                    gradient,
                );
            }
        }
    }

    fn line(&self, length: usize, at: impl Fn(usize) -> usize, from: &[f32], to: &mut [f32]) {
        let radius = self.weights.len() / 2;
        for i in 0..length {
            let window = i.saturating_sub(radius)..(i + radius + 1).min(length);
            let term = |j: usize| self.weights[j + radius - i] * f64::from(from[at(j)]);
            to[at(i)] = window.map(term).sum::<f64>() as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    /// Of a single one, what is left is the kernel.
    #[test]
    fn kernels_are_those_of_the_paper() {
        // sigma = k / sqrt(3) for k = 2: 2 sigma^2 = 8 / 3.
        let gaussian: fn(f64, f64) -> f64 = |i, j| (-(i * i + j * j) * 3.0 / 8.0).exp();
        let linear: fn(f64, f64) -> f64 = |i, j| (1.0 - i.abs() / 3.0) * (1.0 - j.abs() / 3.0);
        let uniform: fn(f64, f64) -> f64 = |_, _| 1.0;
        let cells: Vec<(f64, f64)> =
            (0..25).map(|at: u32| (f64::from(at / 5) - 2.0, f64::from(at % 5) - 2.0)).collect();
        for (kernel, weight) in
            [(Kernel::Gaussian, gaussian), (Kernel::Linear, linear), (Kernel::Uniform, uniform)]
        {
            let total: f64 = cells.iter().map(|&(i, j)| weight(i, j)).sum();
            let expected: Vec<f64> = cells.iter().map(|&(i, j)| weight(i, j) / total).collect();
            let smoothing = kernel.smoothing(5).unwrap();
            for (shape, channels) in [(&[2, 5, 5][..], [0..25, 25..50]), (&[5, 5], [0..25, 0..0])] {
                let features = shape.iter().product();
                let (mut gradient, mut draft) = (vec![0.0; features], vec![0.0; features]);
                gradient[12] = 1.0;
                smoothing.apply(&Grid::new(shape), &mut gradient, &mut draft);
                assert_near(&gradient[channels[0].clone()], &expected);
                assert!(gradient[channels[1].clone()].iter().all(|x| *x == 0.0));
            }
        }
    }

    #[test]
    fn beyond_the_edge_is_zero() {
        let smoothing = Kernel::Uniform.smoothing(3).unwrap();
        let (mut gradient, mut draft) = ([9.0; 6], [0.0; 6]);
        smoothing.apply(&Grid::new(&[2, 3]), &mut gradient, &mut draft);
        assert_near(&gradient, &[4.0, 6.0, 4.0, 4.0, 6.0, 4.0]);
        let (mut one, mut draft) = ([3.0, -1.0], [0.0; 2]);
        Kernel::Gaussian.smoothing(1).unwrap().apply(&Grid::new(&[2, 1]), &mut one, &mut draft);
        assert_near(&one, &[3.0, -1.0]);
        assert_eq!(Kernel::None.smoothing(15), None);
    }
}
