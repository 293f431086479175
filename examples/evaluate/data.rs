//! Samples in memory or in a file.

use ironbound::{Bounds, Classifier, Dataset, Evaluation, Result, StreamedDataset};

use crate::loading::{Limits, fault};

pub(crate) enum Data {
    Memory(Dataset),
    Streamed(StreamedDataset),
}

impl Data {
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Memory(data) => data.path(),
            Self::Streamed(data) => data.path(),
        }
    }

    pub(crate) fn sha256(&self) -> &str {
        match self {
            Self::Memory(data) => data.sha256(),
            Self::Streamed(data) => data.sha256(),
        }
    }

    /// The bounds for a model that takes samples of this shape.
    pub(crate) fn bounds(&self, limits: &Limits, shape: &[usize]) -> Result<Bounds> {
        match (self, limits) {
            (Self::Memory(data), limits) => limits.of(data, shape),
            (Self::Streamed(_), Limits::Given(bounds)) => Ok(bounds.clone()),
            (Self::Streamed(_), Limits::OfData) => {
                let expected = "expected two numbers, such as 0,1: streamed data are not looked through for them";
                Err(fault("bounds", "data", expected))
            }
        }
    }

    pub(crate) fn evaluation<'a>(&'a self, model: &'a dyn Classifier) -> Evaluation<'a> {
        match self {
            Self::Memory(data) => Evaluation::new(model, data),
            Self::Streamed(data) => Evaluation::streamed(model, data),
        }
    }
}
