//! Data files: read once, hashed as they are read, decompressed where they are gzip.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::npy::{Fault, fill};
use crate::error::{Error, Result};

/// A file from its first byte to its last.
pub(super) struct Input {
    /// What messages call it.
    pub(super) file: String,
    reader: Decoded,
}

enum Decoded {
    Plain(BufReader<Hashed>),
    Gzip(Box<MultiGzDecoder<BufReader<Hashed>>>),
}

/// Hashes what passes.
struct Hashed {
    file: File,
    hash: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.reader {
            Decoded::Plain(reader) => reader.read(buffer),
            Decoded::Gzip(reader) => reader.read(buffer),
        }
    }
}

impl Input {
    /// Opens a file, whose bytes go into `hash` after what is in it.
    pub(super) fn open(path: &Path, hash: Sha256) -> Result<Self> {
        let unread = |source| Error::Io { path: path.into(), source };
        let file = File::open(path).map_err(unread)?;
        let mut reader = BufReader::new(Hashed { file, hash });
        let is_gzip = reader.fill_buf().map_err(unread)?.starts_with(&[0x1f, 0x8b]);
        let reader = if is_gzip {
            Decoded::Gzip(MultiGzDecoder::new(reader).into())
        } else {
            Decoded::Plain(reader)
        };
        Ok(Self { file: path.display().to_string(), reader })
    }

    /// Whether its bytes stand for others.
    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.reader, Decoded::Gzip(_))
    }

    /// The hash, with the bytes of the whole file, compressed as they are.
    pub(super) fn finish(self) -> Result<Sha256> {
        let mut hashed = match self.reader {
            Decoded::Plain(reader) => reader.into_inner(),
            Decoded::Gzip(reader) => reader.into_inner().into_inner(),
        };
        io::copy(&mut hashed, &mut io::sink())
            .map_err(|source| Error::Io { path: self.file.into(), source })?;
        Ok(hashed.hash)
    }

    /// Reads by `read`, and says in which file a fault is.
    pub(super) fn read_by<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T> {
        read(self).map_err(|fault| fault.of(&self.file))
    }
}

/// What is wrong with the data of a file.
pub(super) fn fault(path: &Path, problem: impl Into<String>) -> Error {
    Error::Data { file: path.display().to_string(), problem: problem.into(), source: None }
}

/// The first bytes of a file, decompressed; fewer where it has no more.
pub(super) fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut input = Input::open(path, Sha256::new())?;
    let mut bytes = vec![0; 32];
    let read = input.read_by(|input| Ok(fill(input, &mut bytes)?))?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The first line of a text, decompressed: at most the first 64 KiB.
pub(super) fn first_line(path: &Path) -> Result<Vec<u8>> {
    let mut input = Input::open(path, Sha256::new())?;
    let mut bytes = vec![0; 1 << 16];
    let read = input.read_by(|input| Ok(fill(input, &mut bytes)?))?;
    let end = bytes[..read].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    bytes.truncate(end.unwrap_or(read));
    Ok(bytes)
}

/// The lines of a text file of names, one a line.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let lines = text.trim_start_matches('\u{feff}').trim_end().lines();
    let names: Vec<String> = lines.map(|line| line.trim().to_owned()).collect();
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(fault(path, format!("line {} is empty; a class name is expected", at + 1)));
        }
        if let Some(earlier) = names[..at].iter().position(|other| other == name) {
            let (one, other) = (earlier + 1, at + 1);
            return Err(fault(
                path,
                format!("lines {one} and {other} both name the class `{name}`"),
            ));
        }
    }
    Ok(names)
}
