//! The size of a perturbation in every norm.

use serde::{Deserialize, Serialize};

use super::Norm;

/// How large a perturbation is, whichever norm it was looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// How many features were changed.
    pub l0: f64,
    /// The sum of the absolute changes.
    pub l1: f64,
    /// Their Euclidean length.
    pub l2: f64,
    /// The largest of them.
    pub linf: f64,
}

impl Sizes {
    /// Of `point - clean`, two slices of the same length, computed in f64 from the f32 values as stored.
    ///
    /// # Example
    /// ```
    /// use ironbound::metrics::Sizes;
    /// let sizes = Sizes::of(&[0.0, 1.0, 2.0], &[3.0, 1.0, -2.0]);
    /// assert_eq!(sizes, Sizes { l0: 2.0, l1: 7.0, l2: 5.0, linf: 4.0 });
    /// ```
    #[must_use]
    pub fn of(clean: &[f32], point: &[f32]) -> Self {
        let [l0, l1, l2, linf] =
            [Norm::L0, Norm::L1, Norm::L2, Norm::Linf].map(|norm| norm.size(clean, point));
        Self { l0, l1, l2, linf }
    }
}
