//! What data can be, besides being within bounds.

use serde::{Deserialize, Serialize};

use super::valid_length;
use crate::error::Result;

/// What data can be, besides being within bounds: a perturbed sample must be a sample that could exist.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Domain {
    /// Which way each feature may move from its clean value (both, where none is given).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monotone: Option<Vec<Monotone>>,
}

/// Which way a feature may move from its clean value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monotone {
    /// Both ways.
    #[default]
    Free,
    /// Up only: an age, a number of past events.
    Increase,
    /// Down only.
    Decrease,
}

impl Domain {
    /// Anything.
    pub const ANY: Self = Self { monotone: None };

    /// Whether it allows anything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::ANY
    }

    /// Which way a feature may move.
    pub(super) fn monotone_at(&self, feature: usize) -> Monotone {
        self.monotone.as_ref().map_or(Monotone::Free, |all| all[feature])
    }

    /// Checks that it fits data of `features` features.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter), naming the field.
    pub(super) fn validate(&self, features: usize) -> Result<()> {
        self.monotone.as_ref().map_or(Ok(()), |all| {
            valid_length("domain.monotone", all.len(), features, "entry per feature")
        })
    }
}
