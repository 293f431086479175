//! Points and other state, one row of features per slot.

use super::{Access, Target};

/// One row per slot of a batch.
#[derive(Debug)]
pub(super) struct Rows {
    features: usize,
    values: Vec<f32>,
}

impl Rows {
    pub(super) fn zeros<A: Access>(target: &Target<'_, A>) -> Self {
        let features = target.features();
        Self { features, values: vec![0.0; target.len() * features] }
    }

    /// The clean inputs.
    pub(super) fn clean<A: Access>(target: &Target<'_, A>) -> Self {
        let mut rows = Self::zeros(target);
        (0..target.len()).for_each(|slot| rows.row_mut(slot).copy_from_slice(target.clean(slot)));
        rows
    }

    pub(super) fn row(&self, slot: usize) -> &[f32] {
        &self.values[slot * self.features..][..self.features]
    }

    pub(super) fn row_mut(&mut self, slot: usize) -> &mut [f32] {
        &mut self.values[slot * self.features..][..self.features]
    }

    /// Packs the rows of `slots`, in their order, as queries take them.
    pub(super) fn gather(&self, slots: &[usize], packed: &mut Vec<f32>) {
        packed.clear();
        slots.iter().for_each(|&slot| packed.extend_from_slice(self.row(slot)));
    }
}
