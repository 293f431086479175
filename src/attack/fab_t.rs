//! FAB towards one class at a time.

use serde::{Deserialize, Serialize};

use super::{Attack, Fab, Family, Gradient, Target, checks};
use crate::error::Result;

/// FAB-T: [`Fab`] against the boundary to one class at a time, for models of many classes.
///
/// # Threat model
/// White box (gradients). Minimal norm: l1, l2, linf; the budget plays no part. Untargeted; towards a target it is
/// [`Fab`].
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// The 9 classes with the largest logits at the clean input, the label excepted, and what [`Fab`] has.
///
/// # Queries per sample
/// At most 1 + `final_steps` forward, and per step of each restart and class 2 forward and 1 backward.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Croce & Hein 2020, <https://arxiv.org/abs/2003.01690>, section 5, and <https://arxiv.org/abs/1907.02044>.
///
/// # Differences
/// As in [`Fab`]. Any wrong class is a success, whichever class a step was to lead to. A model of fewer classes has fewer
/// to go through.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FabT {
    /// How many classes to go through.
    pub targets: usize,
    /// Steps per restart and class.
    pub steps: usize,
    /// How often to begin with each class.
    pub restarts: usize,
    /// The most that a step is drawn towards the projection of the clean input, from 0 to 1.
    pub alpha_max: f64,
    /// How far beyond the linearised boundary a step goes: 1 is up to it.
    pub eta: f64,
    /// The share of the perturbation that is left after a success.
    pub beta: f64,
    /// Steps of the final search between the best point and the clean input.
    pub final_steps: usize,
}

impl Default for FabT {
    fn default() -> Self {
        let Fab { steps, restarts, alpha_max, eta, beta, final_steps } = Fab::default();
        Self { targets: 9, steps, restarts, alpha_max, eta, beta, final_steps }
    }
}

impl FabT {
    fn fab(&self) -> Fab {
        let Self { targets: _, steps, restarts, alpha_max, eta, beta, final_steps } = *self;
        Fab { steps, restarts, alpha_max, eta, beta, final_steps }
    }
}

impl Attack for FabT {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "fab-t"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("targets", self.targets)?;
        self.fab().validate()
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        self.fab().search(target, Some(self.targets))
    }
}
