//! Projected gradient descent, with BIM and MI-FGSM as settings of it.

use serde::{Deserialize, Serialize};

use super::ascent::{Ascent, check_step, own_aims, step_size};
use super::source::Source;
use super::{Attack, Gradient, Target, checks};
use crate::error::Result;
use crate::loss::{LossKind, check_classes, several};
use crate::model::ModelInfo;

/// PGD: repeated steps up the loss, each projected back into the region.
///
/// BIM is `random_start = false`; MI-FGSM is that with `momentum = 1.0`, and [`MiFgsm`](super::MiFgsm) has its relatives.
/// With several `losses` each restart climbs the next, on the samples that those before left unbroken; on a command line
/// `losses=cross-entropy+margin+dlr`.
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 40 steps of 0.1 eps on cross-entropy from one random start, no momentum; a broken sample stops at once. Off are
/// `eot`, which averages that many gradients per step for models that answer at random, and `odi`, for which the paper
/// takes 2 steps.
///
/// # Queries per sample
/// At most `restarts`, times the number of `losses`, times `steps` + 1 forward and `steps` backward; `eot` times as many
/// gradients, and one gradient more per step of `odi`. The last forward query is at the last iterate.
///
/// # Errors
/// When the model cannot be differentiated or run, has fewer classes than a loss needs, or the run was cancelled.
///
/// # Reference
/// Madry et al. 2018, <https://arxiv.org/abs/1706.06083>, section 2.1; BIM is Kurakin et al. 2017,
/// <https://arxiv.org/abs/1607.02533>, section 2.2; MI-FGSM is Dong et al. 2018, <https://arxiv.org/abs/1710.06081>,
/// equations 6 and 7; `eot` is Athalye et al. 2018, <https://arxiv.org/abs/1802.00420>, section 4.2; `odi` is
/// output-diversified initialisation, Tashiro et al. 2020, <https://arxiv.org/abs/2003.06878>, section 3.2, who go on with
/// steps of 0.25 eps: it begins at the ball's edge, and shorter steps may not lead across.
///
/// # Differences
/// The best iterate counts, not the last. The step is relative to eps by default (Madry et al. take 40 steps of 0.01 at
/// eps 0.3). sign(0) = 0. L2 steps along g / |g|, L1 along the steepest coordinates that the box does not block, and the L1
/// projection is Euclidean. Where the gradient is identically zero the step is random. Restarts after the first begin at
/// random points even if `random_start` is off and, with `early_stop`, go to unbroken samples only. Steps of `odi` have
/// the length eps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pgd {
    /// Steps per restart.
    pub steps: usize,
    /// The step in the units of the data. Where features have budgets of their own, that of the largest one.
    pub step: Option<f64>,
    /// The step as a share of eps, in place of `step`; 0.1 when neither is given.
    pub rel_step: Option<f64>,
    /// How often to begin with each loss.
    pub restarts: usize,
    /// Whether the first restart begins at a random point of the ball instead of the clean input.
    pub random_start: bool,
    /// Steps from there up a random weighted sum of the logits.
    pub odi: usize,
    /// The decay of the accumulated gradient, each of whose terms is divided by its L1 norm, from 0 (none) to 1.
    pub momentum: f64,
    /// The loss to maximise.
    pub loss: LossKind,
    /// The losses to maximise one after the other, in place of `loss`.
    #[serde(deserialize_with = "several")]
    pub losses: Vec<LossKind>,
    /// Gradients to average at each point.
    pub eot: usize,
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
            odi: 0,
            momentum: 0.0,
            loss: LossKind::CrossEntropy,
            losses: vec![],
            eot: 1,
            early_stop: true,
        }
    }
}

impl Pgd {
    /// The losses to maximise, at least one.
    fn climbed(&self) -> &[LossKind] {
        if self.losses.is_empty() { std::slice::from_ref(&self.loss) } else { &self.losses }
    }
}

impl Attack for Pgd {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "pgd"
    }

    fn validate(&self) -> Result<()> {
        for (field, count) in
            [("steps", self.steps), ("restarts", self.restarts), ("eot", self.eot)]
        {
            checks::at_least_one(field, count)?;
        }
        check_step(self.step, self.rel_step)?;
        checks::share("momentum", self.momentum)
    }

    fn loss(&self) -> Option<&LossKind> {
        self.climbed().first()
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        self.climbed().iter().try_for_each(|loss| check_classes(&*loss.loss(), model.classes))
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let aims = own_aims(target);
        for restart in 0..self.restarts {
            let ascent = Ascent {
                random_start: self.random_start || restart > 0,
                odi: self.odi,
                momentum: self.momentum,
                source: Source { eot: self.eot, ..Source::default() },
                early_stop: self.early_stop,
                ..Ascent::plain(self.steps, step_size(self.step, self.rel_step, 0.1))
            };
            for (at, loss) in self.climbed().iter().enumerate() {
                ascent.run(target, restart * self.climbed().len() + at, &aims, &loss.loss())?;
            }
        }
        Ok(())
    }
}
