//! The judge: nothing counts that it has not seen for itself.

use crate::error::{Error, Result};
use crate::goal::{Aim, argmax, confidence};
use crate::model::{Batch, Classifier, expect_len};
use crate::norm::Sizes;
use crate::ssim::ssim;
use crate::threat::Region;

use super::results::Adversarial;

/// Asks the plain forward model, as a deployed one answers: for each sample alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    pub(super) model: &'a dyn Classifier,
}

/// What is to be judged of one sample.
#[derive(Debug)]
pub(super) struct Proposal<'a> {
    /// The sample's index in the data set.
    pub(super) sample: usize,
    pub(super) region: Region<'a>,
    pub(super) aim: Aim,
    /// None: nothing was found.
    pub(super) point: Option<Vec<f32>>,
}

impl Proposal<'_> {
    /// Moves the point into the region, and says how far from the sample it is then; none where that leads to no point.
    fn place(&mut self) -> Option<f64> {
        let (region, point) = (&self.region, self.point.as_mut()?);
        // A projection of a NaN, or of another shape, is no point at all.
        if point.len() != region.clean.len() || point.iter().any(|value| !value.is_finite()) {
            return None;
        }
        region.project(point);
        region.realise(point);
        region.check(point).ok()
    }
}

impl Judge<'_> {
    /// The logits of `point`, which belongs to sample `sample` of the data set.
    ///
    /// # Errors
    /// When the model cannot be run, or [`Error::NonFiniteLogit`].
    pub(super) fn logits(&self, sample: usize, point: &[f32]) -> Result<Vec<f32>> {
        let logits = self.run(&[sample], point)?;
        finite(sample, &logits)
    }

    /// The logits of points, row by row, each of the sample with this index in the data set; an error costs its own
    /// sample alone.
    pub(super) fn all_logits(&self, samples: &[usize], points: &[f32]) -> Vec<Result<Vec<f32>>> {
        match self.run(samples, points) {
            Ok(logits) => {
                let rows = samples.iter().zip(logits.chunks_exact(self.model.classes()));
                rows.map(|(sample, row)| finite(*sample, row)).collect()
            }
            Err(error) if samples.len() == 1 => vec![Err(error)],
            Err(_) => {
                let rows = samples.iter().zip(points.chunks_exact(self.model.features()));
                rows.map(|(sample, point)| self.logits(*sample, point)).collect()
            }
        }
    }

    /// The adversarial point that each proposal holds once it is moved into the region; none when it holds none.
    ///
    /// # Errors
    /// For each as [`logits`](Self::logits).
    pub(super) fn verify(
        &self,
        mut proposals: Vec<Proposal<'_>>,
    ) -> Vec<Result<Option<Adversarial>>> {
        let mut judged: Vec<_> = proposals.iter().map(|_| Ok(None)).collect();
        let placed: Vec<(usize, f64)> = proposals
            .iter_mut()
            .enumerate()
            .filter_map(|(at, proposal)| Some((at, proposal.place()?)))
            .collect();
        let samples: Vec<usize> = placed.iter().map(|(at, _)| proposals[*at].sample).collect();
        let points = placed.iter().filter_map(|(at, _)| proposals[*at].point.as_deref());
        let points = points.collect::<Vec<_>>().concat();
        for ((at, distance), logits) in placed.into_iter().zip(self.all_logits(&samples, &points)) {
            judged[at] = logits.map(|logits| self.verdict(&proposals[at], distance, &logits));
        }
        judged
    }

    fn verdict(
        &self,
        proposal: &Proposal<'_>,
        distance: f64,
        logits: &[f32],
    ) -> Option<Adversarial> {
        let Proposal { region, aim, point, .. } = proposal;
        let point = point.as_deref().filter(|_| aim.is_met(logits))?;
        let shape = &self.model.info().shape;
        Some(Adversarial {
            distance,
            sizes: Sizes::of(region.clean, point),
            ssim: region.range().and_then(|range| ssim(region.clean, point, shape, range)),
            point: point.into(),
            prediction: argmax(logits),
            confidence: confidence(logits),
            member: None,
            change: None,
        })
    }

    fn run(&self, samples: &[usize], points: &[f32]) -> Result<Vec<f32>> {
        let expected = samples.len() * self.model.classes();
        let mut logits = Vec::with_capacity(expected);
        if !samples.is_empty() {
            self.model.logits_alone(Batch { inputs: points, samples }, &mut logits)?;
        }
        expect_len(self.model, "logits", logits.len(), expected)?;
        Ok(logits)
    }
}

fn finite(sample: usize, logits: &[f32]) -> Result<Vec<f32>> {
    match logits.iter().position(|z| !z.is_finite()) {
        Some(class) => Err(Error::NonFiniteLogit { sample, class, value: logits[class] }),
        None => Ok(logits.to_vec()),
    }
}
