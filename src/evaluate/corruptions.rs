//! How a classifier does on corrupted images.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::judge::Judge;
use super::results::DataInfo;
use crate::cancel::Cancel;
use crate::corruption::{Canvas, Kind, ParameterSet, Severity, restart};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::goal::argmax;
use crate::model::{Classifier, ModelInfo};
use crate::progress::Progress;
use crate::rng;
use crate::threat::Bounds;

/// A classifier's errors on a data set under common corruptions: not an attack, every sample is corrupted once per kind
/// and severity, whether or not it is classified correctly as it is.
///
/// Defaults: all kinds at all severities, parameters by the size of the images, bounds [0, 1], seed 0, all samples.
#[derive(Clone, Debug)]
pub struct Corruptions<'a> {
    model: &'a dyn Classifier,
    data: &'a Dataset,
    kinds: Vec<Kind>,
    severities: Vec<Severity>,
    parameters: ParameterSet,
    bounds: Bounds,
    seed: u64,
    cancel: Cancel,
    progress: Progress<'a>,
}

/// What [`Corruptions`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct CorruptionResults {
    /// The run's seed.
    pub seed: u64,
    /// The model.
    pub model: ModelInfo,
    /// The data.
    pub data: DataInfo,
    /// Each sample's index in the data set.
    pub ids: Vec<usize>,
    /// For which size of image the parameters were.
    pub parameters: ParameterSet,
    /// The severities of every row.
    pub severities: Vec<Severity>,
    /// Misclassified samples without a corruption.
    pub clean: usize,
    /// A kind each, with the number of misclassified samples at every severity. Logits that are not finite are no
    /// classification.
    pub rows: Vec<(Kind, Vec<usize>)>,
}

impl<'a> Corruptions<'a> {
    /// Of `model` on `data`, whose samples are brought into the shape of the model's input where that is unambiguous.
    #[must_use]
    pub fn new(model: &'a dyn Classifier, data: &'a Dataset) -> Self {
        Self {
            model,
            data,
            kinds: Kind::ALL.to_vec(),
            severities: Severity::ALL.to_vec(),
            parameters: ParameterSet::Auto,
            bounds: Bounds::default(),
            seed: 0,
            cancel: Cancel::default(),
            progress: Progress::default(),
        }
    }

    /// Only these kinds.
    #[must_use]
    pub fn kinds(self, kinds: &[Kind]) -> Self {
        Self { kinds: kinds.to_vec(), ..self }
    }

    /// Only these severities.
    #[must_use]
    pub fn severities(self, severities: &[Severity]) -> Self {
        Self { severities: severities.to_vec(), ..self }
    }

    /// The parameters for another size of image.
    #[must_use]
    pub fn parameters(self, parameters: ParameterSet) -> Self {
        Self { parameters, ..self }
    }

    /// Black and white of the data.
    #[must_use]
    pub fn bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Keys every random draw. A sample's does not depend on the other samples, kinds and severities.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The flag that stops it.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Tells how far it is: the steps that are done, and how many there are; from any thread, in any order.
    #[must_use]
    pub fn progress(self, told: &'a (dyn Fn(usize, usize) + Sync)) -> Self {
        Self { progress: Progress::new(told), ..self }
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`Error::Parameter`] when there is no kind or severity, or the samples are no images between finite bounds;
    /// [`Error::Data`] for samples that do not fit the model or the bounds; the model's errors when it cannot be run;
    /// [`Error::Cancelled`].
    pub fn run(&self) -> Result<CorruptionResults> {
        for (field, empty) in
            [("kinds", self.kinds.is_empty()), ("severities", self.severities.is_empty())]
        {
            if empty {
                return Err(Error::parameter(field, "empty", "expected at least one"));
            }
        }
        self.data.bound_to(self.model, |model, data| {
            let data = data.shaped_for(model)?;
            data.validate(&self.bounds, model.classes())?;
            self.count(model, &data)
        })
    }

    fn count(&self, model: &dyn Classifier, data: &Dataset) -> Result<CorruptionResults> {
        let canvas = Canvas::new(data.shape(), &self.bounds, self.parameters)?;
        let judge = Judge { model };
        let done = AtomicUsize::new(0);
        // One list per sample: without a corruption, then kind by kind, severity by severity.
        let wrong: Vec<Result<Vec<bool>>> = (0..data.len())
            .into_par_iter()
            .map(|index| {
                let wrong = self.sample(judge, data, index, &canvas);
                self.progress.tell(1 + done.fetch_add(1, Ordering::Relaxed), data.len());
                wrong
            })
            .collect();
        let mut counts = vec![0; 1 + self.kinds.len() * self.severities.len()];
        for sample in wrong {
            counts.iter_mut().zip(sample?).for_each(|(count, wrong)| *count += usize::from(wrong));
        }
        let rows = counts[1..].chunks_exact(self.severities.len()).map(<[usize]>::to_vec);
        Ok(CorruptionResults {
            seed: self.seed,
            model: model.info().clone(),
            data: data.into(),
            ids: data.ids().to_vec(),
            parameters: canvas.parameters(),
            severities: self.severities.clone(),
            clean: counts[0],
            rows: self.kinds.iter().copied().zip(rows).collect(),
        })
    }

    /// Whether a sample is misclassified, each way.
    fn sample(
        &self,
        judge: Judge<'_>,
        data: &Dataset,
        index: usize,
        canvas: &Canvas<'_>,
    ) -> Result<Vec<bool>> {
        let (clean, id, label) = (data.sample(index), data.id(index), data.labels()[index]);
        let is_wrong = |point: &[f32]| {
            self.cancel.check()?;
            match judge.logits(id, point) {
                Ok(logits) => Ok(argmax(&logits) != label),
                Err(Error::NonFiniteLogit { .. }) => Ok(true),
                Err(error) => Err(error),
            }
        };
        let mut wrong = vec![is_wrong(clean)?];
        for &kind in &self.kinds {
            for &severity in &self.severities {
                let mut stream =
                    rng::stream(self.seed, "corruption", id, restart(kind, severity, 0));
                wrong.push(is_wrong(&canvas.corrupt(clean, kind, severity, &mut stream))?);
            }
        }
        Ok(wrong)
    }
}
