//! Where to look.

use std::sync::Arc;

use super::clever::{self, Clever, CleverScore};
use super::pair::Lead;
use super::slopes::{self, SampleSlopes, Slopes};
use crate::cancel::Cancel;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::explain::{Subject, place};
use crate::goal::{Aim, argmax};
use crate::model::{Batch, Classifier, expect_len};
use crate::norm::{Norm, Radius};
use crate::threat::{Region, Threat};

/// Looks at a model around samples of a data set: at random points of the region that a threat allows, in its norm, up to its
/// budget, within its bounds and mask. Data are taken as continuous, whatever the threat's domain.
///
/// Defaults: every sample, seed 0. The same seed gives the same bits, whatever other samples are looked at.
///
/// # Example
/// ```
/// use ironbound::vicinity::{Clever, Slopes, Vicinity};
/// use ironbound::{Dataset, Model, Norm, Threat};
///
/// # fn main() -> ironbound::Result<()> {
/// let model = Model::load("examples/assets/digits_cnn.onnx")?;
/// let data = Dataset::from_npz("examples/assets/digits_test.npz")?;
/// let around = Vicinity::new(&model, &data, Threat::new(Norm::L2, 1.0)).samples([0]);
/// let clever = Clever { batches: 20, samples: 16, rivals: Some(2) };
/// let [score] = &around.clever(&clever)?[..] else { unreachable!() };
/// assert!(score.score > 0.0 && score.score <= 1.0);
/// let [slopes] = &around.slopes(&Slopes { draws: 50 })?[..] else { unreachable!() };
/// assert!(slopes.steepest >= slopes.here);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Vicinity<'a> {
    model: &'a dyn Classifier,
    data: &'a Dataset,
    threat: Threat,
    samples: Option<Vec<usize>>,
    seed: u64,
    cancel: Cancel,
}

/// One sample, and where around it to look.
pub(super) struct Around<'a> {
    pub(super) model: &'a dyn Classifier,
    pub(super) region: Region<'a>,
    /// The norm in which gradients are measured.
    pub(super) dual: Norm,
    pub(super) radius: f64,
    pub(super) sample: usize,
    pub(super) label: usize,
    pub(super) prediction: usize,
    pub(super) logits: Vec<f32>,
    seed: u64,
    cancel: &'a Cancel,
}

impl<'a> Vicinity<'a> {
    /// Around the samples of `data`, which is brought into the shape of the model's input where that is unambiguous: see
    /// [`Dataset::reshaped_for`].
    #[must_use]
    pub fn new(model: &'a dyn Classifier, data: &'a Dataset, threat: Threat) -> Self {
        Self { model, data, threat, samples: None, seed: 0, cancel: Cancel::default() }
    }

    /// Looks at these samples only, named by their indices in the file, in this order.
    #[must_use]
    pub fn samples(self, ids: impl IntoIterator<Item = usize>) -> Self {
        Self { samples: Some(ids.into_iter().collect()), ..self }
    }

    /// Keys every random draw.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The flag that stops the run.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// The CLEVER score of each sample.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a setting out of range, and for a sample that is not there; [`Error::Data`] for samples that do
    /// not fit the model or the bounds; [`Error::NonFiniteLogit`] and [`Error::NonFiniteGradient`]; [`Error::Cancelled`]; the
    /// model's errors.
    pub fn clever(&self, clever: &Clever) -> Result<Vec<CleverScore>> {
        clever.validate()?;
        self.each(|around| clever::score(clever, around))
    }

    /// How steep the margin of each sample is around it.
    ///
    /// # Errors
    /// As [`clever`](Self::clever).
    pub fn slopes(&self, slopes: &Slopes) -> Result<Vec<SampleSlopes>> {
        slopes.validate()?;
        self.each(|around| slopes::around(slopes, around))
    }

    fn each<T>(&self, look: impl Fn(&Around<'_>) -> Result<T>) -> Result<Vec<T>> {
        self.data.bound_to(self.model, |model, data| {
            let data = &*data.shaped_for(model)?;
            let ids = self.samples.clone().unwrap_or_else(|| data.ids().to_vec());
            let total = data.ids().iter().max().map_or(0, |last| last + 1);
            self.threat.validate(total, data.features(), model.classes())?;
            data.validate(&self.threat.bounds, model.classes())?;
            ids.into_iter().map(|id| look(&self.around(model, data, id)?)).collect()
        })
    }

    fn around<'m>(
        &'m self,
        model: &'m dyn Classifier,
        data: &'m Dataset,
        sample: usize,
    ) -> Result<Around<'m>> {
        let place = place(data, sample)?;
        let region = self.threat.region(sample, data.sample(place));
        let Some(dual) = region.norm.dual() else {
            let expected = "a slope needs a norm that grows with the change: l1, l2 or linf";
            return Err(Error::parameter("norm", region.norm, expected));
        };
        let Radius::Scalar(radius) = region.radius else {
            return Err(Error::parameter("eps", "per feature", "expected one for all features"));
        };
        let mut logits = vec![];
        model.logits_alone(Batch { inputs: region.clean, samples: &[sample] }, &mut logits)?;
        expect_len(model, "logits", logits.len(), model.classes())?;
        if let Some(class) = logits.iter().position(|z| !z.is_finite()) {
            return Err(Error::NonFiniteLogit { sample, class, value: logits[class] });
        }
        let (label, prediction) = (data.labels()[place], argmax(&logits));
        let (seed, cancel) = (self.seed, &self.cancel);
        Ok(Around { model, region, dual, radius, sample, label, prediction, logits, seed, cancel })
    }
}

impl Around<'_> {
    /// How far the predicted class is ahead of another, or of all others: a function of the features.
    pub(super) fn lead(&self, rival: Option<usize>) -> Subject<'_> {
        Subject {
            model: self.model,
            loss: Arc::new(Lead),
            aim: Aim { label: self.prediction, target: rival },
            input: self.region.clean,
            sample: self.sample,
            seed: self.seed,
            cancel: self.cancel,
        }
    }

    /// The size of a gradient in the dual norm, over the features that may change.
    pub(super) fn steepness(&self) -> impl FnMut(&[f32]) -> f64 {
        let zero = vec![0.0; self.region.clean.len()];
        let mut free = zero.clone();
        move |gradient| {
            for (feature, (kept, g)) in free.iter_mut().zip(gradient).enumerate() {
                *kept = if self.region.is_free(feature) { *g } else { 0.0 };
            }
            self.dual.size(&zero, &free)
        }
    }
}
