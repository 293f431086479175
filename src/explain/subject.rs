//! The score of one sample, and its gradient anywhere.

use std::sync::Arc;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::goal::Aim;
use crate::loss::Loss;
use crate::model::{Batch, Classifier, LossGradient, expect_len};
use crate::rng::{self, Stream};

/// How many values to hand to the model at once, about; a single point may have more.
const VALUES: usize = 1 << 21;
/// How many points to hand to the model at once, at the most.
const POINTS: usize = 64;

/// One sample and the score of a class: a function of its features.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    pub(crate) model: &'a dyn Classifier,
    /// Its value, aimed so, is the score.
    pub(crate) loss: Arc<dyn Loss>,
    pub(crate) aim: Aim,
    /// The sample's features, in the order of the model's input.
    pub input: &'a [f32],
    /// Its index in the data set.
    pub sample: usize,
    pub(crate) seed: u64,
    pub(crate) cancel: &'a Cancel,
}

impl Subject<'_> {
    /// The shape of the sample.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.model.info().shape
    }

    /// The stream of the sample's draws of that name and number.
    #[must_use]
    pub fn stream(&self, name: &str, draw: usize) -> Stream {
        rng::stream(self.seed, name, self.sample, draw)
    }

    /// The score that logits mean.
    #[must_use]
    pub fn score_of(&self, logits: &[f32]) -> f64 {
        f64::from(self.loss.value_and_gradient(logits, self.aim, &mut vec![0.0; logits.len()]))
    }

    /// The score at `count` points: `write` fills the point of each number, `take` is told the score there, in order.
    ///
    /// # Errors
    /// When the model cannot be run, [`Error::NonFiniteLogit`], or when the run was cancelled.
    pub fn scores(
        &self,
        count: usize,
        write: impl FnMut(usize, &mut [f32]),
        mut take: impl FnMut(usize, f64),
    ) -> Result<()> {
        let (classes, mut logits) = (self.model.classes(), vec![]);
        self.batches(count, write, |first, batch| {
            self.model.logits(batch, &mut logits)?;
            expect_len(self.model, "logits", logits.len(), batch.samples.len() * classes)?;
            for (row, logits) in logits.chunks_exact(classes).enumerate() {
                self.expect_finite(logits)?;
                take(first + row, self.score_of(logits));
            }
            Ok(())
        })
    }

    /// The score's gradient at `count` points: `write` fills the point of each number, `take` is told the gradient there, in
    /// order.
    ///
    /// # Errors
    /// When the model cannot be run or differentiated, [`Error::NonFiniteLogit`], [`Error::NonFiniteGradient`], or when the
    /// run was cancelled.
    pub fn gradients(
        &self,
        count: usize,
        write: impl FnMut(usize, &mut [f32]),
        mut take: impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        let (features, classes) = (self.input.len(), self.model.classes());
        let (mut out, mut aims) = (LossGradient::default(), vec![]);
        self.batches(count, write, |first, batch| {
            aims.resize(batch.samples.len(), self.aim);
            self.model.loss_and_gradient(batch, &aims, &self.loss, &mut out)?;
            expect_len(self.model, "gradient", out.gradient.len(), batch.inputs.len())?;
            out.logits.chunks_exact(classes).try_for_each(|logits| self.expect_finite(logits))?;
            for (row, gradient) in out.gradient.chunks_exact(features).enumerate() {
                if let Some(feature) = gradient.iter().position(|g| !g.is_finite()) {
                    let (sample, value) = (self.sample, gradient[feature]);
                    return Err(Error::NonFiniteGradient { sample, feature, value });
                }
                take(first + row, gradient);
            }
            Ok(())
        })
    }

    /// Fills points and runs them, as many together as memory and the model like: what comes of one does not depend on it.
    fn batches(
        &self,
        count: usize,
        mut write: impl FnMut(usize, &mut [f32]),
        mut run: impl FnMut(usize, Batch<'_>) -> Result<()>,
    ) -> Result<()> {
        let features = self.input.len();
        let together =
            (VALUES / features.max(1)).clamp(1, POINTS).max(self.model.preferred_batch());
        let mut points = vec![0.0; together.min(count) * features];
        let samples = vec![self.sample; together.min(count)];
        for first in (0..count).step_by(together) {
            self.cancel.check()?;
            let rows = together.min(count - first);
            for (row, point) in points.chunks_exact_mut(features).take(rows).enumerate() {
                write(first + row, point);
            }
            run(first, Batch { inputs: &points[..rows * features], samples: &samples[..rows] })?;
        }
        Ok(())
    }

    fn expect_finite(&self, logits: &[f32]) -> Result<()> {
        match logits.iter().position(|z| !z.is_finite()) {
            Some(class) => {
                Err(Error::NonFiniteLogit { sample: self.sample, class, value: logits[class] })
            }
            None => Ok(()),
        }
    }
}
