//! The judge: nothing counts that it has not seen for itself.

use crate::error::{Error, Result};
use crate::goal::{Aim, argmax, confidence};
use crate::model::{Batch, Classifier, expect_len};
use crate::norm::Sizes;
use crate::ssim::ssim;
use crate::threat::Region;

use super::results::Adversarial;

/// Runs the plain forward model on one sample at a time, as a deployed model would.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    pub(super) model: &'a dyn Classifier,
}

impl Judge<'_> {
    /// The logits of `point`, which belongs to sample `sample` of the data set.
    ///
    /// # Errors
    /// When the model cannot be run, or [`Error::NonFiniteLogit`].
    pub(super) fn logits(&self, sample: usize, point: &[f32]) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(self.model.classes());
        let row = Batch { inputs: point, samples: &[sample] };
        self.model.logits_alone(row, &mut logits)?;
        expect_len(self.model, "logits", logits.len(), self.model.classes())?;
        match logits.iter().position(|z| !z.is_finite()) {
            Some(class) => Err(Error::NonFiniteLogit { sample, class, value: logits[class] }),
            None => Ok(logits),
        }
    }

    /// The adversarial point that a proposal holds once it is moved into the region; none when it holds none.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub(super) fn verify(
        &self,
        sample: usize,
        region: Region<'_>,
        aim: Aim,
        mut point: Vec<f32>,
    ) -> Result<Option<Adversarial>> {
        // A projection of a NaN, or of another shape, is no point at all.
        if point.len() != region.clean.len() || point.iter().any(|value| !value.is_finite()) {
            return Ok(None);
        }
        region.project(&mut point);
        region.realise(&mut point);
        let Ok(distance) = region.check(&point) else { return Ok(None) };
        let logits = self.logits(sample, &point)?;
        let shape = &self.model.info().shape;
        Ok(aim.is_met(&logits).then(|| Adversarial {
            distance,
            sizes: Sizes::of(region.clean, &point),
            ssim: region.range().and_then(|range| ssim(region.clean, &point, shape, range)),
            point: point.into(),
            prediction: argmax(&logits),
            confidence: confidence(&logits),
            member: None,
            change: None,
        }))
    }
}
