//! The values of samples that stay in their file, one record after the other.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::dataset::Source;
use super::header::Header;
use super::npy::{Fault, Shape};
use crate::error::{Error, Result};

/// Records of one length, in C order.
#[derive(Debug)]
pub(super) struct Rows {
    path: PathBuf,
    source: Source,
    file: Mutex<File>,
    /// Where the first begins.
    start: u64,
    /// Bytes of a record before its values.
    lead: usize,
    /// Bytes of its values.
    row: usize,
    header: Header,
}

impl Rows {
    /// Those that begin at `start`, `lead` bytes before the values of each, and take `size` bytes together.
    pub(super) fn new(
        path: &Path,
        source: Source,
        header: Header,
        (start, lead, size): (u64, usize, u64),
    ) -> Result<Self> {
        if header.fortran && header.shape.len() > 1 {
            return Err(source.refuse("in Fortran order: save it as np.ascontiguousarray(x)"));
        }
        let row = header.row().map_err(|fault| source.refuse(fault.problem))?;
        let samples = header.shape.first().copied().unwrap_or(1);
        let expected = (row as u64 + lead as u64).checked_mul(samples as u64);
        if expected != Some(size) {
            return Err(source.refuse(format!(
                "{size} bytes are there, another number than shape {} needs",
                Shape(&header.shape)
            )));
        }
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Ok(Self { path: path.into(), source, file: file.into(), start, lead, row, header })
    }

    /// The header of an array and where its values begin, of a file that begins with the array at `begin`.
    pub(super) fn header(
        path: &Path,
        begin: u64,
        read: impl FnOnce(&mut File) -> Result<Header, Fault>,
    ) -> Result<(Header, u64)> {
        let unread = |source| Error::Io { path: path.into(), source };
        let mut file = File::open(path).map_err(unread)?;
        file.seek(SeekFrom::Start(begin)).map_err(unread)?;
        let header = read(&mut file).map_err(|fault| fault.of(&path.display().to_string()))?;
        let start = file.stream_position().map_err(unread)?;
        Ok((header, start))
    }

    /// The shape of all samples together.
    pub(super) fn axes(&self) -> &[usize] {
        &self.header.shape
    }

    /// Whether values are unsigned bytes.
    pub(super) fn are_bytes(&self) -> bool {
        self.header.dtype == "u1"
    }

    /// Adds the values of those at these places.
    pub(super) fn read(&self, places: &[usize], values: &mut Vec<f32>) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let stride = self.row as u64 + self.lead as u64;
        // Neighbours with nothing between them are read at once.
        for run in places.chunk_by(|one, next| self.lead == 0 && one + 1 == *next) {
            let at = self.start + run[0] as u64 * stride + self.lead as u64;
            let from = file.seek(SeekFrom::Start(at));
            from.map_err(|source| Error::Io { path: self.path.clone(), source })?;
            let bytes = (&mut *file).take(run.len() as u64 * self.row as u64);
            let part = self.header.of_rows(run.len());
            let read = part.values::<f32>(&mut BufReader::with_capacity(1 << 16, bytes));
            values.extend(read.map_err(|fault| self.source.refuse(fault.problem))?);
        }
        Ok(())
    }
}
