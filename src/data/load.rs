//! Data sets from npz and npy files.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Source, hex};
use super::file::Input;
use super::labels::class_indices;
use super::npy::{self, Array, Shape, Value};
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
        Self::npz_with_arrays(path, x_key, y_key, &[])
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
        let (mut npz, file, sha256) = open(path.as_ref())?;
        Self::from_npz_of(&mut npz, &file, (x_key, y_key), sha256)?
            .with_arrays_of(&mut npz, x_key, arrays)
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
        let (mut npz, file, sha256) = open(path.as_ref())?;
        let x = npz.array(x_key)?;
        Self::without_stored(x, Source::new(file, x_key), sha256)?
            .with_arrays_of(&mut npz, x_key, arrays)
    }

    /// Adds what arrays of the file make groups.
    pub(super) fn with_npz_groups(mut self, path: &Path, groups: &[String]) -> Result<Self> {
        if groups.is_empty() {
            return Ok(self);
        }
        let (mut npz, file, _) = open(path)?;
        for key in groups {
            let array = npz.texts(key)?;
            if !matches!(array.shape[..], [_] | [_, 1]) {
                let axes = Shape(&array.shape);
                let problem =
                    format!("has shape {axes}; one value per sample makes groups, shape (n,)");
                return Err(Source::new(file, key).refuse(problem));
            }
            self = self.with_groups(key, &array.values)?;
        }
        Ok(self)
    }

    pub(super) fn with_arrays_of<R: Read + Seek>(
        mut self,
        npz: &mut Npz<R>,
        x_key: &str,
        arrays: &[&str],
    ) -> Result<Self> {
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
        let sha256 = hex(Sha256::new_with_prefix(bytes));
        Self::from_npz_of(&mut Npz::new(file, Cursor::new(bytes))?, file, (x_key, y_key), sha256)
    }

    fn from_npz_of<R: Read + Seek>(
        npz: &mut Npz<R>,
        file: &str,
        (x_key, y_key): (&str, &str),
        sha256: String,
    ) -> Result<Self> {
        let (x, y) = (npz.array(x_key)?, npz.array(y_key)?);
        let sources = (Source::new(file, x_key), Source::new(file, y_key));
        Self::from_stored(x, &y, sources, sha256)
    }

    /// Reads samples and labels from one npy file each, of the kinds that [`npz_with_keys`](Self::npz_with_keys) takes.
    ///
    /// # Errors
    /// As for [`npz_with_keys`](Self::npz_with_keys).
    pub fn from_npy(x_path: impl AsRef<Path>, y_path: impl AsRef<Path>) -> Result<Self> {
        let (x, x_source, hash) = array(x_path.as_ref(), "x", Sha256::new())?;
        let (y, y_source, hash) = array(y_path.as_ref(), "y", hash)?;
        Self::from_stored(x, &y, (x_source, y_source), hex(hash))
    }

    /// Samples alone, all with the label 0.
    pub(super) fn npy_without_labels(path: &Path) -> Result<Self> {
        let (x, source, hash) = array(path, "x", Sha256::new())?;
        Self::without_stored(x, source, hex(hash))
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

    fn without_stored(x: Array<f32>, source: Source, sha256: String) -> Result<Self> {
        let labels = vec![0; x.shape.first().copied().unwrap_or_default()];
        Self::assemble(&x.shape, x.values, labels, (source.clone(), source), sha256)
    }
}

/// An npz file, what messages call it, and its hash.
pub(super) fn open(path: &Path) -> Result<(Npz<BufReader<File>>, String, String)> {
    let unread = |source| Error::Io { path: path.into(), source };
    let sha256 = hex(Input::open(path, Sha256::new())?.finish()?);
    let (file, name) = (File::open(path).map_err(unread)?, path.display().to_string());
    Ok((Npz::new(&name, BufReader::new(file))?, name, sha256))
}

/// An array of an npy file, where it is from, and the hash with the file's bytes.
pub(super) fn array<T: Value>(
    path: &Path,
    key: &str,
    hash: Sha256,
) -> Result<(Array<T>, Source, Sha256)> {
    let mut input = Input::open(path, hash)?;
    let array = input.read_by(|input| npy::read(input))?;
    Ok((array, Source::new(&*input.file, key), input.finish()?))
}
