//! Natural evolution strategies: PGD along a gradient estimated from scores.

use serde::{Deserialize, Serialize};

use super::estimate::{Directions, Estimator};
use super::{Attack, Score, Target};
use crate::error::{Error, Result};
use crate::loss::{LossKind, check_classes};
use crate::model::ModelInfo;
use crate::threat::StepSize;

/// NES: steps along a gradient estimated from the loss at pairs of points around the iterate.
///
/// # Threat model
/// Score-based (logits, no gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 100 steps of 0.2 eps on cross-entropy from the clean input, each along an estimate from 25 pairs of points with normal
/// directions of deviation `sigma` 0.001, in the units of the model's input.
///
/// # Queries per sample
/// At most `steps` times twice `pairs`, and 1, forward; a sample stops after the estimate that broke it.
///
/// # Errors
/// When the model cannot be run, has fewer classes than the loss needs, or the run was cancelled.
///
/// # Reference
/// Ilyas et al. 2018, <https://arxiv.org/abs/1804.08598>, sections 2.2 and 2.3.
///
/// # Differences
/// The paper steps by 0.01 at eps 0.05 and goes on for up to a million queries. The points of a pair are moved into the
/// region, so that each can be a success; where they were outside, the estimate is smaller. l1 and l2 step as
/// [`Pgd`](super::Pgd) does. The attacks of the paper for partial information and for labels only are not part of it.
/// Where the data have levels or groups, they are a step or a switch from the middle at least.
///
/// # Strength
/// On linear models of 8 to 200 features it succeeds within 1.1 (l1), 1.05 (l2) and 1.3 (linf) times the smallest
/// perturbation: in linf a small slope's sign is lost in the estimate. `pairs=100` or `steps=400,rel_step=0.05` bring that to
/// 1.1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nes {
    /// Steps.
    pub steps: usize,
    /// The step as a share of eps.
    pub rel_step: f64,
    /// The deviation of the points around the iterate.
    pub sigma: f64,
    /// Pairs of points per estimate.
    pub pairs: usize,
    /// The loss to maximise.
    pub loss: LossKind,
}

impl Default for Nes {
    fn default() -> Self {
        Self { steps: 100, rel_step: 0.2, sigma: 0.001, pairs: 25, loss: LossKind::CrossEntropy }
    }
}

impl Attack for Nes {
    type Access = Score;

    fn id(&self) -> &'static str {
        "nes"
    }

    fn validate(&self) -> Result<()> {
        for (field, count) in [("steps", self.steps), ("pairs", self.pairs)] {
            if count == 0 {
                return Err(Error::parameter(field, count, "expected 1 or more"));
            }
        }
        for (field, size) in [("rel_step", self.rel_step), ("sigma", self.sigma)] {
            if !(size.is_finite() && size > 0.0) {
                return Err(Error::parameter(field, size, "expected a finite number > 0"));
            }
        }
        Ok(())
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        check_classes(&*self.loss.loss(), model.classes)
    }

    fn run(&self, target: &mut Target<'_, Score>) -> Result<()> {
        let estimator = Estimator {
            loss: &self.loss,
            directions: Directions::Normal,
            width: self.sigma,
            pairs: self.pairs,
        };
        estimator.climb(target, self.steps, |target, slot, (): &mut (), gradient, point| {
            target.region(slot).step(point, gradient, StepSize::Relative(self.rel_step));
        })
    }
}
