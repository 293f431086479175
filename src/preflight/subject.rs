//! What the checks look at.

use std::cell::OnceCell;
use std::sync::Arc;

use ndarray::ArrayView2;
use rand::RngExt;
use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::data::Dataset;
use crate::error::Result;
use crate::finding::Finding;
use crate::goal::argmax;
use crate::loss::{Loss, LossKind};
use crate::model::{Activity, Batch, Classifier, expect_len};
use crate::rng;
use crate::threat::Threat;

/// How many samples are run a second time.
const REPEATED: usize = 8;
/// How many samples are looked into: their gradients and activations.
const INSPECTED: usize = 32;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub model: &'a dyn Classifier,
    pub threats: &'a [Threat],
    pub losses: &'a [Arc<dyn Loss>],
    pub gradients: bool,
    pub samples: usize,
    pub offset: usize,
    pub limit: Option<usize>,
    /// Whether the samples were drawn, and their labels are the model's own.
    pub drawn: bool,
    pub cancel: &'a Cancel,
}

/// A model with the samples that it is looked at on, and its logits there.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub model: &'a dyn Classifier,
    pub data: &'a Dataset,
    pub(super) setting: Setting<'a>,
    /// `labels.len() x features`.
    pub inputs: Vec<f32>,
    pub labels: Vec<usize>,
    /// The samples' indices in the data set.
    pub ids: Vec<usize>,
    /// Of each sample, run alone.
    pub logits: Vec<Vec<f32>>,
    /// The first sample that got other logits when it was run again.
    pub unsteady: Option<usize>,
    activity: OnceCell<Option<Activity>>,
}

impl<'a> Subject<'a> {
    /// Takes evenly spaced samples and runs the model on them.
    ///
    /// # Errors
    /// When the model cannot be run.
    pub(super) fn look(setting: Setting<'a>, data: &'a Dataset) -> Result<Self> {
        let total = setting.limit.unwrap_or(usize::MAX).min(data.len() - setting.offset);
        let chosen: Vec<usize> =
            spaced(total, setting.samples).map(|place| setting.offset + place).collect();
        let inputs: Vec<f32> =
            chosen.iter().flat_map(|index| data.sample(*index).iter().copied()).collect();
        let mut subject = Self {
            model: setting.model,
            data,
            setting,
            inputs,
            labels: chosen.iter().map(|index| data.labels()[*index]).collect(),
            ids: chosen.iter().map(|index| data.id(*index)).collect(),
            logits: vec![],
            unsteady: None,
            activity: OnceCell::new(),
        };
        subject.logits = subject.run(&subject.inputs)?;
        if setting.drawn {
            subject.labels = subject.logits.iter().map(|logits| argmax(logits)).collect();
        }
        let repeated = chosen.len().min(REPEATED);
        let again = subject.run(&subject.inputs[..repeated * data.features()])?;
        let bits = |logits: &[f32]| logits.iter().map(|z| z.to_bits()).collect::<Vec<_>>();
        subject.unsteady =
            (0..repeated).find(|index| bits(&subject.logits[*index]) != bits(&again[*index]));
        Ok(subject)
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn features(&self) -> usize {
        self.inputs.len() / self.len()
    }

    pub(crate) fn input(&self, index: usize) -> &[f32] {
        let features = self.features();
        &self.inputs[index * features..][..features]
    }

    /// The places of the samples that are looked into: evenly spaced ones.
    pub(super) fn inspected(&self) -> Vec<usize> {
        spaced(self.len(), INSPECTED).collect()
    }

    /// The values of the samples at these places.
    pub(super) fn values_at(&self, places: &[usize]) -> Vec<f32> {
        places.iter().flat_map(|place| self.input(*place)).copied().collect()
    }

    /// The logits of the first samples' stand-ins, each run alone.
    ///
    /// # Errors
    /// The first sample's, when the model cannot be run.
    pub(super) fn run(&self, inputs: &[f32]) -> Result<Vec<Vec<f32>>> {
        let all: Vec<_> = inputs
            .par_chunks_exact(self.features())
            .zip(&self.ids)
            .map(|(input, id)| {
                self.setting.cancel.check()?;
                let mut logits = vec![];
                self.model.logits_alone(Batch { inputs: input, samples: &[*id] }, &mut logits)?;
                expect_len(self.model, "logits", logits.len(), self.model.classes())?;
                Ok(logits)
            })
            .collect();
        all.into_iter().collect()
    }

    /// Whether each of these logits means the sample's label.
    pub(super) fn hits(&self, logits: &[Vec<f32>]) -> Vec<bool> {
        let right = |(logits, label): (&Vec<f32>, &usize)| {
            logits.iter().all(|z| z.is_finite()) && argmax(logits) == *label
        };
        logits.iter().zip(&self.labels).map(right).collect()
    }

    /// What the network does on the inspected samples; none for a model without a graph.
    ///
    /// # Errors
    /// When the model cannot be run.
    pub(super) fn activity(&self) -> Result<Option<&Activity>> {
        if self.activity.get().is_none() {
            let places = self.inspected();
            let inputs = self.values_at(&places);
            let samples: Vec<usize> = places.iter().map(|place| self.ids[*place]).collect();
            let batch = Batch { inputs: &inputs, samples: &samples };
            let inspector = self.model.inspector();
            let activity = inspector.map(|inspector| inspector.activity(batch)).transpose()?;
            let _ = self.activity.set(activity);
        }
        Ok(self.activity.get().and_then(Option::as_ref))
    }

    /// The loss that will be attacked, or `default` where none is named.
    pub(crate) fn loss_or(&self, default: LossKind) -> Arc<dyn Loss> {
        self.setting.losses.first().map_or_else(|| default.loss(), Arc::clone)
    }

    /// The loss whose gradient is looked at.
    pub(super) fn loss(&self) -> Arc<dyn Loss> {
        self.loss_or(LossKind::default())
    }
}

/// Samples for a model without data: uniform in [0, 1] over the scale of its preprocessing.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) for a model without features.
pub(super) fn draw(model: &dyn Classifier, samples: usize, seed: u64) -> Result<Dataset> {
    let features = model.features();
    let end = end(model);
    let mut values = Vec::with_capacity(samples * features);
    for sample in 0..samples {
        let mut stream = rng::stream(seed, "preflight", sample, 0);
        values.extend((0..features).map(|_| stream.random_range(0.0..1.0f32) * end));
    }
    let view = ArrayView2::from_shape((samples, features), &values).map_err(|error| {
        crate::Error::Data { file: "data".into(), problem: error.to_string(), source: None }
    })?;
    Dataset::from_arrays(view, &vec![0; samples])
}

/// The end of the range that samples are drawn from, the other being 0.
fn end(model: &dyn Classifier) -> f32 {
    let scale = model.info().options["preprocessing"]["scale"].as_f64();
    scale.map_or(1.0, |scale| 1.0 / scale as f32)
}

/// Says that there was no data.
pub(super) fn drawn(model: &dyn Classifier, samples: usize) -> Finding {
    let message = format!(
        "no data was given: {samples} samples were drawn uniformly between 0 and {}, labelled by the model",
        (1e3 * end(model)).round() / 1e3
    );
    Finding::info("no-data", message).remedy("give labelled samples: much depends on them")
}

/// At most `most` evenly spaced places of `total`.
pub(crate) fn spaced(total: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = total.min(most);
    (0..count).map(move |index| index * total / count)
}

/// The least and the largest value.
pub(super) fn span(values: &[f32]) -> (f32, f32) {
    let ends = (f32::INFINITY, f32::NEG_INFINITY);
    values.iter().fold(ends, |(low, high), value| (low.min(*value), high.max(*value)))
}
