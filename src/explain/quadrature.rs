//! Where and with which weights a mean over [0, 1] is taken.

use serde::{Deserialize, Serialize};

/// How an integral over [0, 1] becomes a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The middles of equal parts. The error falls with the square of their number where the integrand is smooth, and with
    /// their number where it jumps, as the gradients of networks with `Relu` do.
    #[default]
    Midpoint,
    /// Gauss and Legendre's points, exact for polynomials up to twice their number: few steps do for smooth networks.
    GaussLegendre,
}

impl Rule {
    /// As many (position, weight) as there are steps, positions ascending; the weights add up to 1.
    pub(super) fn nodes(self, steps: usize) -> Vec<(f64, f64)> {
        match self {
            Self::Midpoint => {
                let width = 1.0 / steps as f64;
                (0..steps).map(|step| ((step as f64 + 0.5) * width, width)).collect()
            }
            Self::GaussLegendre => gauss_legendre(steps),
        }
    }
}

/// The roots of the Legendre polynomial by Newton's method, from Tricomi's estimate of them.
fn gauss_legendre(steps: usize) -> Vec<(f64, f64)> {
    let mut nodes = vec![(0.0, 0.0); steps];
    let n = steps as f64;
    for i in 0..steps.div_ceil(2) {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..10 {
            let value;
            (value, slope) = legendre(steps, x);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        // The middle root of an odd number of them.
        if 2 * i + 1 == steps {
            x = 0.0;
            slope = legendre(steps, x).1;
        }
        // From [-1, 1] to [0, 1], where weights are half as large.
        let weight = 1.0 / ((1.0 - x * x) * slope * slope);
        nodes[i] = (f64::midpoint(1.0, -x), weight);
        nodes[steps - 1 - i] = (f64::midpoint(1.0, x), weight);
    }
    nodes
}

/// The Legendre polynomial of a degree and its slope, inside (-1, 1).
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=degree {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, degree as f64 * (before - x * value) / (1.0 - x * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauss_legendre_is_exact_for_polynomials() {
        for steps in [1, 2, 3, 5, 8, 21, 50, 64, 257] {
            let nodes = Rule::GaussLegendre.nodes(steps);
            assert!(nodes.is_sorted() && nodes.iter().all(|(at, _)| (0.0..=1.0).contains(at)));
            for power in (0..2 * steps).take(60) {
                let sum: f64 =
                    nodes.iter().map(|(at, weight)| weight * at.powi(power as i32)).sum();
                let integral = 1.0 / (power as f64 + 1.0);
                assert!((sum - integral).abs() < 1e-13, "{steps} steps, power {power}: {sum}");
            }
        }
    }

    /// Abramowitz & Stegun, table 25.4, on [-1, 1].
    #[test]
    fn gauss_legendre_is_the_published_table() {
        let table = [(-0.906_179_845_938_664, 0.236_926_885_056_189), (0.0, 0.568_888_888_888_889)];
        let nodes = Rule::GaussLegendre.nodes(5);
        for ((at, weight), (x, w)) in [nodes[0], nodes[2]].into_iter().zip(table) {
            assert!((2.0 * at - 1.0 - x).abs() < 1e-14 && (2.0 * weight - w).abs() < 1e-14);
        }
    }

    #[test]
    fn midpoints_are_the_middles_of_equal_parts() {
        assert_eq!(Rule::Midpoint.nodes(2), [(0.25, 0.5), (0.75, 0.5)]);
        assert_eq!(Rule::Midpoint.nodes(1), [(0.5, 1.0)]);
    }
}
