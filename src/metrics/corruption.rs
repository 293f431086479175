//! Errors on corrupted images, as Hendrycks & Dietterich 2019, <https://arxiv.org/abs/1903.12261>, sum them up.

/// Corruption error CE of one kind: the sum of the errors over its severities, divided by that of the baseline model.
///
/// Without a baseline, the mean of the errors. None without an error, for a baseline of another length, and for one that
/// makes no error.
///
/// ```
/// use ironbound::metrics::corruption_error;
/// assert_eq!(corruption_error(&[0.25, 0.5], Some(&[0.5, 1.0])), Some(0.5));
/// ```
#[must_use]
pub fn corruption_error(errors: &[f64], baseline: Option<&[f64]>) -> Option<f64> {
    relative_corruption_error(errors, 0.0, baseline.map(|errors| (errors, 0.0)))
}

/// Relative corruption error of one kind: the sum over its severities of what the errors exceed the `clean` error by,
/// divided by that of the baseline model (its errors, then its clean error).
///
/// Without a baseline, the mean of what they exceed it by. None without an error, for a baseline of another length, and
/// for one whose errors do not exceed its clean error.
#[must_use]
pub fn relative_corruption_error(
    errors: &[f64],
    clean: f64,
    baseline: Option<(&[f64], f64)>,
) -> Option<f64> {
    let sum = |errors: &[f64], clean: f64| errors.iter().map(|error| error - clean).sum::<f64>();
    let by = match baseline {
        None => errors.len() as f64,
        Some((other, clean)) if other.len() == errors.len() => sum(other, clean),
        Some(_) => return None,
    };
    (by > 0.0).then(|| sum(errors, clean) / by)
}

/// Mean corruption error mCE: the mean of the (relative) corruption errors of all kinds.
///
/// None without a kind, and when that of some kind is none.
#[must_use]
pub fn mean_corruption_error(kinds: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let all: Vec<f64> = kinds.into_iter().collect::<Option<_>>()?;
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    /// Two kinds at five severities, and a baseline; the sums are worked out by hand.
    const FOG: [f64; 5] = [0.1, 0.2, 0.3, 0.4, 0.5];
    const SNOW: [f64; 5] = [0.2, 0.2, 0.4, 0.6, 0.6];
    const BASELINE: [[f64; 5]; 2] = [[0.4, 0.5, 0.6, 0.7, 0.8], [0.5, 0.5, 0.5, 0.5, 0.5]];

    #[test]
    fn hand_computed_values() {
        let fog = corruption_error(&FOG, Some(&BASELINE[0]));
        let snow = corruption_error(&SNOW, Some(&BASELINE[1]));
        assert_relative_eq!(fog.unwrap(), 1.5 / 3.0, epsilon = 1e-12);
        assert_relative_eq!(snow.unwrap(), 2.0 / 2.5, epsilon = 1e-12);
        assert_relative_eq!(mean_corruption_error([fog, snow]).unwrap(), 0.65, epsilon = 1e-12);

        let fog = relative_corruption_error(&FOG, 0.05, Some((&BASELINE[0], 0.35)));
        let snow = relative_corruption_error(&SNOW, 0.05, Some((&BASELINE[1], 0.35)));
        assert_relative_eq!(fog.unwrap(), 1.25 / 1.25, epsilon = 1e-12);
        assert_relative_eq!(snow.unwrap(), 1.75 / 0.75, epsilon = 1e-12);
        assert_relative_eq!(
            mean_corruption_error([fog, snow]).unwrap(),
            5.0 / 3.0,
            epsilon = 1e-12
        );
    }

    #[test]
    fn without_a_baseline_they_are_means() {
        assert_relative_eq!(corruption_error(&FOG, None).unwrap(), 0.3, epsilon = 1e-12);
        let relative = relative_corruption_error(&SNOW, 0.1, None);
        assert_relative_eq!(relative.unwrap(), 0.3, epsilon = 1e-12);
    }

    #[test]
    fn what_has_no_meaning_is_none() {
        assert_eq!(corruption_error(&[], None), None);
        assert_eq!(corruption_error(&FOG, Some(&[0.5])), None);
        assert_eq!(corruption_error(&FOG, Some(&[0.0; 5])), None);
        assert_eq!(relative_corruption_error(&FOG, 0.1, Some((&[0.3; 5], 0.3))), None);
        assert_eq!(mean_corruption_error([Some(0.5), None]), None);
        assert_eq!(mean_corruption_error([]), None);
    }
}
