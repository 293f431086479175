//! `SmoothGrad`.

use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Attribution, Explainer, Subject};
use crate::error::{Error, Result};

/// `SmoothGrad`: the mean gradient among copies of the sample with normal noise, which is less ragged than the gradient itself.
///
/// # Defaults
/// 50 draws whose standard deviation is 15 % of the sample's range (its largest value less its smallest): the paper takes
/// 10 to 20 %, and sees little change beyond 50 draws.
///
/// # Queries per sample
/// `draws` forward and backward.
///
/// # Errors
/// When the model cannot be run or differentiated.
///
/// # Reference
/// Smilkov et al. 2017, <https://arxiv.org/abs/1706.03825>, section 2.
///
/// # Differences
/// None. The noisy copies are not clipped to the range of the data, as in the paper. Of a sample whose values are all equal
/// the range is 0, and the map is the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothGrad {
    /// The standard deviation of the noise, as a share of the sample's range.
    pub noise: f64,
    /// How many noisy copies.
    pub draws: usize,
}

impl Default for SmoothGrad {
    fn default() -> Self {
        Self { noise: 0.15, draws: 50 }
    }
}

impl Explainer for SmoothGrad {
    fn id(&self) -> &'static str {
        "smoothgrad"
    }

    fn validate(&self) -> Result<()> {
        if self.draws == 0 {
            return Err(Error::parameter("draws", 0, "expected 1 or more"));
        }
        if self.noise.is_finite() && self.noise >= 0.0 {
            return Ok(());
        }
        Err(Error::parameter("noise", self.noise, "expected a finite number >= 0"))
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let input = subject.input;
        let ends = input
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
        let deviation = self.noise * (f64::from(ends.1) - f64::from(ends.0)).max(0.0);
        let mut values = vec![0.0; input.len()];
        let write = |draw: usize, point: &mut [f32]| {
            let mut stream = subject.stream(self.id(), draw);
            for (noisy, x) in point.iter_mut().zip(input) {
                let noise: f64 = StandardNormal.sample(&mut stream);
                *noisy = (f64::from(*x) + deviation * noise) as f32;
            }
        };
        subject.gradients(self.draws, write, |_, gradient| {
            values.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += f64::from(*g));
        })?;
        values.iter_mut().for_each(|sum| *sum /= self.draws as f64);
        Ok(values.into())
    }
}
