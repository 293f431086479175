//! Whether the graph takes other batches, and keeps the samples of one apart.

use crate::error::Result;
use crate::model::job::Job;
use crate::model::runner::Probe;
use crate::model::{Classifier, Model};

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

impl Model {
    /// Runs variants of the samples `inputs` in a batch of `rows` and compares each with itself alone.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) when `inputs` is not one or more samples.
    pub fn batching(&self, inputs: &[f32], rows: usize) -> Result<Batching> {
        let given = self.samples_in(inputs)?;
        let mut logits = vec![0.0; given * self.classes()];
        let job = Job { rows: given, inputs, logits: &mut logits, backward: None };
        Ok(match self.runner.probe_forward(&job, rows) {
            Probe::Stable | Probe::Unstable => Batching::Independent,
            Probe::Fixed(reason) => Batching::Fixed(reason),
            Probe::Wrong(reason) => Batching::Dependent(reason),
        })
    }

    /// How many samples a flat slice holds: one or more.
    pub(super) fn samples_in(&self, inputs: &[f32]) -> Result<usize> {
        match self.rows(inputs)? {
            0 => Err(self.misfit("there are no samples to look at".into())),
            rows => Ok(rows),
        }
    }
}
