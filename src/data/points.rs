//! Adversarial points as they are stored.

use std::path::Path;

use super::labels::class_indices;
use super::load::open;
use super::npy::Array;
use crate::error::{Error, Result};

/// The adversarial points of a file that [`save_adversarial`](crate::report::save_adversarial) wrote: one entry per point in every list.
#[derive(Clone, Debug, PartialEq)]
pub struct AdversarialPoints {
    /// The shape of one point.
    pub shape: Vec<usize>,
    /// The perturbed inputs, one after the other, in C order.
    pub x: Vec<f32>,
    /// The class that the model takes each for.
    pub prediction: Vec<usize>,
    /// The index in the data set of the sample that was perturbed.
    pub sample: Vec<usize>,
    /// The index in the report's `attacks`.
    pub row: Vec<usize>,
    /// The size of the perturbation, in the threat's norm.
    pub distance: Vec<f64>,
}

impl AdversarialPoints {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::Data`] when it is no such file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let (mut npz, file, _) = open(path.as_ref())?;
        let fault = |problem: String| Error::Data { file: file.clone(), problem, source: None };
        let x: Array<f32> = npz.array("x")?;
        let Some((count, shape)) = x.shape.split_first().filter(|(_, shape)| !shape.is_empty())
        else {
            return Err(fault("`x`: the first axis must count the points".into()));
        };
        let mut column = |key: &str| -> Result<Array<f64>> {
            let array: Array<f64> = npz.array(key)?;
            if array.values.len() == *count {
                return Ok(array);
            }
            Err(fault(format!("`{key}`: {} entries for {count} points", array.values.len())))
        };
        let [prediction, sample, row] = ["prediction", "sample", "row"];
        let mut indices = |key: &str| -> Result<Vec<usize>> {
            class_indices(&column(key)?).map_err(|_| {
                fault(format!("`{key}`: expected whole numbers from 0, one per point"))
            })
        };
        let (prediction, sample, row) = (indices(prediction)?, indices(sample)?, indices(row)?);
        let distance = column("distance")?.values;
        Ok(Self { shape: shape.to_vec(), x: x.values, prediction, sample, row, distance })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// One of them.
    ///
    /// # Panics
    /// When `index` is not less than [`len`](Self::len).
    #[must_use]
    pub fn point(&self, index: usize) -> &[f32] {
        let features = self.x.len() / self.len();
        &self.x[index * features..][..features]
    }
}
