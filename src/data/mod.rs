//! Labelled samples.

use ndarray::{ArrayView, Dimension};

use crate::error::Result;

/// Labelled samples in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    x: Vec<f32>,
    y: Vec<usize>,
    ids: Vec<usize>,
}

impl Dataset {
    /// One row of `x` per label.
    ///
    /// # Errors
    /// None yet.
    pub fn from_arrays<D: Dimension>(x: ArrayView<'_, f32, D>, y: &[usize]) -> Result<Self> {
        Ok(Self { x: x.iter().copied().collect(), y: y.to_vec(), ids: (0..y.len()).collect() })
    }

    /// Stand-in.
    ///
    /// # Errors
    /// None yet.
    pub fn from_npz(_: impl AsRef<std::path::Path>) -> Result<Self> {
        Ok(Self::default())
    }

    /// Stand-in.
    ///
    /// # Errors
    /// None yet.
    pub fn npz_from_bytes(_: &str, _: &[u8], _: &str, _: &str) -> Result<Self> {
        Ok(Self::default())
    }

    /// Samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.y.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    /// Values of one sample.
    #[must_use]
    pub fn features(&self) -> usize {
        self.x.len() / self.len()
    }

    /// All values, `samples x features`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.x
    }

    /// The true classes.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.y
    }

    /// Every sample's index in the file.
    #[must_use]
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// The file, or "data".
    #[must_use]
    pub fn path(&self) -> &'static str {
        "data"
    }

    /// SHA-256 of the file's bytes.
    #[must_use]
    pub fn sha256(&self) -> &'static str {
        ""
    }
}
