//! Whether the graph takes other batches, and keeps the samples of one apart.

use super::Inspector;
use crate::error::Result;
use crate::model::job::{Job, Others};
use crate::model::runner::Probe;
use crate::model::{Batch, Classifier};

/// What becomes of samples that are run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batching {
    /// Each gets what it gets alone.
    Independent,
    /// The graph takes no such batch, and why.
    Fixed(String),
    /// Some get something else than alone, and what.
    Dependent(String),
}

impl Inspector<'_> {
    /// Runs variants of some samples in a batch of `rows` and compares each with itself alone.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) when `samples` is not one or more.
    pub fn batching(&self, samples: Batch<'_>, rows: usize) -> Result<Batching> {
        let given = self.samples_in(samples)?;
        let mut logits = vec![0.0; given * self.model.classes()];
        let others = Others { arrays: &self.arrays, samples: samples.samples };
        let inputs = samples.inputs;
        let job = Job { rows: given, inputs, others, logits: &mut logits, backward: None };
        Ok(match self.model.runner.probe_forward(&job, rows) {
            Probe::Stable { .. } | Probe::Unstable => Batching::Independent,
            Probe::Fixed(reason) => Batching::Fixed(reason),
            Probe::Wrong(reason) => Batching::Dependent(reason),
        })
    }
}
