//! How far data reach.

use super::scheduler::Samples;
use crate::data::Dataset;

/// The least and the largest value of each feature over all samples of a run.
#[derive(Clone, Debug)]
pub(super) enum Extent<'a> {
    /// Of samples in memory, looked up when it is wanted.
    Of(Samples<'a>),
    /// One pair per feature.
    Known(Vec<(f32, f32)>),
}

/// Before a value is known.
const NONE: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

impl Extent<'_> {
    /// Of no samples yet.
    pub(super) fn none(features: usize) -> Self {
        Self::Known(vec![NONE; features])
    }

    /// Takes more samples in.
    pub(super) fn extend(&mut self, data: &Dataset) {
        let Self::Known(ends) = self else { return };
        for sample in data.values().chunks_exact(ends.len().max(1)) {
            ends.iter_mut().zip(sample).for_each(|(ends, value)| *ends = wider(*ends, value));
        }
    }

    pub(super) fn at(&self, feature: usize) -> (f32, f32) {
        match self {
            Self::Known(ends) => ends[feature],
            Self::Of(samples) => {
                let values = samples.inputs.iter().skip(feature).step_by(samples.features);
                values.fold(NONE, wider)
            }
        }
    }
}

fn wider((low, high): (f32, f32), value: &f32) -> (f32, f32) {
    (low.min(*value), high.max(*value))
}
