//! The search for the constant that trades success for size.

/// One sample's constant c.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trade {
    pub(super) c: f64,
    /// Whether the present c led to a success.
    pub(super) succeeded: bool,
    lower: f64,
    upper: f64,
}

impl Trade {
    pub(super) fn new(c: f64) -> Self {
        Self { c, succeeded: false, lower: 0.0, upper: f64::INFINITY }
    }

    /// Moves on to the next c: ten times as large until one succeeds, then halfway between the smallest that did and the
    /// largest that did not.
    pub(super) fn conclude(&mut self) {
        if std::mem::take(&mut self.succeeded) {
            self.upper = self.upper.min(self.c);
        } else {
            self.lower = self.lower.max(self.c);
        }
        self.c = if self.upper.is_finite() {
            f64::midpoint(self.lower, self.upper)
        } else {
            10.0 * self.c
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_by_tens_then_bisects() {
        let mut trade = Trade::new(1e-3);
        for _ in 0..24 {
            trade.succeeded = trade.c > 3.0;
            trade.conclude();
        }
        assert!((trade.c - 3.0).abs() < 1e-4, "{}", trade.c);
        let mut small = Trade::new(1e-3);
        small.succeeded = true;
        small.conclude();
        assert_eq!(small.c.to_bits(), 5e-4_f64.to_bits());
    }
}
