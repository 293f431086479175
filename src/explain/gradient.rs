//! The gradient itself, and the gradient times the input.

use serde::{Deserialize, Serialize};

use super::{Attribution, Explainer, Subject};
use crate::error::Result;

/// The gradient of the score: how fast it rises with each feature. Also called a saliency map.
///
/// # Defaults
/// None.
///
/// # Queries per sample
/// 1 forward and 1 backward.
///
/// # Errors
/// When the model cannot be run or differentiated.
///
/// # Reference
/// Simonyan et al. 2014, <https://arxiv.org/abs/1312.6034>, section 3.
///
/// # Differences
/// The sign is kept, and channels are not joined: the paper shows the largest absolute value over the channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputGradient {}

impl Explainer for InputGradient {
    fn id(&self) -> &'static str {
        "gradient"
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let mut values = vec![0.0; subject.input.len()];
        let here = |_, point: &mut [f32]| point.copy_from_slice(subject.input);
        subject.gradients(1, here, |_, gradient| {
            values.iter_mut().zip(gradient).for_each(|(value, g)| *value = f64::from(*g));
        })?;
        Ok(values.into())
    }
}

/// The gradient times the input: each feature's part of the score, were the model linear and without a bias.
///
/// # Defaults
/// None.
///
/// # Queries per sample
/// 1 forward and 1 backward.
///
/// # Errors
/// When the model cannot be run or differentiated.
///
/// # Reference
/// Shrikumar et al. 2016, <https://arxiv.org/abs/1605.01713>, as the baseline of their method.
///
/// # Differences
/// None.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientTimesInput {}

impl Explainer for GradientTimesInput {
    fn id(&self) -> &'static str {
        "gradient-x-input"
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let mut slopes = InputGradient {}.attribute(subject)?;
        slopes.values.iter_mut().zip(subject.input).for_each(|(value, x)| *value *= f64::from(*x));
        Ok(slopes)
    }
}
