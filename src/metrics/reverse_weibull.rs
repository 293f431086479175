//! The distribution of the largest of many bounded numbers.

/// A reverse Weibull distribution: `F(x) = exp(-((location - x) / scale)^shape)` below `location`, the largest number that can
/// occur.
///
/// It is what the largest of many draws tends to where draws cannot exceed some number (Fisher & Tippett 1928,
/// <https://doi.org/10.1017/S0305004100015681>).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseWeibull {
    /// The largest number that can occur.
    pub location: f64,
    /// How far below it numbers are, about.
    pub scale: f64,
    /// How numbers spread below it: the larger, the more alike they are.
    pub shape: f64,
}

/// The locations that are tried lie above the largest value by its distance from the smallest, times e to the power of these.
const POWERS: (f64, f64) = (-9.0, 7.0);
/// How many of them are tried, before what is between the best and its neighbours.
const TRIED: usize = 129;
/// How often to narrow that down, to 0.618 of what it was.
const NARROWED: usize = 60;

impl ReverseWeibull {
    /// The distribution that makes the values likeliest, among those whose density has no pole (shape 1 or more): beside a pole
    /// any values are as likely as one likes. None where the likelihood has no maximum: of fewer than three values, of values
    /// that are all alike, and where it rises with the location for ever.
    ///
    /// # Example
    /// ```
    /// use ironbound::metrics::ReverseWeibull;
    /// let of = ReverseWeibull { location: 5.0, scale: 1.0, shape: 3.0 };
    /// let values: Vec<f64> = (1..400).map(|i| of.quantile(f64::from(i) / 400.0)).collect();
    /// let found = ReverseWeibull::fit(&values).unwrap();
    /// assert!((found.location - 5.0).abs() < 0.05 && (found.shape - 3.0).abs() < 0.2);
    /// assert_eq!(ReverseWeibull::fit(&[2.0; 10]), None);
    /// ```
    #[must_use]
    pub fn fit(values: &[f64]) -> Option<Self> {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let width = most - least;
        if values.len() < 3 || !width.is_finite() || width <= 1e-9 * most.abs() {
            return None;
        }
        let at = |power: f64| Self::at(most + width * power.exp(), values);
        let step = (POWERS.1 - POWERS.0) / (TRIED - 1) as f64;
        let tried: Vec<_> = (0..TRIED)
            .map(|i| at(POWERS.0 + i as f64 * step))
            .map(|of| of.map(|of| of.0))
            .collect();
        let peak = |i: &usize| match tried[i - 1..=i + 1] {
            [Some(left), Some(here), Some(right)] => here >= left && here > right,
            _ => false,
        };
        let best = (1..TRIED - 1).filter(peak).max_by(|&a, &b| {
            tried[a].unwrap_or(f64::MIN).total_cmp(&tried[b].unwrap_or(f64::MIN))
        })?;
        let middle = POWERS.0 + best as f64 * step;
        let power = golden_section(middle - step, middle + step, |power| {
            at(power).map_or(f64::NEG_INFINITY, |of| of.0)
        });
        at(power).map(|(_, found)| found)
    }

    /// The likeliest distribution with this location, and how likely: the log-likelihood. None below shape 1.
    fn at(location: f64, values: &[f64]) -> Option<(f64, Self)> {
        let n = values.len() as f64;
        let mean = values.iter().map(|x| location - x).sum::<f64>() / n;
        let logs: Vec<f64> = values.iter().map(|x| ((location - x) / mean).ln()).collect();
        let mean_log = logs.iter().sum::<f64>() / n;
        let moments = |shape: f64| {
            logs.iter().fold((0.0, 0.0), |(sum, weighted), log| {
                let power = (shape * log).exp();
                (sum + power, weighted + power * log)
            })
        };
        // Zero at the likeliest shape, below it negative.
        let slope = |shape: f64| {
            let (sum, weighted) = moments(shape);
            weighted / sum - shape.recip() - mean_log
        };
        if slope(1.0) > 0.0 {
            return None;
        }
        let (mut below, mut above) = (1.0, 2.0);
        while slope(above) < 0.0 {
            (below, above) = (above, 2.0 * above);
            if above > 1e9 {
                return None;
            }
        }
        for _ in 0..60 {
            let shape = f64::midpoint(below, above);
            if slope(shape) < 0.0 {
                below = shape;
            } else {
                above = shape;
            }
        }
        let shape = f64::midpoint(below, above);
        let scale = mean * (moments(shape).0 / n).powf(shape.recip());
        let likelihood = n * (shape.ln() - mean.ln() - shape * (scale / mean).ln() - 1.0)
            + (shape - 1.0) * logs.iter().sum::<f64>();
        Some((likelihood, Self { location, scale, shape }))
    }

    /// The share of numbers that are no larger than `x`.
    #[must_use]
    pub fn share(&self, x: f64) -> f64 {
        let below = (self.location - x) / self.scale;
        if below <= 0.0 { 1.0 } else { (-below.powf(self.shape)).exp() }
    }

    /// The number that a share `q` of the numbers, above 0 and below 1, does not exceed.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        self.location - self.scale * (-q.ln()).powf(self.shape.recip())
    }

    /// How far the distribution of the values is from this one at the most: Kolmogorov and Smirnov's statistic, from 0 to 1.
    #[must_use]
    pub fn distance(&self, values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let apart = |(i, x): (usize, &f64)| {
            let share = self.share(*x);
            ((i + 1) as f64 / n - share).max(share - i as f64 / n)
        };
        sorted.iter().enumerate().map(apart).fold(0.0, f64::max)
    }
}

/// Where a function with one peak between two numbers is largest.
fn golden_section(mut from: f64, mut to: f64, of: impl Fn(f64) -> f64) -> f64 {
    let share = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = (to - share * (to - from), from + share * (to - from));
    let (mut at_a, mut at_b) = (of(a), of(b));
    for _ in 0..NARROWED {
        if at_a >= at_b {
            (to, b, at_b) = (b, a, at_a);
            a = to - share * (to - from);
            at_a = of(a);
        } else {
            (from, a, at_a) = (a, b, at_b);
            b = from + share * (to - from);
            at_b = of(b);
        }
    }
    f64::midpoint(from, to)
}
