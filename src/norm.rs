//! The norms: size, projection, steepest step, random point in the ball. `match norm` occurs here only.

use serde::{Deserialize, Serialize};

/// How the size of a perturbation is measured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The number of changed features.
    L0,
    /// The sum of absolute changes.
    L1,
    /// The Euclidean length.
    L2,
    /// The largest absolute change.
    #[default]
    Linf,
}
