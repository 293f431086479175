//! How far samples are from being broken, where some were not.

use super::interval::Z;

/// One sample's distance: that at which it was broken, or up to which it was not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// The size of the smallest perturbation that breaks the sample; the largest budget that did not, where none did.
    pub distance: f64,
    /// Whether the sample was broken. One that was not is censored: its distance is larger than `distance`, by how much
    /// nobody knows.
    pub broken: bool,
}

/// One step of a [`Survival`] curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// A distance at which samples were broken.
    pub distance: f64,
    /// The share of samples that need more than it.
    pub share: f64,
    /// Its 95 % interval: log(-log) by Greenwood's formula; [0, 1] where the share is 0 or 1.
    pub interval: [f64; 2],
}

/// The distribution of the smallest perturbations that break: the share of samples that withstand each size, by Kaplan and
/// Meier, which takes for a censored sample neither 0 nor its last budget.
///
/// Kaplan & Meier 1958, <https://doi.org/10.1080/01621459.1958.10501452>: the product over the distances d(i) of
/// `1 - broken at d(i) / not broken below d(i)`.
///
/// # Example
/// ```
/// use ironbound::metrics::{Observed, Survival};
/// let at = |distance, broken| Observed { distance, broken };
/// let curve = Survival::of(&[at(0.1, true), at(0.3, true), at(0.5, false), at(0.5, false)]);
/// assert_eq!(curve.quantile(0.5), Some(0.3));
/// assert_eq!(curve.quantile(0.9), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survival {
    /// Ascending distances, descending shares. Before the first the share is 1.
    pub steps: Vec<Step>,
}

impl Survival {
    /// The curve of some samples; those whose distance is NaN are left out.
    #[must_use]
    pub fn of(samples: &[Observed]) -> Self {
        let mut sorted: Vec<_> =
            samples.iter().filter(|of| !of.distance.is_nan()).copied().collect();
        sorted.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        let (mut steps, mut share, mut greenwood) = (vec![], 1.0, 0.0);
        let mut left = sorted.len();
        for ties in sorted.chunk_by(|a, b| a.distance.total_cmp(&b.distance).is_eq()) {
            let broken = ties.iter().filter(|of| of.broken).count();
            if broken > 0 {
                let (broken, at_risk) = (broken as f64, left as f64);
                share *= 1.0 - broken / at_risk;
                greenwood += broken / (at_risk * (at_risk - broken));
                let interval = interval(share, greenwood);
                steps.push(Step { distance: ties[0].distance, share, interval });
            }
            left -= ties.len();
        }
        Self { steps }
    }

    /// The distance that a share `q` of the samples is broken within; none when it is not known, as fewer were.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        // One rounding error of the product must not move a quantile to the next sample.
        let within = |step: &&Step| step.share <= 1.0 - q + 1e-12;
        self.steps.iter().find(within).map(|step| step.distance)
    }
}

fn interval(share: f64, greenwood: f64) -> [f64; 2] {
    if share <= 0.0 || share >= 1.0 {
        return [0.0, 1.0];
    }
    let log = share.ln();
    let half = Z * greenwood.sqrt() / log.abs();
    [share.powf(half.exp()), share.powf((-half).exp())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_censoring_it_is_the_share_that_is_left() {
        let samples: Vec<_> =
            [0.4, 0.1, 0.2, 0.2].map(|distance| Observed { distance, broken: true }).to_vec();
        let curve = Survival::of(&samples);
        let steps: Vec<_> = curve.steps.iter().map(|step| (step.distance, step.share)).collect();
        assert_eq!(steps, [(0.1, 0.75), (0.2, 0.25), (0.4, 0.0)]);
        assert_eq!(
            [0.25, 0.5, 0.75, 1.0].map(|q| curve.quantile(q)),
            [0.1, 0.2, 0.2, 0.4].map(Some)
        );
    }

    #[test]
    fn nothing_broken_has_no_quantile() {
        let censored = Observed { distance: 1.0, broken: false };
        let curve = Survival::of(&[censored; 3]);
        assert_eq!((curve.quantile(0.5), curve.steps.len()), (None, 0));
        assert_eq!(Survival::of(&[]).quantile(0.5), None);
    }
}
