//! An npz file: a zip archive of npy arrays.

use std::io::{Read, Seek};

use zip::ZipArchive;
use zip::read::ZipFile;

use super::npy::{self, Array, Fault, Value, fill};
use crate::error::{Cause, Error, Result};

/// An opened archive.
#[derive(Debug)]
pub(super) struct Npz<R> {
    file: String,
    archive: ZipArchive<R>,
}

impl<R: Read + Seek> Npz<R> {
    /// Reads the archive's directory; `file` is for messages.
    pub(super) fn new(file: &str, mut reader: R) -> Result<Self> {
        let fault = |problem, source: Cause| Error::Data {
            file: file.into(),
            problem,
            source: Some(source),
        };
        let mut first = [0; 32];
        let got = fill(&mut reader, &mut first)
            .map_err(|e| fault("the file cannot be read".into(), e.into()))?;
        let archive =
            ZipArchive::new(reader).map_err(|e| fault(not_an_archive(&first[..got]), e.into()))?;
        Ok(Self { file: file.into(), archive })
    }

    /// Whether there is an array saved as `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.archive.index_for_name(&format!("{key}.npy")).is_some()
    }

    /// Reads the array saved as `key`.
    pub(super) fn array<T: Value>(&mut self, key: &str) -> Result<Array<T>> {
        self.read_by(key, |entry| npy::read(entry))
    }

    /// Where the array saved as `key` begins in the file, header first, and its bytes.
    pub(super) fn place(&mut self, key: &str) -> Result<(u64, u64)> {
        let Some(index) = self.archive.index_for_name(&format!("{key}.npy")) else {
            return Err(self.no_such(key));
        };
        let fault = |problem, source| Error::Data {
            file: self.file.clone(),
            problem: format!("`{key}`: {problem}"),
            source,
        };
        let entry = self
            .archive
            .by_index_raw(index)
            .map_err(|e| fault("the archive's entry cannot be opened", Some(e.into())))?;
        let is_stored = entry.compression() == zip::CompressionMethod::Stored;
        match entry.data_start().filter(|_| is_stored) {
            Some(start) => Ok((start, entry.size())),
            None => {
                let problem = "compressed, so that samples cannot be read one by one: save the data with np.savez, or read \
                               all of it at once";
                Err(fault(problem, None))
            }
        }
    }

    /// Reads the array saved as `key`, texts or numbers, as texts.
    pub(super) fn texts(&mut self, key: &str) -> Result<Array<String>> {
        self.read_by(key, |entry| npy::read_texts(entry))
    }

    fn read_by<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(ZipFile<'_, R>) -> Result<T, Fault>,
    ) -> Result<T> {
        let Some(index) = self.archive.index_for_name(&format!("{key}.npy")) else {
            return Err(self.no_such(key));
        };
        let file = self.file.clone();
        let entry = self.archive.by_index(index).map_err(|e| Error::Data {
            file: file.clone(),
            problem: format!("`{key}`: the archive's entry cannot be opened"),
            source: Some(e.into()),
        })?;
        read(entry).map_err(|Fault { problem, source }| {
            Fault { problem: format!("`{key}`: {problem}"), source }.of(&file)
        })
    }

    fn no_such(&self, key: &str) -> Error {
        let names = self.archive.file_names_raw().map(String::from_utf8_lossy);
        let mut names: Vec<_> =
            names.filter_map(|name| Some(format!("`{}`", name.strip_suffix(".npy")?))).collect();
        names.sort();
        let problem = if names.is_empty() {
            format!("no array `{key}`; the archive holds no arrays at all")
        } else {
            format!("no array `{key}`; the file has {}: name the keys to use", names.join(", "))
        };
        Error::Data { file: self.file.clone(), problem, source: None }
    }
}

/// What a file that is no zip archive seems to be.
fn not_an_archive(bytes: &[u8]) -> String {
    let found = if bytes.is_empty() {
        "the file is empty"
    } else if bytes.starts_with(b"PK") {
        "the archive is cut short or damaged: download or save it again"
    } else if bytes.starts_with(b"\x93NUMPY") {
        "this is one npy array: read it together with its labels as npy files"
    } else if bytes.starts_with(b"version https://git-lfs") {
        "this is a Git LFS pointer, not the data: run `git lfs pull`"
    } else {
        "this is not a zip archive: save the data with np.savez"
    };
    format!("not an npz file: {found}")
}
