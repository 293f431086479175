//! Classifiers in closed form, and data for them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use ironbound::{
    Aim, Batch, Classifier, Dataset, Error, Loss, LossGradient, ModelInfo, Result, stream,
};
use rand::RngExt;

/// `logits = W x + b`, per sample.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) info: ModelInfo,
    pub(crate) weights: Vec<Vec<f32>>,
    pub(crate) bias: Vec<f32>,
    /// Beyond this value of feature 0, the logits are NaN.
    pub(crate) nan_above: f32,
}

impl Linear {
    pub(crate) fn new(weights: Vec<Vec<f32>>, bias: Vec<f32>) -> Self {
        let info = ModelInfo {
            path: "linear".into(),
            sha256: "00".repeat(32),
            input: "x".into(),
            output: "z".into(),
            shape: vec![weights[0].len()],
            classes: weights.len(),
            notes: vec![],
            ..ModelInfo::default()
        };
        Self { info, weights, bias, nan_above: f32::INFINITY }
    }

    pub(crate) fn random(seed: u64, features: usize, classes: usize) -> Self {
        let mut draws = stream(seed, "test model", 0, 0);
        let mut row =
            |n: usize| -> Vec<f32> { (0..n).map(|_| draws.random_range(-1.0..1.0)).collect() };
        let weights = (0..classes).map(|_| row(features)).collect();
        Self::new(weights, row(classes))
    }

    pub(crate) fn one(&self, x: &[f32]) -> Vec<f32> {
        if x[0] > self.nan_above {
            return vec![f32::NAN; self.bias.len()];
        }
        let dot = |w: &Vec<f32>| w.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        self.weights.iter().zip(&self.bias).map(|(w, b)| dot(w) + b).collect()
    }
}

impl Classifier for Linear {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        let features = self.features();
        if !batch.inputs.len().is_multiple_of(features) {
            return Err(Error::Model {
                model: "linear".into(),
                problem: "ragged".into(),
                source: None,
            });
        }
        logits.clear();
        batch.inputs.chunks_exact(features).for_each(|x| logits.extend(self.one(x)));
        Ok(())
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.logits(batch, &mut out.logits)?;
        out.loss.clear();
        out.gradient.clear();
        let mut upstream = vec![0.0; self.classes()];
        for (logits, aim) in out.logits.chunks_exact(self.classes()).zip(aims) {
            out.loss.push(loss.value_and_gradient(logits, *aim, &mut upstream));
            let column =
                |f: usize| self.weights.iter().zip(&upstream).map(|(w, u)| w[f] * u).sum::<f32>();
            out.gradient.extend((0..self.features()).map(column));
        }
        Ok(())
    }
}

/// Random samples in [0, 1], labelled by the model but for every fifth.
pub(crate) fn samples(model: &Linear, seed: u64, count: usize) -> (Vec<f32>, Vec<usize>) {
    let mut draws = stream(seed, "test data", 0, 0);
    let features = model.features();
    let inputs: Vec<f32> = (0..count * features).map(|_| draws.random_range(0.0..1.0)).collect();
    let label = |(index, x): (usize, &[f32])| {
        (ironbound::argmax(&model.one(x)) + usize::from(index % 5 == 4)) % model.classes()
    };
    let labels = inputs.chunks_exact(features).enumerate().map(label).collect();
    (inputs, labels)
}

pub(crate) fn dataset(inputs: Vec<f32>, labels: Vec<usize>, features: usize) -> Dataset {
    let x = ndarray::Array2::from_shape_vec((labels.len(), features), inputs).unwrap();
    Dataset::from_arrays(x.view(), &labels).unwrap()
}
