//! Labelled samples.

/// Labelled samples in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    inputs: Vec<f32>,
    labels: Vec<usize>,
    shape: Vec<usize>,
    path: String,
    sha256: String,
}

impl Dataset {
    /// `inputs` holds one row of `shape` per label.
    #[must_use]
    pub fn from_parts(inputs: Vec<f32>, labels: Vec<usize>, shape: Vec<usize>) -> Self {
        Self { inputs, labels, shape, path: "data".into(), sha256: String::new() }
    }

    /// Samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values of one sample.
    #[must_use]
    pub fn features(&self) -> usize {
        self.shape.iter().product()
    }

    /// All values, `samples x features`.
    #[must_use]
    pub fn inputs(&self) -> &[f32] {
        &self.inputs
    }

    /// The true classes.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The file, or "data".
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// SHA-256 of the file's bytes.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}
