//! Quantiles of whole numbers and of distances.

/// The smallest of the values that at least a share `q` of them, and at least one, do not exceed; none of nothing.
///
/// It is always one of the values: the inverse of their empirical distribution (definition 1 of Hyndman & Fan 1996,
/// <https://doi.org/10.2307/2684934>).
///
/// # Example
/// ```
/// use ironbound::metrics::quantile;
/// assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.0));
/// assert_eq!(quantile(&[], 0.5), None);
/// ```
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // One rounding error of the product must not move a quantile to the next value.
    let rank = (q * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted.get(rank.min(sorted.len()).checked_sub(1)?).copied()
}
