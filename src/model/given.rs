//! What a model is given of a data set besides the attacked input.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::source::Source;
use crate::error::{Error, Result};

/// An array with one entry per sample of a file, in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleArray {
    /// The shape of one entry.
    pub shape: Vec<usize>,
    /// All entries, `samples x shape`.
    pub values: Vec<f64>,
}

impl SampleArray {
    /// Values per sample.
    #[must_use]
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Entries.
    pub(super) fn len(&self) -> usize {
        self.values.len().checked_div(self.width()).unwrap_or(0)
    }

    /// The entry of the sample with this index in the file, if there is one.
    #[must_use]
    pub fn get(&self, sample: usize) -> Option<&[f64]> {
        let width = self.width();
        self.values.get(sample.checked_mul(width)?..sample.checked_add(1)?.checked_mul(width)?)
    }
}

/// Arrays with one entry per sample, by name.
pub type SampleArrays = BTreeMap<String, SampleArray>;

/// A data set, as a model sees it that takes more of it than the attacked input.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Where it came from, for messages.
    pub file: &'a str,
    /// The index in the file of each row of `x`.
    pub ids: &'a [usize],
    /// What `x` is called in the file.
    pub name: &'a str,
    /// The shape of one row of `x`.
    pub shape: &'a [usize],
    /// The samples, `ids x shape`.
    pub x: &'a [f32],
    /// The file's other arrays.
    pub arrays: &'a Arc<SampleArrays>,
}

impl Given<'_> {
    /// The array for an input of the model.
    ///
    /// # Errors
    /// [`Error::Data`], naming the input, when there is none or it does not fit.
    pub(super) fn array(&self, source: &Source) -> Result<&SampleArray> {
        let Source { name, shape, .. } = source;
        let refuse =
            |problem: String| Error::Data { file: self.file.into(), problem, source: None };
        let array = self.arrays.get(name).ok_or_else(|| {
            refuse(format!(
                "the model also takes the input `{name}`: add an array `{name}` with an entry of shape {shape:?} per \
                 sample, or give it a constant"
            ))
        })?;
        if array.width() != source.width() {
            let found = &array.shape;
            return Err(refuse(format!(
                "`{name}`: its entries have shape {found:?}, the model's input `{name}` takes {shape:?}"
            )));
        }
        match self.ids.iter().find(|id| **id >= array.len()) {
            Some(id) => Err(refuse(format!("`{name}`: no entry for sample {id}"))),
            None => Ok(array),
        }
    }

    /// What an input of the model takes for a row of `x`, which the main input takes where no array has its name.
    ///
    /// # Errors
    /// As [`array`](Self::array).
    pub(super) fn entry(&self, source: &Source, main: bool, row: usize) -> Result<Vec<f64>> {
        if self.name != source.name && (!main || self.arrays.contains_key(&source.name)) {
            let entry = self.array(source)?.get(self.ids[row]);
            return Ok(entry.unwrap_or_default().to_vec());
        }
        let width = self.x.len() / self.ids.len().max(1);
        if width != source.width() {
            let problem = format!(
                "`{}`: samples have shape {:?}, the model's input `{}` takes {:?}",
                self.name, self.shape, source.name, source.shape
            );
            return Err(Error::Data { file: self.file.into(), problem, source: None });
        }
        Ok(self.x[row * width..][..width].iter().copied().map(f64::from).collect())
    }
}
