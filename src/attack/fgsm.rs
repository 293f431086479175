//! The fast gradient sign method and its L2 and L1 forms.

use serde::{Deserialize, Serialize};

use super::ascent::{Ascent, own_aims};
use super::{Attack, Gradient, Target};
use crate::error::{Error, Result};
use crate::loss::{LossKind, check_classes};
use crate::model::ModelInfo;
use crate::threat::StepSize;

/// FGSM: one step up the loss, to the edge of the ball.
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// Cross-entropy, from the clean input, a step of eps.
///
/// # Queries per sample
/// At most 2 forward and 1 backward: the gradient, then the point that it leads to.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Goodfellow et al. 2015, <https://arxiv.org/abs/1412.6572>, section 4; the step after a random start is Wong et al. 2020,
/// <https://arxiv.org/abs/2001.03994>, algorithm 3.
///
/// # Differences
/// sign(0) = 0. L2 steps along g / |g|. L1 moves the steepest coordinate, and once that meets its bound spends the rest of
/// the step on the next; peers leave the rest unspent, which is `ignore_box`. Where the gradient is identically zero the step is random. Wong et al. draw each feature from the ball as here, and step by
/// 1.25 eps: set `rel_step` to 1.25.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fgsm {
    /// The loss to maximise.
    pub loss: LossKind,
    /// Whether to begin at a random point of the ball instead of the clean input.
    pub random_start: bool,
    /// The step as a share of eps.
    pub rel_step: f64,
    /// Whether the L1 step is the steepest coordinate's alone, whatever the box leaves of it.
    pub ignore_box: bool,
}

impl Default for Fgsm {
    fn default() -> Self {
        Self { loss: LossKind::CrossEntropy, random_start: false, rel_step: 1.0, ignore_box: false }
    }
}

impl Attack for Fgsm {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "fgsm"
    }

    fn validate(&self) -> Result<()> {
        if self.rel_step.is_finite() && self.rel_step > 0.0 {
            return Ok(());
        }
        Err(Error::parameter("rel_step", self.rel_step, "expected a finite number > 0"))
    }

    fn loss(&self) -> Option<&LossKind> {
        Some(&self.loss)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        check_classes(&*self.loss.loss(), model.classes)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let ascent = Ascent {
            random_start: self.random_start,
            ignore_box: self.ignore_box,
            ..Ascent::plain(1, StepSize::Relative(self.rel_step))
        };
        ascent.run(target, 0, &own_aims(target), &self.loss.loss())
    }
}
