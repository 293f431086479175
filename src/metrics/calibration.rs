//! Whether a model is as right as it is sure.

/// The expected calibration error: samples are put into `bins` equal bins of confidence, and the differences between mean
/// confidence and accuracy of each are averaged, weighted by the number of samples in it.
///
/// `samples` are (confidence in [0, 1], whether the prediction is right). A bin holds its upper end, as in the source, which
/// uses 15 bins. None without a sample or a bin.
///
/// Guo et al. 2017, <https://arxiv.org/abs/1706.04599>, equation 3.
///
/// # Example
/// ```
/// use ironbound::metrics::expected_calibration_error;
/// let sure_and_half_right = [(0.9, true), (0.9, false)];
/// let ece = expected_calibration_error(&sure_and_half_right, 15).unwrap();
/// assert!((ece - 0.4).abs() < 1e-12);
/// ```
#[must_use]
pub fn expected_calibration_error(samples: &[(f64, bool)], bins: usize) -> Option<f64> {
    if samples.is_empty() || bins == 0 {
        return None;
    }
    let mut excess = vec![0.0; bins];
    for (confidence, right) in samples {
        let bin = (confidence * bins as f64).ceil() as usize;
        excess[bin.clamp(1, bins) - 1] += confidence - f64::from(u8::from(*right));
    }
    Some(excess.iter().map(|excess| excess.abs()).sum::<f64>() / samples.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        // Bins (0, 0.5] and (0.5, 1]: |0.9 - 1| and |2.4 - 1| of four samples.
        let samples = [(0.4, false), (0.5, true), (0.6, true), (1.0, false), (0.8, false)];
        let two = expected_calibration_error(&samples, 2).unwrap();
        assert!((two - (0.1 + 1.4) / 5.0).abs() < 1e-12, "{two}");
        // In one bin errors cancel.
        let one = expected_calibration_error(&samples, 1).unwrap();
        assert!((one - 1.3 / 5.0).abs() < 1e-12, "{one}");
    }

    #[test]
    fn of_nothing_is_nothing() {
        assert_eq!(expected_calibration_error(&[], 15), None);
        assert_eq!(expected_calibration_error(&[(0.5, true)], 0), None);
    }
}
