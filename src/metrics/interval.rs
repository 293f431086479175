//! How sure a share of a finite sample is.

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

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
    }

    #[test]
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
