//! Whether some groups of samples fare worse than others.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Of a group of samples, how many hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Samples that hold.
    pub hits: usize,
    /// All samples of the group.
    pub samples: usize,
}

/// The chi-squared test of homogeneity: do groups differ by more than chance?
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disparity {
    /// Pearson's statistic.
    pub statistic: f64,
    /// How likely a statistic at least as large is, when all groups are alike.
    pub p: f64,
    /// Whether the test can be relied on: every expected count is 5 or more.
    pub reliable: bool,
}

/// Tests whether the shares of hits differ between groups. None unless two groups have samples and there are both hits and
/// misses: nothing can differ then.
///
/// Pearson 1900; `sum (observed - expected)^2 / expected` over hits and misses of every group, against the chi-squared
/// distribution with one degree of freedom fewer than groups. Without Yates' correction.
#[must_use]
pub fn disparity(groups: &[Group]) -> Option<Disparity> {
    let groups: Vec<_> = groups.iter().filter(|group| group.samples > 0).collect();
    let samples: usize = groups.iter().map(|group| group.samples).sum();
    let hits: usize = groups.iter().map(|group| group.hits).sum();
    if groups.len() < 2 || hits == 0 || hits >= samples {
        return None;
    }
    let share = hits as f64 / samples as f64;
    let (mut statistic, mut least) = (0.0, f64::INFINITY);
    for group in &groups {
        let (size, hits) = (group.samples as f64, group.hits as f64);
        for (observed, expected) in [(hits, size * share), (size - hits, size * (1.0 - share))] {
            statistic += (observed - expected).powi(2) / expected;
            least = least.min(expected);
        }
    }
    let chi = ChiSquared::new((groups.len() - 1) as f64).ok()?;
    Some(Disparity { statistic, p: chi.sf(statistic), reliable: least >= 5.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_where_nothing_can_differ() {
        let group = |hits, samples| Group { hits, samples };
        assert_eq!(disparity(&[]), None);
        assert_eq!(disparity(&[group(3, 5), group(0, 0)]), None);
        assert_eq!(disparity(&[group(5, 5), group(7, 7)]), None);
        assert_eq!(disparity(&[group(0, 5), group(0, 7)]), None);
        let found = disparity(&[group(1, 2), group(1, 2)]).unwrap();
        assert!(found.statistic.abs() < 1e-12 && !found.reliable);
    }
}
