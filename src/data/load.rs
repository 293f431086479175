//! Data sets from npz and npy files.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Source, hex};
use super::labels::class_indices;
use super::npy::{self, Array, Fault, Value};
use super::npz::Npz;
use crate::error::{Error, Result};

impl Dataset {
    /// Reads an npz file with samples `x` and labels `y`: see [`npz_with_keys`](Self::npz_with_keys).
    ///
    /// # Errors
    /// As for [`npz_with_keys`](Self::npz_with_keys).
    pub fn from_npz(path: impl AsRef<Path>) -> Result<Self> {
        Self::npz_with_keys(path, "x", "y")
    }

    /// Reads an npz file (stored or deflated), the samples from `x_key` and the labels from `y_key`.
    ///
    /// Samples: any real or boolean dtype, byte order and memory order; the first axis counts the samples. Labels: whole
    /// numbers, also as floats, of shape `[n]` or `[n, 1]`, or `[n, classes]` rows that are exactly one-hot.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Data`], naming the key, when it is no npz file, is damaged,
    /// lacks the key (the keys that it has are listed), or holds text, objects, records, complex numbers, f64 beyond the
    /// range of f32, labels that are no class indices, no samples, or a different number of labels.
    pub fn npz_with_keys(path: impl AsRef<Path>, x_key: &str, y_key: &str) -> Result<Self> {
        let (file, bytes) = open(path.as_ref())?;
        Self::npz_from_bytes(&file, &bytes, x_key, y_key)
    }

    /// Reads an npz file as [`npz_with_keys`](Self::npz_with_keys) does, and from it the arrays that a model takes
    /// besides the attacked input, such as [`Model::further_inputs`](crate::Model::further_inputs) names. Keys that the
    /// file lacks are left out.
    ///
    /// # Errors
    /// As for [`npz_with_keys`](Self::npz_with_keys); also [`Error::Data`] for an array whose first axis does not count the
    /// samples.
    pub fn npz_with_arrays(
        path: impl AsRef<Path>,
        x_key: &str,
        y_key: &str,
        arrays: &[&str],
    ) -> Result<Self> {
        let (file, bytes) = open(path.as_ref())?;
        let data = Self::npz_from_bytes(&file, &bytes, x_key, y_key)?;
        data.with_arrays_of(&mut Npz::new(&file, &bytes)?, x_key, arrays)
    }

    /// The same without labels, for models that are no classifiers: all are 0, as
    /// [`without_labels`](Self::without_labels) makes them.
    ///
    /// # Errors
    /// As for [`npz_with_arrays`](Self::npz_with_arrays).
    pub fn npz_without_labels(
        path: impl AsRef<Path>,
        x_key: &str,
        arrays: &[&str],
    ) -> Result<Self> {
        let (file, bytes) = open(path.as_ref())?;
        let mut npz = Npz::new(&file, &bytes)?;
        let x: Array<f32> = npz.array(x_key)?;
        let labels = vec![0; x.shape.first().copied().unwrap_or_default()];
        let sources = (Source::new(&*file, x_key), Source::new(&*file, x_key));
        let sha256 = hex(Sha256::new_with_prefix(&bytes));
        let data = Self::assemble(&x.shape, x.values, labels, sources, sha256)?;
        data.with_arrays_of(&mut npz, x_key, arrays)
    }

    fn with_arrays_of(mut self, npz: &mut Npz<'_>, x_key: &str, arrays: &[&str]) -> Result<Self> {
        for key in arrays.iter().filter(|key| **key != x_key) {
            if npz.has(key) {
                let array: Array<f64> = npz.array(key)?;
                self = self.with_stored(key, &array.shape, array.values)?;
            }
        }
        Ok(self)
    }

    /// Reads the bytes of an npz file, which messages and reports call `file`: see [`npz_with_keys`](Self::npz_with_keys).
    ///
    /// # Errors
    /// As for [`npz_with_keys`](Self::npz_with_keys), but for [`Error::Io`].
    pub fn npz_from_bytes(file: &str, bytes: &[u8], x_key: &str, y_key: &str) -> Result<Self> {
        let mut npz = Npz::new(file, bytes)?;
        let (x, y) = (npz.array(x_key)?, npz.array(y_key)?);
        let sources = (Source::new(file, x_key), Source::new(file, y_key));
        Self::from_stored(x, &y, sources, hex(Sha256::new_with_prefix(bytes)))
    }

    /// Reads samples and labels from one npy file each, of the kinds that [`npz_with_keys`](Self::npz_with_keys) takes.
    ///
    /// # Errors
    /// As for [`npz_with_keys`](Self::npz_with_keys).
    pub fn from_npy(x_path: impl AsRef<Path>, y_path: impl AsRef<Path>) -> Result<Self> {
        let (x_file, x_bytes) = open(x_path.as_ref())?;
        let (y_file, y_bytes) = open(y_path.as_ref())?;
        let (x, y) = (array(&x_file, &x_bytes)?, array(&y_file, &y_bytes)?);
        let hash = Sha256::new_with_prefix(&x_bytes).chain_update(&y_bytes);
        let sources = (Source::new(x_file, "x"), Source::new(y_file, "y"));
        Self::from_stored(x, &y, sources, hex(hash))
    }

    fn from_stored(
        x: Array<f32>,
        y: &Array<f64>,
        sources: (Source, Source),
        sha256: String,
    ) -> Result<Self> {
        let labels = class_indices(y).map_err(|fault| sources.1.refuse(fault.problem))?;
        Self::assemble(&x.shape, x.values, labels, sources, sha256)
    }
}

pub(super) fn open(path: &Path) -> Result<(String, Vec<u8>)> {
    let bytes = fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    Ok((path.display().to_string(), bytes))
}

fn array<T: Value>(file: &str, bytes: &[u8]) -> Result<Array<T>> {
    npy::read(bytes).map_err(|Fault { problem, source }| {
        let problem = if bytes.starts_with(b"PK") {
            "this is an npz archive (or another zip file), not an npy file".into()
        } else {
            problem
        };
        Error::Data { file: file.into(), problem, source: source.map(Into::into) }
    })
}
