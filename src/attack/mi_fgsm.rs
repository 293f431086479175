//! Momentum iterative FGSM and its relatives, made for points that fool other models too.

use serde::{Deserialize, Serialize};

use super::ascent::{Ascent, check_step, own_aims, step_size};
use super::diversity::Diversity;
use super::kernel::Kernel;
use super::source::Source;
use super::{Attack, Gradient, Target, checks};
use crate::error::{Error, Result};
use crate::grid::Grid;
use crate::loss::{LossKind, check_classes};
use crate::model::ModelInfo;

/// MI-FGSM: steps along an accumulated gradient. Its relatives are settings, and go together.
///
/// | attack | settings |
/// |---|---|
/// | NI-FGSM | `nesterov=true` |
/// | DI-FGSM | `diversity=0.5` |
/// | TI-FGSM | `kernel=gaussian` |
/// | VMI-FGSM | `neighbours=20` |
/// | VNI-FGSM | `neighbours=20,nesterov=true` |
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted and targeted.
///
/// # Shapes
/// Any; `diversity` and `kernel` need images.
///
/// # Defaults
/// 10 steps of eps / 10 on cross-entropy from the clean input, `momentum` 1; a broken sample stops at once: for points that
/// shall fool other models, `early_stop=false`. What goes with a relative has its paper's default: `resize` 0.9,
/// `kernel_size` 15, `reach` 1.5.
///
/// # Queries per sample
/// At most `steps` + 1 forward and `steps` backward, and with `neighbours` that many gradients more for every step but the
/// last. The last forward query is at the last iterate.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Dong et al. 2018, <https://arxiv.org/abs/1710.06081>, algorithm 1. NI: Lin et al. 2020,
/// <https://arxiv.org/abs/1908.06281>, equations 6 and 7. DI: Xie et al. 2019, <https://arxiv.org/abs/1803.06978>, section
/// 3.3. TI: Dong et al. 2019, <https://arxiv.org/abs/1904.02884>, section 3.3. VMI and VNI: Wang & He 2021,
/// <https://arxiv.org/abs/2103.15571>, algorithm 1.
///
/// # Differences
/// Those of [`Pgd`](super::Pgd). NI: the look-ahead takes gradients divided by their mean absolute value, as in the authors'
/// code, in L2 and L1 scaled to a step's size; it is projected into the region. DI: the paper enlarges 299 pixels to 299 up
/// to 330 of an image of 330; here the image keeps its size and what it shows shrinks, bilinearly, to a share from
/// `resize` to 1 of it. VMI: points nearby are moved into bounds and mask, not into the ball of eps; for VNI they surround
/// the iterate, as in the authors' code.
/// With any of these but TI, the points that gradients are asked at are not the iterates: of those, the last counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MiFgsm {
    /// Steps.
    pub steps: usize,
    /// The step in the units of the data. Where features have budgets of their own, that of the largest one.
    pub step: Option<f64>,
    /// The step as a share of eps, in place of `step`; 1 / `steps` when neither is given.
    pub rel_step: Option<f64>,
    /// The decay of the accumulated gradient, each of whose terms is divided by its L1 norm, from 0 (none) to 1.
    pub momentum: f64,
    /// Whether gradients are taken where the accumulated one would lead.
    pub nesterov: bool,
    /// The probability with which an input is shrunk and padded before its gradient is taken; the paper takes 0.5.
    pub diversity: f64,
    /// The smallest size that it is shrunk to, as a share of its own.
    pub resize: f64,
    /// What gradients are convolved with.
    pub kernel: Kernel,
    /// The kernel's side in pixels, an odd number.
    pub kernel_size: usize,
    /// How many random points nearby tell by how much gradients vary; the paper takes 20.
    pub neighbours: usize,
    /// How far away they are at most, as a multiple of eps.
    pub reach: f64,
    /// The loss to maximise.
    pub loss: LossKind,
    /// Whether a sample is done once it is broken. Without it, the closest success is kept.
    pub early_stop: bool,
}

impl Default for MiFgsm {
    fn default() -> Self {
        Self {
            steps: 10,
            step: None,
            rel_step: None,
            momentum: 1.0,
            nesterov: false,
            diversity: 0.0,
            resize: 0.9,
            kernel: Kernel::None,
            kernel_size: 15,
            neighbours: 0,
            reach: 1.5,
            loss: LossKind::CrossEntropy,
            early_stop: true,
        }
    }
}

impl Attack for MiFgsm {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "mi-fgsm"
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("steps", self.steps)?;
        check_step(self.step, self.rel_step)?;
        for (field, share) in
            [("momentum", self.momentum), ("diversity", self.diversity), ("resize", self.resize)]
        {
            checks::share(field, share)?;
        }
        checks::positive("reach", self.reach)?;
        if self.nesterov && self.momentum <= 0.0 {
            let expected = "expected a number above 0: `nesterov` looks where it leads";
            return Err(Error::parameter("momentum", self.momentum, expected));
        }
        if self.kernel_size.is_multiple_of(2) {
            return Err(Error::parameter(
                "kernel_size",
                self.kernel_size,
                "expected an odd number",
            ));
        }
        Ok(())
    }

    fn loss(&self) -> Option<&LossKind> {
        Some(&self.loss)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        check_classes(&*self.loss.loss(), model.classes)?;
        let expected =
            || format!("it needs images, the model's samples have the shape {:?}", model.shape);
        let is_image = Grid::new(&model.shape).rows > 1;
        if self.diversity > 0.0 && !is_image {
            return Err(Error::parameter("diversity", self.diversity, expected()));
        }
        if self.kernel != Kernel::None && !is_image {
            let kernel = format!("{:?}", self.kernel).to_lowercase();
            return Err(Error::parameter("kernel", kernel, expected()));
        }
        Ok(())
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let diversity = Diversity { probability: self.diversity, smallest: self.resize };
        let step = step_size(self.step, self.rel_step, 1.0 / self.steps as f64);
        let ascent = Ascent {
            momentum: self.momentum,
            nesterov: self.nesterov,
            source: Source {
                diversity: (self.diversity > 0.0).then_some(diversity),
                neighbours: self.neighbours,
                reach: self.reach,
                ..Source::default()
            },
            smoothing: self.kernel.smoothing(self.kernel_size),
            early_stop: self.early_stop,
            ..Ascent::plain(self.steps, step)
        };
        ascent.run(target, 0, &own_aims(target), &self.loss.loss())
    }
}
