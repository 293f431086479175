//! Two models, or two attacks, on the same samples.

use rand_distr::{Binomial, Distribution};

use crate::binomial::tail;
use crate::rng;

/// How many samples came out how under two of anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paired {
    /// Samples that hold under both.
    pub both: usize,
    /// Samples that hold under the first only.
    pub lost: usize,
    /// Samples that hold under the second only.
    pub gained: usize,
    /// Samples that hold under neither.
    pub neither: usize,
}

/// How often the samples are drawn anew for [`Paired::interval95`].
const RESAMPLES: usize = 10_000;

impl Paired {
    /// Counts the samples, of which each has an outcome under the first and the second.
    #[must_use]
    pub fn of(outcomes: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut paired = Self::default();
        for outcome in outcomes {
            *match outcome {
                (true, true) => &mut paired.both,
                (true, false) => &mut paired.lost,
                (false, true) => &mut paired.gained,
                (false, false) => &mut paired.neither,
            } += 1;
        }
        paired
    }

    /// All samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.both + self.lost + self.gained + self.neither
    }

    /// The share that holds under the second less that under the first; none without a sample.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        let samples = self.samples();
        (samples > 0).then(|| (self.gained as f64 - self.lost as f64) / samples as f64)
    }

    /// Of the samples that hold under either, the share that holds under both: Jaccard's index, 1 where the two agree wholly
    /// and 0 where they have none in common. None when no sample holds under either.
    #[must_use]
    pub fn jaccard(&self) -> Option<f64> {
        let either = self.both + self.lost + self.gained;
        (either > 0).then(|| self.both as f64 / either as f64)
    }

    /// McNemar's exact test, two-sided: how likely a split of the samples that the two disagree on is, that is at least as
    /// uneven, when neither is better. 1 when they agree on all.
    ///
    /// Twice the smaller tail of Binomial(lost + gained, 1/2), at most 1.
    ///
    /// McNemar 1947, <https://doi.org/10.1007/BF02295996>.
    ///
    /// # Example
    /// ```
    /// use ironbound::metrics::Paired;
    /// let paired = Paired { both: 80, lost: 6, gained: 0, neither: 14 };
    /// assert!((paired.mcnemar() - 2.0 / 64.0).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn mcnemar(&self) -> f64 {
        let more = self.lost.max(self.gained);
        (2.0 * tail(more, self.lost + self.gained, 0.5)).min(1.0)
    }

    /// A 95 % bootstrap interval of [`difference`](Self::difference): between the 2.5 % and the 97.5 % quantile of the
    /// differences of 10 000 draws of as many samples with replacement. [-1, 1] without a sample.
    ///
    /// The draws are keyed by `seed`. The interval is empty where the two agree on all samples.
    ///
    /// Efron 1979, <https://doi.org/10.1214/aos/1176344552>.
    #[must_use]
    pub fn interval95(&self, seed: u64) -> [f64; 2] {
        let samples = self.samples() as u64;
        if samples == 0 {
            return [-1.0, 1.0];
        }
        let mut stream = rng::stream(seed, "bootstrap", 0, 0);
        let mut draw = |of: u64, share: f64| {
            Binomial::new(of, share.clamp(0.0, 1.0))
                .map_or(0, |binomial| binomial.sample(&mut stream))
        };
        // The counts of draws with replacement are multinomial: one binomial after the other.
        let lost = self.lost as f64 / samples as f64;
        let gained = self.gained as f64 / (samples - self.lost as u64).max(1) as f64;
        let mut differences: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let lost = draw(samples, lost);
                let gained = draw(samples - lost, gained);
                (gained as f64 - lost as f64) / samples as f64
            })
            .collect();
        differences.sort_by(f64::total_cmp);
        let cut = RESAMPLES / 40;
        [differences[cut], differences[RESAMPLES - 1 - cut]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_outcome() {
        let paired = Paired::of([(true, true), (true, false), (false, true), (true, false)]);
        assert_eq!(paired, Paired { both: 1, lost: 2, gained: 1, neither: 0 });
        assert_eq!(paired.difference(), Some(-0.25));
        assert_eq!(Paired::default().difference(), None);
        assert_eq!((paired.jaccard(), Paired::default().jaccard()), (Some(0.25), None));
    }

    /// The bootstrap's spread is that of the multinomial: variance (p + q - (p - q)^2) / n.
    #[test]
    fn the_bootstrap_spreads_as_the_counts_do() {
        for (both, lost, gained, neither) in
            [(700, 100, 50, 150), (0, 300, 700, 0), (9000, 40, 60, 900)]
        {
            let paired = Paired { both, lost, gained, neither };
            let n = paired.samples() as f64;
            let (p, q) = (gained as f64 / n, lost as f64 / n);
            let half = 1.96 * ((p + q - (p - q).powi(2)) / n).sqrt();
            let [lower, upper] = paired.interval95(0);
            assert!((lower - (p - q - half)).abs() < 0.1 * half, "{paired:?}: {lower}");
            assert!((upper - (p - q + half)).abs() < 0.1 * half, "{paired:?}: {upper}");
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the same draws give the same bits")]
    fn the_bootstrap_repeats_and_ends() {
        let paired = Paired { both: 5, lost: 2, gained: 1, neither: 2 };
        assert_eq!(paired.interval95(3), paired.interval95(3));
        assert_eq!(Paired::default().interval95(0), [-1.0, 1.0]);
        assert_eq!(Paired { both: 4, ..Paired::default() }.interval95(0), [0.0, 0.0]);
        assert_eq!(Paired { lost: 4, ..Paired::default() }.interval95(0), [-1.0, -1.0]);
    }
}
