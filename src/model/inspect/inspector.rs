//! A model together with what it takes of a data set, to be looked into.

use tract_onnx::prelude::*;

use crate::error::Result;
use crate::model::job::Others;
use crate::model::{Batch, Model, SampleArray};

/// A model's graph, with what it takes of a data set besides the attacked input: what
/// [`Preflight`](crate::Preflight) looks into.
#[derive(Clone, Debug)]
pub struct Inspector<'a> {
    pub(in crate::model) model: &'a Model,
    /// One array per further input, in the graph's order.
    pub(in crate::model) arrays: Vec<&'a SampleArray>,
}

impl<'a> Inspector<'a> {
    /// The model.
    #[must_use]
    pub fn model(&self) -> &'a Model {
        self.model
    }

    /// How many samples a batch holds: one or more.
    pub(super) fn samples_in(&self, batch: Batch<'_>) -> Result<usize> {
        match self.model.rows(batch, &self.arrays)? {
            0 => Err(self.model.misfit("there are no samples to look at".into())),
            rows => Ok(rows),
        }
    }

    /// What a plan for one sample takes for a row of a batch.
    pub(super) fn inputs(&self, batch: Batch<'_>, row: usize) -> TractResult<TVec<TValue>> {
        let graph = &self.model.runner.graph;
        let shape: TVec<usize> = std::iter::once(1).chain(graph.shape.iter().copied()).collect();
        let width = graph.shape.iter().product::<usize>();
        let input = Tensor::from_shape(&shape, &batch.inputs[row * width..][..width])?;
        let samples = batch.samples.get(row..=row).unwrap_or_default();
        let others = Others { arrays: &self.arrays, samples };
        let mut inputs = tvec![input.into_tvalue()];
        for (index, source) in graph.others().enumerate() {
            inputs.push(others.tensor(index, source, 1)?.into_tvalue());
        }
        Ok(inputs)
    }
}

impl Model {
    /// The model as it is, to be looked into.
    #[must_use]
    pub fn inspector(&self) -> Inspector<'_> {
        Inspector { model: self, arrays: vec![] }
    }
}
