//! A model together with what it takes of a data set besides the attacked input.

use std::sync::Arc;

use super::classifier::{Batch, Classifier, LossGradient, ModelInfo};
use super::given::{Given, SampleArray, SampleArrays};
use super::inspect::Inspector;
use super::job::Others;
use super::onnx::Model;
use crate::error::Result;
use crate::finding::Finding;
use crate::goal::Aim;
use crate::loss::Loss;

/// What [`Classifier::bind`] gives.
#[derive(Debug)]
pub struct Bound<'a> {
    /// The model, to be run on the data set's samples.
    pub model: Box<dyn Classifier + 'a>,
    /// The shape of one sample and the values of all of them, where other values are attacked than those of the data
    /// set: an inner tensor.
    pub inputs: Option<(Vec<usize>, Vec<f32>)>,
}

impl Model {
    /// Finds in a data set what the model takes besides the attacked input, and computes the attacked inner tensor.
    pub(super) fn bind_to<'a>(&'a self, given: &Given<'_>) -> Result<Option<Bound<'a>>> {
        let mut names = vec![];
        for source in self.runner.graph.others() {
            given.array(source)?;
            names.push(source.name.clone());
        }
        let inner = self.runner.graph.inner.as_ref();
        if names.is_empty() && inner.is_none() {
            return Ok(None);
        }
        let inputs = match inner {
            Some(inner) => Some((inner.shape.clone(), inner.compute(given)?)),
            None => None,
        };
        let model = BoundModel { model: self, arrays: Arc::clone(given.arrays), names };
        Ok(Some(Bound { model: Box::new(model), inputs }))
    }
}

#[derive(Debug)]
struct BoundModel<'a> {
    model: &'a Model,
    arrays: Arc<SampleArrays>,
    /// The arrays that the model takes, in the order of its inputs.
    names: Vec<String>,
}

impl BoundModel<'_> {
    fn arrays(&self) -> Vec<&SampleArray> {
        self.names.iter().filter_map(|name| self.arrays.get(name)).collect()
    }
}

impl Classifier for BoundModel<'_> {
    fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    fn notes(&self) -> Vec<Finding> {
        Classifier::notes(self.model)
    }

    fn inspector(&self) -> Option<Inspector<'_>> {
        Some(Inspector { model: self.model, arrays: self.arrays() })
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        self.model.run_forward(batch, &self.arrays(), logits, false)
    }

    fn logits_alone(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        self.model.run_forward(batch, &self.arrays(), logits, true)
    }

    fn has_run(&self, gradients: bool) -> bool {
        self.model.has_run(gradients)
    }

    fn precise_logits(
        &self,
        inputs: &[f64],
        samples: &[usize],
        logits: &mut Vec<f64>,
    ) -> Result<bool> {
        self.model.run_precise(inputs, Others { arrays: &self.arrays(), samples }, logits)
    }

    fn preferred_batch(&self) -> usize {
        self.model.preferred_batch()
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.model.run_backward(batch, &self.arrays(), (aims, loss), out)
    }
}
