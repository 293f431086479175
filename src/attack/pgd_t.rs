//! Targeted PGD: one run towards each of the likeliest other classes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ascent::{Ascent, check_step, step_size};
use super::difference::LogitDifference;
use super::ranks::Ranks;
use super::source::Source;
use super::{Attack, Gradient, Target, checks};
use crate::error::Result;
use crate::loss::Loss;

/// Multi-targeted PGD: [`Pgd`](super::Pgd) towards one class after the other, until the sample is broken.
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted: the targets are the other
/// classes of the largest logits at the clean input, and any wrong class is a success. Targeted: the aim's target alone.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 40 steps of 0.1 eps up the logit of the target less the label's, towards each of 9 classes, from one random start
/// each, no momentum. `eot` and `odi` are those of PGD.
///
/// # Queries per sample
/// At most 1 forward for the ranking, and `classes` times `restarts` times what a run of PGD takes: 41 forward and 40
/// backward.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Gowal et al. 2019, <https://arxiv.org/abs/1910.09338>, section 4.
///
/// # Differences
/// Those of PGD, whose steps are along the sign, not Adam's, and of one length. Every class has its turn before the second
/// restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PgdT {
    /// Steps per target and restart.
    pub steps: usize,
    /// The step in the units of the data. Where features have budgets of their own, that of the largest one.
    pub step: Option<f64>,
    /// The step as a share of eps, in place of `step`; 0.1 when neither is given.
    pub rel_step: Option<f64>,
    /// How often to begin for each target.
    pub restarts: usize,
    /// How many classes to try.
    pub classes: usize,
    /// Steps of output-diversified initialisation.
    pub odi: usize,
    /// The decay of the accumulated gradient, each of whose terms is divided by its L1 norm, from 0 (none) to 1.
    pub momentum: f64,
    /// Gradients to average at each point, for models that answer at random.
    pub eot: usize,
}

impl Default for PgdT {
    fn default() -> Self {
        Self {
            steps: 40,
            step: None,
            rel_step: None,
            restarts: 1,
            classes: 9,
            odi: 0,
            momentum: 0.0,
            eot: 1,
        }
    }
}

impl Attack for PgdT {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "pgd-t"
    }

    fn validate(&self) -> Result<()> {
        for (field, count) in [
            ("steps", self.steps),
            ("restarts", self.restarts),
            ("classes", self.classes),
            ("eot", self.eot),
        ] {
            checks::at_least_one(field, count)?;
        }
        check_step(self.step, self.rel_step)?;
        checks::share("momentum", self.momentum)
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let ranks = Ranks::ask(target, self.classes)?;
        let loss: Arc<dyn Loss> = Arc::new(LogitDifference);
        let ascent = Ascent {
            random_start: true,
            odi: self.odi,
            momentum: self.momentum,
            source: Source { eot: self.eot, ..Source::default() },
            ..Ascent::plain(self.steps, step_size(self.step, self.rel_step, 0.1))
        };
        for restart in 0..self.restarts {
            for rank in 0..ranks.len() {
                let draw = restart * self.classes + rank;
                ascent.run(target, draw, &ranks.aims(target, rank), &loss)?;
            }
        }
        Ok(())
    }
}
