//! When enough is known.

use serde::{Deserialize, Serialize};

use super::part::Part;
use super::results::{Fate, Row};
use crate::error::{Error, Result};
use crate::metrics::{clopper_pearson, worst_case};
use crate::threat::Threat;

/// The error that all looks together may make.
const ALPHA: f64 = 0.05;
/// Samples before the first look.
const FIRST: usize = 64;

/// When an evaluation may end before its last sample: it takes the samples in a random order, keyed by the seed, and looks after 64 of
/// them, then each time that half as many more are done.
///
/// Each look gives the worst case under each threat an exact (Clopper-Pearson) interval. The k-th of them may miss with
/// probability 0.05 / (k (k + 1)), so that all looks together hold with 95 %, wherever the run stops.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopping {
    /// Once no interval is wider than this share.
    Width(f64),
    /// Once it is known on which side of this share the worst case under the largest budget of each norm lies: below under
    /// one of them, or at least there under all.
    Gate(f64),
}

/// How an evaluation came to its end that was to stop as soon as enough was known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// When it was to stop.
    pub rule: Stopping,
    /// Why it stopped; null when it went on to the last sample.
    pub reason: Option<String>,
    /// How many samples were done.
    pub samples: usize,
    /// How many times it was looked.
    pub looks: usize,
    /// The worst case under each threat, in the order of [`Report::worst_case`](crate::Report::worst_case): the interval of its robust
    /// accuracy at the last look, which holds with 95 % for all looks together.
    pub intervals: Vec<[f64; 2]>,
}

impl Stopping {
    /// # Errors
    /// [`Error::Parameter`].
    pub(super) fn validate(self) -> Result<()> {
        let (field, share) = match self {
            Self::Width(width) => ("stopping width", width),
            Self::Gate(gate) => ("stopping gate", gate),
        };
        if share > 0.0 && share < 1.0 {
            return Ok(());
        }
        Err(Error::parameter(field, share, "expected a share between 0 and 1, such as 0.05"))
    }

    /// How many of `samples` samples are done at each look.
    pub(super) fn looks(samples: usize) -> Vec<usize> {
        let next = |done: &usize| (*done < samples).then(|| samples.min(done + done.div_ceil(2)));
        std::iter::successors(Some(FIRST.min(samples)), next).collect()
    }

    /// The `look`-th look, from 1, at what is done.
    pub(super) fn look(self, look: usize, counts: &[Case<'_>]) -> Stopped {
        let confidence = 1.0 - ALPHA / (look * (look + 1)) as f64;
        let interval = |case: &Case<'_>| clopper_pearson(case.robust, case.samples, confidence);
        let intervals: Vec<_> = counts.iter().map(interval).collect();
        let samples = counts.first().map_or(0, |case| case.samples);
        let reason = self.reason(counts, &intervals);
        Stopped { rule: self, reason, samples, looks: look, intervals }
    }

    fn reason(self, counts: &[Case<'_>], intervals: &[[f64; 2]]) -> Option<String> {
        match self {
            Self::Width(most) => intervals
                .iter()
                .all(|[lower, upper]| upper - lower <= most)
                .then(|| format!("every interval is at most {:.2} points wide", 100.0 * most)),
            Self::Gate(gate) => {
                let of = counts.iter().zip(intervals).filter(|(case, _)| case.is_largest(counts));
                let of: Vec<_> = of.collect();
                let percent = 100.0 * gate;
                if let Some((case, _)) = of.iter().find(|(_, [_, upper])| *upper < gate) {
                    let Threat { norm, budget, transformation, .. } = case.threat;
                    let threat = transformation
                        .clone()
                        .unwrap_or_else(|| format!("{norm} {}", budget.largest()));
                    return Some(format!(
                        "robust accuracy within {threat} is below {percent:.2} %"
                    ));
                }
                let above = of.iter().all(|(_, [lower, _])| *lower >= gate);
                above.then(|| format!("no robust accuracy is below {percent:.2} %"))
            }
        }
    }
}

/// The worst case under one threat.
#[derive(Clone, Debug)]
pub(super) struct Case<'a> {
    threat: &'a Threat,
    robust: usize,
    samples: usize,
}

impl<'a> Case<'a> {
    /// Those of what is done, in the order of the rows.
    pub(super) fn all(done: &'a Part) -> Vec<Self> {
        let mut cases: Vec<Self> = vec![];
        for Row { threat, .. } in &done.rows {
            if cases.iter().any(|case| case.threat == threat) {
                continue;
            }
            let rows = done.rows.iter().filter(|row| row.threat == *threat);
            let fates: Vec<_> = rows.map(Row::fates).collect();
            let fates = worst_case(&fates.iter().map(|row| &row[..]).collect::<Vec<_>>());
            let robust = fates.iter().filter(|fate| **fate == Fate::Robust).count();
            cases.push(Self { threat, robust, samples: fates.len() });
        }
        cases
    }

    /// Whether no other budget of its norm is larger; a transformation has none.
    fn is_largest(&self, all: &[Self]) -> bool {
        let larger = |other: &Self| {
            other.threat.transformation.is_none()
                && other.threat.norm == self.threat.norm
                && other.threat.budget.largest() > self.threat.budget.largest()
        };
        self.threat.transformation.is_some() || !all.iter().any(larger)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::norm::Norm;
    use crate::rng;

    #[test]
    fn looks_come_each_half_as_many_more() {
        assert_eq!(Stopping::looks(400), [64, 96, 144, 216, 324, 400]);
        assert_eq!(Stopping::looks(64), [64]);
        assert_eq!(Stopping::looks(10), [10]);
    }

    /// The shares of errors are 1/2, 1/6, 1/12, ... of 5 %: together no more than that.
    #[test]
    fn all_looks_together_miss_no_more_than_they_may() {
        let all: f64 = (1..10_000).map(|look| ALPHA / f64::from(look * (look + 1))).sum();
        assert!(all < ALPHA && all > 0.999 * ALPHA);
        let threat = Threat::new(Norm::Linf, 0.1);
        let case = |robust, samples| Case { threat: &threat, robust, samples };
        // scipy.stats.binomtest(80, 100).proportion_ci(1 - 0.05 / 6, "exact")
        let [lower, upper] = Stopping::Width(0.3).look(2, &[case(80, 100)]).intervals[0];
        assert!(
            (lower - 0.675_743_603_8).abs() < 1e-9 && (upper - 0.893_341_695_5).abs() < 1e-9,
            "{lower} {upper}"
        );
    }

    /// Of many runs that look until the end, no more than 5 % see an interval that misses.
    #[test]
    fn the_intervals_hold_at_every_look() {
        let threat = Threat::new(Norm::Linf, 0.1);
        for share in [0.1, 0.5, 0.85] {
            let runs = 1000;
            let misses = (0..runs).filter(|&run| {
                let mut draws = rng::stream(5, "stopping test", run, 0);
                let (mut robust, mut samples) = (0, 0);
                Stopping::looks(1500).into_iter().enumerate().any(|(at, done)| {
                    while samples < done {
                        robust += usize::from(draws.random_bool(share));
                        samples += 1;
                    }
                    let case = Case { threat: &threat, robust, samples };
                    let [lower, upper] = Stopping::Width(0.1).look(at + 1, &[case]).intervals[0];
                    !(lower..=upper).contains(&share)
                })
            });
            let misses = misses.count();
            assert!(misses <= runs / 20, "{misses} of {runs} at {share}");
        }
    }

    #[test]
    fn a_gate_is_decided_by_the_largest_budgets_alone() {
        let [small, large, other] =
            [(Norm::Linf, 0.1), (Norm::Linf, 0.2), (Norm::L2, 1.0)].map(|(n, e)| Threat::new(n, e));
        let reason = |robust: [usize; 3]| {
            let cases = [&small, &large, &other].into_iter().zip(robust);
            let cases: Vec<_> =
                cases.map(|(threat, robust)| Case { threat, robust, samples: 200 }).collect();
            Stopping::Gate(0.5).look(1, &cases).reason
        };
        assert_eq!(reason([10, 160, 160]).unwrap(), "no robust accuracy is below 50.00 %");
        assert_eq!(reason([190, 160, 20]).unwrap(), "robust accuracy within l2 1 is below 50.00 %");
        assert_eq!(reason([190, 160, 100]), None);
    }
}
