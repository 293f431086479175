//! Accuracy against budget, in one number.

/// The area under the curve of robust accuracy against budget, divided by the largest budget: the mean robust accuracy up to
/// it, in [0, 1].
///
/// `points` are (eps, robust accuracy) in any order; the clean accuracy belongs to them, at eps 0. Between two points the
/// accuracy counts as linear (trapezoids); before the first one as that of the first. None without a finite budget above 0.
///
/// # Example
/// ```
/// use ironbound::metrics::area_under_curve;
/// assert_eq!(area_under_curve(&[(0.0, 1.0), (0.5, 0.5), (1.0, 0.5)]), Some(0.625));
/// ```
#[must_use]
pub fn area_under_curve(points: &[(f64, f64)]) -> Option<f64> {
    let mut sorted: Vec<_> = points.iter().filter(|(eps, _)| eps.is_finite()).copied().collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (&(first, start), &(largest, _)) = (sorted.first()?, sorted.last()?);
    if largest <= 0.0 {
        return None;
    }
    let trapezoid =
        |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1);
    Some((first * start + sorted.windows(2).map(trapezoid).sum::<f64>()) / largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_lines() {
        assert_eq!(area_under_curve(&[(0.0, 1.0), (2.0, 0.0)]), Some(0.5));
        assert_eq!(area_under_curve(&[(2.0, 0.25)]), Some(0.25));
        assert_eq!(area_under_curve(&[(4.0, 0.0), (0.0, 0.8), (1.0, 0.8)]), Some(0.5));
    }

    #[test]
    fn none_without_a_budget() {
        assert_eq!(area_under_curve(&[]), None);
        assert_eq!(area_under_curve(&[(0.0, 1.0)]), None);
        assert_eq!(area_under_curve(&[(f64::INFINITY, 1.0)]), None);
    }
}
