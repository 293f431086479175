//! Projected gradient descent, with BIM and MI-FGSM as settings of it.

use serde::{Deserialize, Serialize};

use super::ascent::Ascent;
use super::{Attack, Gradient, Target};
use crate::error::{Error, Result};
use crate::loss::{LossKind, check_classes};
use crate::model::ModelInfo;
use crate::threat::StepSize;

/// PGD: repeated steps up the loss, each projected back into the region.
///
/// BIM is `random_start = false`; MI-FGSM is that with `momentum = 1.0`.
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 40 steps of 0.1 eps on cross-entropy from one random start, no momentum; a broken sample stops at once.
///
/// # Queries per sample
/// At most `restarts` times `steps` + 1 forward and `steps` backward. The last forward query is at the last iterate.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Madry et al. 2018, <https://arxiv.org/abs/1706.06083>, section 2.1; BIM is Kurakin et al. 2017,
/// <https://arxiv.org/abs/1607.02533>, section 2.2; MI-FGSM is Dong et al. 2018, <https://arxiv.org/abs/1710.06081>,
/// equations 6 and 7.
///
/// # Differences
/// The best iterate counts, not the last. The step is relative to eps by default (Madry et al. take 40 steps of 0.01 at
/// eps 0.3). sign(0) = 0. L2 steps along g / |g|, L1 along the steepest coordinates that the box does not block, and the L1
/// projection is Euclidean. Where the gradient is identically zero the step is random. Restarts after the first begin at
/// random points even if `random_start` is off and, with `early_stop`, go to unbroken samples only.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pgd {
    /// Steps per restart.
    pub steps: usize,
    /// The step in the units of the data. Where features have budgets of their own, that of the largest one.
    pub step: Option<f64>,
    /// The step as a share of eps, in place of `step`; 0.1 when neither is given.
    pub rel_step: Option<f64>,
    /// How often to begin.
    pub restarts: usize,
    /// Whether the first restart begins at a random point of the ball instead of the clean input.
    pub random_start: bool,
    /// The decay of the accumulated gradient, each of whose terms is divided by its L1 norm, from 0 (none) to 1.
    pub momentum: f64,
    /// The loss to maximise.
    pub loss: LossKind,
    /// Whether a sample is done once it is broken. Without it, the closest success is kept.
    pub early_stop: bool,
}

impl Default for Pgd {
    fn default() -> Self {
        Self {
            steps: 40,
            step: None,
            rel_step: None,
            restarts: 1,
            random_start: true,
            momentum: 0.0,
            loss: LossKind::CrossEntropy,
            early_stop: true,
        }
    }
}

impl Pgd {
    /// The step, once `step` and `rel_step` are reconciled.
    fn step_size(&self) -> StepSize {
        self.step.map_or(StepSize::Relative(self.rel_step.unwrap_or(0.1)), StepSize::Absolute)
    }
}

impl Attack for Pgd {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "pgd"
    }

    fn validate(&self) -> Result<()> {
        for (field, count) in [("steps", self.steps), ("restarts", self.restarts)] {
            if count == 0 {
                return Err(Error::parameter(field, count, "expected 1 or more"));
            }
        }
        if let (Some(step), Some(rel_step)) = (self.step, self.rel_step) {
            let expected = format!("`rel_step` is {rel_step} as well; give one of the two");
            return Err(Error::parameter("step", step, expected));
        }
        for (field, step) in [("step", self.step), ("rel_step", self.rel_step)] {
            if let Some(step) = step.filter(|step| !(step.is_finite() && *step > 0.0)) {
                return Err(Error::parameter(field, step, "expected a finite number > 0"));
            }
        }
        if (0.0..=1.0).contains(&self.momentum) {
            return Ok(());
        }
        Err(Error::parameter("momentum", self.momentum, "expected a number from 0 to 1"))
    }

    fn loss(&self) -> Option<&LossKind> {
        Some(&self.loss)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        check_classes(&*self.loss.loss(), model.classes)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let ascent = Ascent {
            loss: &self.loss,
            steps: self.steps,
            step: self.step_size(),
            restarts: self.restarts,
            random_start: self.random_start,
            momentum: self.momentum,
            early_stop: self.early_stop,
            ignore_box: false,
        };
        ascent.run(target)
    }
}
