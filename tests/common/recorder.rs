//! A model that keeps what it was last asked about: the last iterate of an attack.

use std::sync::{Arc, Mutex};

use ironbound::{Aim, Batch, Classifier, Error, Loss, LossGradient, Model, ModelInfo, argmax};

#[derive(Debug)]
pub struct Recorder {
    model: Model,
    last: Mutex<Vec<f32>>,
}

impl Recorder {
    pub fn new(model: Model) -> Self {
        Self { model, last: Mutex::default() }
    }

    pub fn inner(&self) -> &Model {
        &self.model
    }

    /// The inputs of the last forward query.
    pub fn last(&self) -> Vec<f32> {
        self.last.lock().unwrap().clone()
    }

    /// The predictions, without recording.
    pub fn predict(&self, inputs: &[f32]) -> Vec<usize> {
        let mut logits = vec![];
        Classifier::logits(&self.model, inputs.into(), &mut logits).unwrap();
        logits.chunks_exact(self.model.classes()).map(argmax).collect()
    }
}

impl Classifier for Recorder {
    fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<(), Error> {
        *self.last.lock().unwrap() = batch.inputs.to_vec();
        Classifier::logits(&self.model, batch, logits)
    }

    fn logits_alone(&self, row: Batch<'_>, logits: &mut Vec<f32>) -> Result<(), Error> {
        self.model.logits_alone(row, logits)
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<(), Error> {
        Classifier::loss_and_gradient(&self.model, batch, aims, loss, out)
    }
}
