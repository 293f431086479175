//! Auto-PGD: projected gradient descent that finds its step size itself.

use serde::{Deserialize, Serialize};

use super::ascent::own_aims;
use super::auto_ascent::AutoAscent;
use super::{Attack, Gradient, Target};
use crate::error::Result;
use crate::loss::{LossKind, check_classes};
use crate::model::ModelInfo;

/// APGD: steps with momentum, halved at checkpoints where the loss no longer rises, each time from the best point.
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 100 steps on cross-entropy from one random start, `rho` 0.75; a broken sample stops at once. `loss=dlr` is the paper's
/// other loss and needs three classes.
///
/// # Queries per sample
/// At most `restarts` times `steps` + 1 forward and `steps` backward, in l1 `steps` + 3 forward; `eot` times as many
/// gradients. The last forward query is at the last iterate.
///
/// # Errors
/// When the model cannot be differentiated or run, has fewer classes than the loss needs, or the run was cancelled.
///
/// # Reference
/// Croce & Hein 2020, <https://arxiv.org/abs/2003.01690>, algorithm 1 with its first step of 2 eps, momentum of 0.75,
/// checkpoints and conditions for halving; in l1 Croce & Hein 2021, <https://arxiv.org/abs/2103.01208>: sparse steps of
/// eps without momentum, projected onto ball and box at once, after 30 % of the steps in the ball of 3 eps and 30 % in that
/// of 2 eps. The points of the larger balls are asked about and count as queries, not as successes.
///
/// # Differences
/// Random starts are uniform in the ball, in linf too (the authors' code scales them to its surface). sign(0) = 0. Where
/// the gradient is identically zero the step is random. A return to the best point takes its known gradient along, so it
/// costs no query. In l1 coordinates that the box blocks do not count among those of a step, whose number is rounded down
/// so that it comes to one; a sample whose query limit does not allow the whole run stays in the ball of eps. The paper's
/// l1 run has five restarts: `restarts=5`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Apgd {
    /// Steps per restart.
    pub steps: usize,
    /// How often to begin.
    pub restarts: usize,
    /// The loss to maximise.
    pub loss: LossKind,
    /// The share of steps between two checkpoints that must raise the loss for the step size to stay, from 0 to 1.
    pub rho: f64,
    /// Gradients to average at each point, for models that answer at random.
    pub eot: usize,
}

impl Default for Apgd {
    fn default() -> Self {
        Self { steps: 100, restarts: 1, loss: LossKind::CrossEntropy, rho: 0.75, eot: 1 }
    }
}

impl Apgd {
    fn ascent(&self) -> AutoAscent<'_> {
        AutoAscent { loss: &self.loss, steps: self.steps, rho: self.rho, eot: self.eot }
    }
}

impl Attack for Apgd {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "apgd"
    }

    fn validate(&self) -> Result<()> {
        self.ascent().validate(self.restarts)
    }

    fn loss(&self) -> Option<&LossKind> {
        Some(&self.loss)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        check_classes(&*self.loss.loss(), model.classes)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let aims = own_aims(target);
        (0..self.restarts).try_for_each(|restart| self.ascent().run(target, restart, &aims))
    }
}
