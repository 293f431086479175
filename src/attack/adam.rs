//! Adam, one variable at a time.

/// The moments of one variable's gradients, and how much of each of them is known: 1 less its decay so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Adam {
    mean: f64,
    square: f64,
    mean_known: f64,
    square_known: f64,
}

const DECAY_OF_MEAN: f64 = 0.9;
const DECAY_OF_SQUARES: f64 = 0.999;
const SMALL: f64 = 1e-8;

impl Adam {
    /// Takes the next gradient, and says along it how many times the rate to go: Kingma & Ba 2015,
    /// <https://arxiv.org/abs/1412.6980>, algorithm 1, with its defaults for the decay rates.
    pub(super) fn step(&mut self, gradient: f64) -> f64 {
        let average = |decay: f64, old: f64, new: f64| decay * old + (1.0 - decay) * new;
        self.mean = average(DECAY_OF_MEAN, self.mean, gradient);
        self.square = average(DECAY_OF_SQUARES, self.square, gradient * gradient);
        self.mean_known = average(DECAY_OF_MEAN, self.mean_known, 1.0);
        self.square_known = average(DECAY_OF_SQUARES, self.square_known, 1.0);
        (self.mean / self.mean_known) / ((self.square / self.square_known).sqrt() + SMALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a constant gradient both moments are unbiased from the start: every step is the rate, whatever the scale.
    #[test]
    #[expect(clippy::float_cmp, reason = "what does not move is exactly where it was")]
    fn steps_along_a_constant_gradient_have_the_rate() {
        for gradient in [1e-3, -40.0] {
            let mut adam = Adam::default();
            for _ in 0..50 {
                assert!((adam.step(gradient) - gradient.signum()).abs() < 1e-4);
            }
        }
        assert_eq!(Adam::default().step(0.0), 0.0);
    }

    /// Computed by hand: means 0.1 and 0.09 - 0.2, squares 0.001 and 0.000999 + 0.004.
    #[test]
    fn a_turn_is_dampened() {
        let mut adam = Adam::default();
        adam.step(1.0);
        let (mean, square) = (-0.11_f64 / 0.19, 0.004_999_f64 / 0.001_999);
        assert!((adam.step(-2.0) - mean / (square.sqrt() + 1e-8)).abs() < 1e-9);
    }
}
