//! The losses that an attacker maximises, per sample, over logits.

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::goal::Aim;

/// A per-sample objective over logits that the attacker *maximises*.
///
/// Implement it for an objective of your own: the crate differentiates the model up to the logits and
/// asks the loss for the rest.
pub trait Loss: Debug + Send + Sync {
    /// The name that reports print.
    fn name(&self) -> &str;

    /// The loss at one sample's logits; writes d loss / d logits into `gradient` (same length).
    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32;
}

/// The losses that come with the crate, and the place for one's own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LossKind {
    /// [`CrossEntropy`].
    #[default]
    CrossEntropy,
    /// [`Margin`].
    Margin,
    /// A loss of one's own.
    #[serde(skip)]
    Custom(Arc<dyn Loss>),
}

impl LossKind {
    /// The loss itself.
    #[must_use]
    pub fn loss(&self) -> Arc<dyn Loss> {
        match self {
            Self::CrossEntropy => Arc::new(CrossEntropy),
            Self::Margin => Arc::new(Margin),
            Self::Custom(loss) => Arc::clone(loss),
        }
    }
}

/// Cross-entropy from logits by log-sum-exp: `lse(z) - z_label`; towards a target, `z_target - lse(z)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropy;

impl Loss for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let sum: f32 = logits.iter().map(|z| (z - largest).exp()).sum();
        let (pivot, sign) = aim.target.map_or((aim.label, 1.0), |target| (target, -1.0));
        for (g, z) in gradient.iter_mut().zip(logits) {
            *g = sign * (z - largest).exp() / sum;
        }
        gradient[pivot] -= sign;
        sign * (sum.ln() - (logits[pivot] - largest))
    }
}

/// The C&W margin: largest other logit minus the label's; towards a target, the target's minus the largest other.
///
/// Carlini & Wagner 2017, f6, <https://doi.org/10.1109/SP.2017.49>. The first maximum takes the gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Margin;

impl Loss for Margin {
    fn name(&self) -> &'static str {
        "margin"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let (pivot, sign) = aim.target.map_or((aim.label, 1.0), |target| (target, -1.0));
        let mut rival = usize::from(pivot == 0);
        for (class, z) in logits.iter().enumerate() {
            if class != pivot && *z > logits[rival] {
                rival = class;
            }
        }
        gradient.fill(0.0);
        gradient[rival] = sign;
        gradient[pivot] = -sign;
        sign * (logits[rival] - logits[pivot])
    }
}
