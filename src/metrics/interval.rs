//! How sure a share of a finite sample is.

use statrs::distribution::{Beta, ContinuousCDF};

/// The 97.5 % quantile of the standard normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The 95 % Wilson score interval of a share: `hits` of `trials`, as `[lower, upper]` in [0, 1].
///
/// With `p = hits / trials` and `z = 1.96`: `(p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`. It is never
/// empty and never leaves [0, 1], unlike `p ± z sqrt(p(1-p)/n)`. Without a trial nothing is known: `[0, 1]`.
/// More `hits` than `trials` count as `trials`.
///
/// Wilson 1927, <https://doi.org/10.1080/01621459.1927.10502953>.
///
/// # Example
/// ```
/// let [lower, upper] = ironbound::metrics::wilson95(432, 1000);
/// assert!((lower - 0.40162).abs() < 1e-5 && (upper - 0.46290).abs() < 1e-5);
/// ```
#[must_use]
pub fn wilson95(hits: usize, trials: usize) -> [f64; 2] {
    if trials == 0 {
        return [0.0, 1.0];
    }
    let n = trials as f64;
    let p = hits.min(trials) as f64 / n;
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // The ends are exact at 0 and 1 hits in real numbers; rounding must not blur that.
    let lower = if hits == 0 { 0.0 } else { (centre - half) / scale };
    let upper = if hits >= trials { 1.0 } else { (centre + half) / scale };
    [lower.max(0.0), upper.min(1.0)]
}

/// The exact (Clopper-Pearson) interval of a share: `hits` of `trials`, as `[lower, upper]` in [0, 1], that misses the true
/// share in no more than `1 - confidence` of all samples, half of that on each side.
///
/// The lower end is the `alpha / 2` quantile of Beta(k, n - k + 1), the upper end the `1 - alpha / 2` quantile of
/// Beta(k + 1, n - k), with `alpha = 1 - confidence`; 0 without a hit, 1 with nothing but hits. It is wider than
/// [`wilson95`], which holds its level on average only. Without a trial nothing is known: `[0, 1]`. More `hits` than
/// `trials` count as `trials`; a `confidence` outside [0, 1] as the nearer of the two.
///
/// Clopper & Pearson 1934, <https://doi.org/10.1093/biomet/26.4.404>.
///
/// # Example
/// ```
/// let [lower, upper] = ironbound::metrics::clopper_pearson(95, 100, 0.95);
/// assert!((lower - 0.887165).abs() < 1e-6 && (upper - 0.983568).abs() < 1e-6);
/// ```
#[must_use]
pub fn clopper_pearson(hits: usize, trials: usize, confidence: f64) -> [f64; 2] {
    let half = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
    let lower = clopper_pearson_lower(hits, trials, half);
    // What is no hit is one of the complement.
    [lower, 1.0 - clopper_pearson_lower(trials.saturating_sub(hits), trials, half)]
}

/// The one-sided exact lower bound of a share: below the true share in all but `alpha` of all samples.
///
/// The `alpha` quantile of Beta(k, n - k + 1). It is what certification by randomised smoothing asks for.
///
/// # Example
/// ```
/// let lower = ironbound::metrics::clopper_pearson_lower(99, 100, 0.001);
/// assert!((lower - 0.9113731113).abs() < 1e-9);
/// ```
#[must_use]
pub fn clopper_pearson_lower(hits: usize, trials: usize, alpha: f64) -> f64 {
    let hits = hits.min(trials);
    // Without a hit there is no such distribution, and no lower bound but 0.
    let Ok(beta) = Beta::new(hits as f64, (trials - hits + 1) as f64) else { return 0.0 };
    beta.inverse_cdf(alpha.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (hits, trials, lower, upper) to five places.
    const KNOWN: [(usize, usize, f64, f64); 5] = [
        (0, 10, 0.0, 0.277_53),
        (10, 10, 0.722_47, 1.0),
        (432, 1000, 0.401_62, 0.462_90),
        (5000, 10000, 0.490_20, 0.509_80),
        (1, 1, 0.206_55, 1.0),
    ];

    #[test]
    fn known_values() {
        for (hits, trials, lower, upper) in KNOWN {
            let [a, b] = wilson95(hits, trials);
            assert!(
                (a - lower).abs() < 6e-6 && (b - upper).abs() < 6e-6,
                "{hits}/{trials}: {a} {b}"
            );
        }
    }

    /// P(X <= k) = alpha / 2 at the upper end and P(X >= k) = alpha / 2 at the lower: the definition.
    #[test]
    fn exact_intervals_are_where_the_tails_are() {
        use statrs::distribution::{Binomial, DiscreteCDF};
        for (hits, trials) in [(1, 10), (5, 10), (95, 100), (300, 1000), (9990, 10000)] {
            for confidence in [0.9, 0.95, 0.999] {
                let [lower, upper] = clopper_pearson(hits, trials, confidence);
                let tail = |share: f64| Binomial::new(share, trials as u64).unwrap();
                let (above, below) =
                    (tail(lower).sf(hits as u64 - 1), tail(upper).cdf(hits as u64));
                let half = (1.0 - confidence) / 2.0;
                assert!((above / half - 1.0).abs() < 1e-6, "{hits}/{trials}: {above}");
                assert!((below / half - 1.0).abs() < 1e-6, "{hits}/{trials}: {below}");
            }
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "0 and 1 are exact")]
    fn exact_intervals_end_at_the_ends() {
        assert_eq!(clopper_pearson(0, 0, 0.95), [0.0, 1.0]);
        assert_eq!(clopper_pearson(0, 7, 0.95)[0], 0.0);
        assert_eq!(clopper_pearson(7, 7, 0.95)[1], 1.0);
        assert_eq!(clopper_pearson(9, 7, 0.95), clopper_pearson(7, 7, 0.95));
        assert_eq!(clopper_pearson(3, 7, 1.5), [0.0, 1.0]);
    }

    #[test]
    fn shared_reference_values() {
        let Ok(text) = std::fs::read_to_string("../shared/reference/vectors.json") else {
            println!("skipped: ../shared/reference/vectors.json is not there");
            return;
        };
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let known = vectors["intervals"]["wilson_95"].as_array().unwrap();
        assert!(!known.is_empty());
        for row in known {
            let count = |key: &str| usize::try_from(row[key].as_u64().unwrap()).unwrap();
            let interval = wilson95(count("k"), count("n"));
            for (end, value) in interval.iter().enumerate() {
                let expected = row["interval"][end].as_f64().unwrap();
                assert!((value - expected).abs() < 6e-6, "{row}: {interval:?}");
            }
        }
        let known = vectors["intervals"]["clopper_pearson_lower_one_sided"].as_array().unwrap();
        assert!(!known.is_empty());
        for row in known {
            let count = |key: &str| usize::try_from(row[key].as_u64().unwrap()).unwrap();
            let number = |key: &str| row[key].as_f64().unwrap();
            let lower = clopper_pearson_lower(count("k"), count("n"), number("alpha"));
            assert!((lower - number("lower")).abs() < 1e-9, "{row}: {lower}");
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "0 and 1 are exact")]
    fn nothing_known_without_a_trial() {
        assert_eq!(wilson95(0, 0), [0.0, 1.0]);
    }

    proptest::proptest! {
        #[test]
        fn holds_the_share(trials in 1usize..5000, part in 0.0f64..=1.0) {
            let hits = (part * trials as f64).round() as usize;
            let [lower, upper] = wilson95(hits, trials);
            let share = hits as f64 / trials as f64;
            proptest::prop_assert!(0.0 <= lower && lower <= share && share <= upper && upper <= 1.0);
        }
    }
}
