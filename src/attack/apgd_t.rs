//! Targeted Auto-PGD: one run towards each of the likeliest other classes.

use serde::{Deserialize, Serialize};

use super::auto_ascent::AutoAscent;
use super::ranks::Ranks;
use super::{Attack, Gradient, Target};
use crate::error::{Error, Result};
use crate::loss::{LossKind, check_classes};
use crate::model::ModelInfo;

/// Targeted APGD: [`Apgd`](super::Apgd) towards one class after the other, until the sample is broken.
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted: the targets are the other
/// classes of the largest logits at the clean input, and any wrong class is a success. Targeted: the aim's target alone.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 100 steps on the targeted DLR loss towards each of 9 classes, one restart, `rho` 0.75. The loss needs four classes;
/// for fewer, take `loss=margin`.
///
/// # Queries per sample
/// At most 1 forward for the ranking, and `classes` times `restarts` times what a run of APGD takes: 101 forward and 100
/// backward, in l1 103 forward.
///
/// # Errors
/// When the model cannot be differentiated or run, has fewer classes than the loss needs, or the run was cancelled.
///
/// # Reference
/// Croce & Hein 2020, <https://arxiv.org/abs/2003.01690>, section 4.2, equation 7; in l1 Croce & Hein 2021,
/// <https://arxiv.org/abs/2103.01208>, which take 5 classes.
///
/// # Differences
/// Those of APGD.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApgdT {
    /// Steps per target and restart.
    pub steps: usize,
    /// How often to begin for each target.
    pub restarts: usize,
    /// How many classes to try.
    pub classes: usize,
    /// The loss to maximise.
    pub loss: LossKind,
    /// The share of steps between two checkpoints that must raise the loss for the step size to stay, from 0 to 1.
    pub rho: f64,
    /// Gradients to average at each point, for models that answer at random.
    pub eot: usize,
}

impl Default for ApgdT {
    fn default() -> Self {
        let loss = LossKind::DlrTargeted;
        Self { steps: 100, restarts: 1, classes: 9, loss, rho: 0.75, eot: 1 }
    }
}

impl ApgdT {
    fn ascent(&self) -> AutoAscent<'_> {
        AutoAscent { loss: &self.loss, steps: self.steps, rho: self.rho, eot: self.eot }
    }
}

impl Attack for ApgdT {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "apgd-t"
    }

    fn validate(&self) -> Result<()> {
        if self.classes == 0 {
            return Err(Error::parameter("classes", 0, "expected 1 or more"));
        }
        self.ascent().validate(self.restarts)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        check_classes(&*self.loss.loss(), model.classes)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let ranks = Ranks::ask(target, self.classes)?;
        for rank in 0..ranks.len() {
            let aims = ranks.aims(target, rank);
            for restart in 0..self.restarts {
                self.ascent().run(target, rank * self.restarts + restart, &aims)?;
            }
        }
        Ok(())
    }
}
