//! One perturbation for all samples.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::prepare::{self, Prepared};
use super::{Attack, Blind, Gradient, Session, Target, checks};
use crate::error::Result;
use crate::loss::{Loss, LossKind};
use crate::model::LossGradient;
use crate::norm::Norm;
use crate::threat::{Region, StepSize};

/// The universal perturbation: steps on the mean loss of many samples, all moved by the same perturbation.
///
/// # Threat model
/// White box (gradients) while the perturbation is made, from the labelled samples of the data set; none when it is added to
/// a sample. Norms l2, linf; eps in the units of the model's input. Untargeted, or towards one class for all.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 20 passes over the first 1000 samples of the data set in batches of 64, steps of 0.1 eps, cross-entropy up to 9.
///
/// # Queries per sample
/// 1 forward. Making the perturbation takes `epochs` forward and backward passes for each of its samples, once per budget: the
/// report states them apart, and a query limit does not hold for them.
///
/// # Errors
/// For another goal, when the model cannot be run or differentiated, or the run was cancelled.
///
/// # Reference
/// Moosavi-Dezfooli et al. 2017, <https://arxiv.org/abs/1610.08401>; made by stochastic gradients as in Shafahi et al. 2020,
/// <https://arxiv.org/abs/1811.11304>, algorithm 1 with the clipped loss of section 3.
///
/// # Differences
/// Moosavi-Dezfooli et al. add up DeepFool's steps, sample by sample. The samples that it is made from are, unless `--offset`
/// says otherwise, among those that it is judged on: robust accuracy on unseen ones may be higher. A sample's result does not
/// depend on which part of the data set is evaluated.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Universal {
    /// Samples of the data set to make it from, the first ones.
    pub train: usize,
    /// Passes over them.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// The step, as a share of eps.
    pub rel_step: f64,
    /// The loss that is maximised.
    pub loss: LossKind,
    /// The loss of a sample beyond which it no longer counts.
    pub clip: f64,
}

impl Default for Universal {
    fn default() -> Self {
        let loss = LossKind::CrossEntropy;
        Self { train: 1000, epochs: 20, batch: 64, rel_step: 0.1, loss, clip: 9.0 }
    }
}

const ID: &str = "universal";

impl Attack for Universal {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        ID
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L2, Norm::Linf]
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("train", self.train)?;
        checks::at_least_one("epochs", self.epochs)?;
        checks::at_least_one("batch", self.batch)?;
        checks::positive("rel_step", self.rel_step)?;
        checks::positive("clip", self.clip)
    }

    fn loss(&self) -> Option<&LossKind> {
        Some(&self.loss)
    }

    fn prepare(&self, session: &Session<'_>) -> Result<Option<Prepared>> {
        prepare::from_data(session, ID, self.train, |target, slots| {
            Ok(Added { perturbation: self.craft(target, slots)? })
        })
    }

    /// Without a preparation, each sample is a data set of its own.
    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        (0..target.len()).try_for_each(|slot| {
            let perturbation = self.craft(target, &[slot])?;
            if !target.affords(slot, 1) {
                return Ok(());
            }
            let point = added(std::iter::once(target.region(slot)), &perturbation);
            target.submit(&[slot], &point)
        })
    }
}

impl Universal {
    /// The perturbation that these slots have in common.
    fn craft(&self, target: &mut Target<'_, Gradient>, slots: &[usize]) -> Result<Vec<f32>> {
        let loss: Arc<dyn Loss> = self.loss.loss();
        let origin = vec![0.0; target.features()];
        let mut perturbation = origin.clone();
        let Some(&first) = slots.first() else { return Ok(perturbation) };
        // The ball alone: samples that the box holds back hold back themselves only.
        let ball = target.region(first).ball_around(&origin);
        let (mut answer, mut sum) = (LossGradient::default(), vec![0.0_f64; origin.len()]);
        let batches = prepare::batches(target.seed(), ID, slots, (self.epochs, self.batch));
        for (_, mut slots) in batches {
            slots.retain(|&slot| target.affords(slot, 3));
            let points = added(slots.iter().map(|&slot| target.region(slot)), &perturbation);
            target.loss_and_gradient(&slots, &points, &loss, &mut answer)?;
            sum.fill(0.0);
            let rows = answer.gradient.chunks_exact(origin.len().max(1)).zip(&answer.loss);
            // Beyond the clip a sample is fooled well enough. What is not finite counts for nothing.
            let counted = rows.filter(|(_, loss)| f64::from(**loss) <= self.clip);
            for (gradient, _) in counted.filter(|(row, _)| row.iter().all(|g| g.is_finite())) {
                for (sum, g) in sum.iter_mut().zip(gradient) {
                    *sum += f64::from(*g);
                }
            }
            let largest = sum.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
            if largest > 0.0 {
                let ascent: Vec<f32> = sum.iter().map(|g| (g / largest) as f32).collect();
                ball.step(&mut perturbation, &ascent, StepSize::Relative(self.rel_step));
                ball.project(&mut perturbation);
            }
        }
        Ok(perturbation)
    }
}

/// The samples moved by the same perturbation, in their regions.
fn added<'a>(regions: impl Iterator<Item = Region<'a>>, perturbation: &[f32]) -> Vec<f32> {
    let mut points = vec![];
    for region in regions {
        let start = points.len();
        points.extend(region.clean.iter().zip(perturbation).map(|(x, by)| x + by));
        region.project(&mut points[start..]);
    }
    points
}

/// A perturbation that is there.
#[derive(Clone, Debug, Serialize)]
struct Added {
    perturbation: Vec<f32>,
}

impl Attack for Added {
    type Access = Blind;

    fn id(&self) -> &'static str {
        ID
    }

    fn validate(&self) -> Result<()> {
        Ok(())
    }

    fn run(&self, target: &mut Target<'_, Blind>) -> Result<()> {
        let mut slots: Vec<usize> = (0..target.len()).collect();
        target.retain_open(&mut slots);
        let points = added(slots.iter().map(|&slot| target.region(slot)), &self.perturbation);
        target.submit(&slots, &points)
    }
}
