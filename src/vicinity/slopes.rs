//! How steep a margin is.

use serde::{Deserialize, Serialize};

use super::builder::Around;
use crate::error::{Error, Result};

/// How steep the margin is around a sample: the size of its gradient in the dual norm, at the sample and at random points of the
/// region.
///
/// The largest is a lower bound of the margin's Lipschitz constant there. A margin divided by a *true* Lipschitz constant is a
/// radius within which the answer holds; divided by a lower bound of it, it is too large.
///
/// # Defaults
/// 1000 points.
///
/// # Queries per sample
/// `draws` + 1 forward and backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slopes {
    /// How many random points of the region to look at.
    pub draws: usize,
}

impl Default for Slopes {
    fn default() -> Self {
        Self { draws: 1000 }
    }
}

impl Slopes {
    /// Checks the number.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn validate(&self) -> Result<()> {
        if self.draws > 0 {
            Ok(())
        } else {
            Err(Error::parameter("draws", 0, "expected 1 or more"))
        }
    }
}

/// How steep the margin of one sample is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleSlopes {
    /// Its index in the data set.
    pub sample: usize,
    /// The true class.
    pub label: usize,
    /// The predicted class.
    pub prediction: usize,
    /// The predicted class's logit less the largest other.
    pub margin: f64,
    /// The size of the margin's gradient at the sample: how sensitive the answer is to the smallest changes.
    pub here: f64,
    /// The largest size at any point looked at: the margin's Lipschitz constant is this or more.
    pub steepest: f64,
}

pub(super) fn around(slopes: &Slopes, around: &Around<'_>) -> Result<SampleSlopes> {
    let subject = around.lead(None);
    let (mut here, mut steepest, mut steepness) = (0.0, 0.0_f64, around.steepness());
    let write = |number: usize, point: &mut [f32]| match number {
        0 => point.copy_from_slice(subject.input),
        _ => around.region.random_point(&mut subject.stream("slopes", number), point),
    };
    subject.gradients(slopes.draws + 1, write, |number, gradient| {
        let size = steepness(gradient);
        if number == 0 {
            here = size;
        }
        steepest = steepest.max(size);
    })?;
    let (sample, label, prediction) = (around.sample, around.label, around.prediction);
    let margin = subject.score_of(&around.logits);
    Ok(SampleSlopes { sample, label, prediction, margin, here, steepest })
}
