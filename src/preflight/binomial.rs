//! Exact binomial tails.

/// P(X >= hits) for X ~ Binomial(trials, share), summed from the smallest terms.
pub(crate) fn tail(hits: usize, trials: usize, share: f64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    let mut log_choose = 0.0;
    let mut sum = 0.0;
    // From k = trials down: C(n, k - 1) = C(n, k) k / (n - k + 1).
    for k in (hits..=trials).rev() {
        sum += (log_choose + k as f64 * share.ln() + (trials - k) as f64 * (-share).ln_1p()).exp();
        log_choose += (k as f64 / (trials - k + 1) as f64).ln();
    }
    sum.min(1.0)
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
