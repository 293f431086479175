//! How large the successful perturbations are.

use serde::{Deserialize, Serialize};

/// Mean, median and maximum of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The arithmetic mean.
    pub mean: f64,
    /// The middle value; the mean of the middle two when there is an even number of them.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

/// Mean, median and maximum; none of nothing (never 0: an attack that found nothing has no distance).
///
/// The sum runs in the order given.
#[must_use]
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let max = *sorted.last()?;
    let (half, mean) = (sorted.len() / 2, values.iter().sum::<f64>() / values.len() as f64);
    let median = if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        f64::midpoint(sorted[half - 1], sorted[half])
    };
    Some(Spread { mean, median, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_is_nothing() {
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn of_an_odd_and_an_even_number() {
        let odd = spread(&[4.0, 1.0, 1.0]).unwrap();
        assert_eq!(odd, Spread { mean: 2.0, median: 1.0, max: 4.0 });
        let even = spread(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(even, Spread { mean: 2.5, median: 2.5, max: 4.0 });
    }
}
