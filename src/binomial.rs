//! Exact binomial tails.

use statrs::distribution::{Binomial, DiscreteCDF};

/// P(X >= hits) for X ~ Binomial(trials, share).
pub(crate) fn tail(hits: usize, trials: usize, share: f64) -> f64 {
    let below = |hits: usize| (hits as u64).checked_sub(1);
    match (Binomial::new(share, trials as u64), below(hits)) {
        (Ok(binomial), Some(below)) => binomial.sf(below),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn known_tails() {
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        close(tail(0, 10, 0.3), 1.0);
        close(tail(1, 10, 0.1), 1.0 - 0.9f64.powi(10));
        close(tail(10, 10, 0.5), 0.5f64.powi(10));
        close(tail(8, 10, 0.5), 56.0 / 1024.0);
        close(tail(3, 4, 0.25), 4.0 * 0.25f64.powi(3) * 0.75 + 0.25f64.powi(4));
        assert!(tail(11, 10, 0.5).abs() < 1e-12);
    }
}
