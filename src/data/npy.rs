//! One array in numpy's npy format, from any reader.
//!
//! Written out rather than left to `npyz`, which we write with: files come from strangers, and its reader multiplies
//! unchecked extents, allocates whatever header size a file claims and recurses on nested brackets.

use std::io::{self, Read};

use half::f16;
use ndarray::{ArrayD, ShapeBuilder};

use super::header::Header;
use crate::error::Error;

/// The longest text.
const MAX_TEXT: usize = 1 << 12;
/// Bytes that are decoded at once; a multiple of every item size.
const BLOCK: usize = 1 << 16;

/// Why an array cannot be used: what was found and what to do, and what the reader below said.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) problem: String,
    pub(super) source: Option<io::Error>,
}

impl Fault {
    /// As a fault of this file.
    pub(super) fn of(self, file: &str) -> Error {
        let source = self.source.map(Into::into);
        Error::Data { file: file.into(), problem: self.problem, source }
    }
}

impl From<String> for Fault {
    fn from(problem: String) -> Self {
        Self { problem, source: None }
    }
}

impl From<&str> for Fault {
    fn from(problem: &str) -> Self {
        problem.to_owned().into()
    }
}

impl From<io::Error> for Fault {
    fn from(source: io::Error) -> Self {
        let problem = match source.kind() {
            io::ErrorKind::UnexpectedEof => "the array is cut short",
            _ => "the array is damaged",
        };
        Self { problem: problem.into(), source: Some(source) }
    }
}

/// An array in C order.
#[derive(Debug)]
pub(super) struct Array<T> {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<T>,
}

/// Reads one array to the end of `reader`, converting each value to `T`.
pub(super) fn read<T: Value>(mut reader: impl Read) -> Result<Array<T>, Fault> {
    let header = Header::read(&mut reader)?;
    let values = header.values(&mut reader)?;
    let Header { shape, fortran, .. } = header;
    if !fortran || shape.len() < 2 {
        return Ok(Array { shape, values });
    }
    // A view in Fortran order iterates in C order.
    let array = ArrayD::from_shape_vec(shape.clone().f(), values)
        .map_err(|e| format!("the shape {} cannot be used: {e}", Shape(&shape)))?;
    Ok(Array { shape, values: array.iter().copied().collect() })
}

/// Reads one array to the end of `reader` as texts: those of numpy's dtypes U and S, or numbers.
pub(super) fn read_texts(mut reader: impl Read) -> Result<Array<String>, Fault> {
    let header = Header::read(&mut reader)?;
    let (kind, size) = header.dtype.split_at(header.dtype.len().min(1));
    let size: Option<usize> = size.parse().ok().filter(|size| (1..=MAX_TEXT).contains(size));
    let texts = match (kind, size) {
        ("U", Some(size)) => header.texts(&mut reader, 4 * size, |bytes| {
            let point = |bytes: &[u8]| char::from_u32(u32::decode(bytes, header.big_endian));
            bytes.chunks_exact(4).map(point).collect::<Option<String>>()
        })?,
        ("S", Some(size)) => {
            header.texts(&mut reader, size, |bytes| String::from_utf8(bytes.to_vec()).ok())?
        }
        ("U" | "S", None) => {
            return Err(format!("holds texts of length {}", &header.dtype[1..]).into());
        }
        _ => {
            let numbers: Vec<f64> = header.values(&mut reader)?;
            numbers.iter().map(f64::to_string).collect()
        }
    };
    Ok(Array { shape: header.shape, values: texts })
}

/// A shape as Python prints it.
pub(super) struct Shape<'a>(pub(super) &'a [usize]);

impl std::fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [one] => write!(f, "({one},)"),
            all => {
                let axes: Vec<_> = all.iter().map(usize::to_string).collect();
                write!(f, "({})", axes.join(", "))
            }
        }
    }
}

/// What values are converted to.
pub(super) trait Value: Copy {
    /// `None` when a finite number would become infinite.
    fn of(item: impl Item) -> Option<Self>;
}

impl Value for f32 {
    fn of(item: impl Item) -> Option<Self> {
        let value = item.to_f32();
        (value.is_finite() || !item.to_f64().is_finite()).then_some(value)
    }
}

impl Value for f64 {
    fn of(item: impl Item) -> Option<Self> {
        Some(item.to_f64())
    }
}

/// What values are stored as.
pub(super) trait Item: Copy {
    /// From one item's bytes.
    fn decode(bytes: &[u8], big_endian: bool) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
}

macro_rules! items {
    ($($stored:ty: $f32:expr, $f64:expr;)*) => {$(
        impl Item for $stored {
            fn decode(bytes: &[u8], big_endian: bool) -> Self {
                let mut item = [0; size_of::<Self>()];
                item.copy_from_slice(bytes);
                if big_endian { Self::from_be_bytes(item) } else { Self::from_le_bytes(item) }
            }
            fn to_f32(self) -> f32 { ($f32)(self) }
            fn to_f64(self) -> f64 { ($f64)(self) }
        }
    )*};
}

items! {
    f16: f16::to_f32, f16::to_f64;
    f32: |v| v, f64::from;
    f64: |v| v as f32, |v| v;
    i8: f32::from, f64::from;
    i16: f32::from, f64::from;
    i32: |v| v as f32, f64::from;
    i64: |v| v as f32, |v| v as f64;
    u8: f32::from, f64::from;
    u16: f32::from, f64::from;
    u32: |v| v as f32, f64::from;
    u64: |v| v as f32, |v| v as f64;
}

/// One byte; anything but 0 is true.
#[derive(Clone, Copy)]
struct Flag(bool);

impl Item for Flag {
    fn decode(bytes: &[u8], _: bool) -> Self {
        Self(bytes.iter().any(|byte| *byte != 0))
    }
    fn to_f32(self) -> f32 {
        f32::from(u8::from(self.0))
    }
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self.0))
    }
}

impl Header {
    /// Bytes of one entry along the first axis.
    pub(super) fn row(&self) -> Result<usize, Fault> {
        let size = self.dtype.get(1..).and_then(|size| size.parse::<usize>().ok());
        let axes = self.shape.get(1..).unwrap_or_default();
        let bytes = axes.iter().try_fold(size.unwrap_or(1), |bytes, axis| bytes.checked_mul(*axis));
        bytes.ok_or_else(|| {
            format!("the shape {} is larger than any memory", Shape(&self.shape)).into()
        })
    }

    /// That of `count` entries along the first axis.
    pub(super) fn of_rows(&self, count: usize) -> Self {
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = count;
        }
        Self { shape, dtype: self.dtype.clone(), ..*self }
    }

    /// Reads to the end what stands behind the header.
    pub(super) fn values<T: Value>(&self, reader: &mut impl Read) -> Result<Vec<T>, Fault> {
        match self.dtype.as_str() {
            "b1" => self.items::<Flag, T>(reader, 1),
            "f2" => self.items::<f16, T>(reader, 2),
            "f4" => self.items::<f32, T>(reader, 4),
            "f8" => self.items::<f64, T>(reader, 8),
            "i1" => self.items::<i8, T>(reader, 1),
            "i2" => self.items::<i16, T>(reader, 2),
            "i4" => self.items::<i32, T>(reader, 4),
            "i8" => self.items::<i64, T>(reader, 8),
            "u1" => self.items::<u8, T>(reader, 1),
            "u2" => self.items::<u16, T>(reader, 2),
            "u4" => self.items::<u32, T>(reader, 4),
            "u8" => self.items::<u64, T>(reader, 8),
            other => Err(self.unreadable(other)),
        }
    }

    /// Texts of so many bytes each, padded by zeros.
    fn texts(
        &self,
        reader: &mut impl Read,
        size: usize,
        decode: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<Vec<String>, Fault> {
        let count = self.shape.iter().try_fold(1_usize, |count, axis| count.checked_mul(*axis));
        let (mut item, mut texts) = (vec![0; size], vec![]);
        loop {
            let got = fill(reader, &mut item)?;
            if got == 0 && Some(texts.len()) == count {
                return Ok(texts);
            }
            if got < size || count.is_none_or(|count| texts.len() >= count) {
                let axes = Shape(&self.shape);
                return Err(format!(
                    "shape {axes} does not fit the {} texts that are there",
                    texts.len()
                )
                .into());
            }
            let text =
                decode(&item).ok_or_else(|| format!("text {} is not Unicode", texts.len()))?;
            texts.push(text.trim_end_matches('\0').to_owned());
        }
    }

    fn unreadable(&self, dtype: &str) -> Fault {
        let what = match dtype.as_bytes().first() {
            Some(b'O') => "holds Python objects (a pickle), which are never loaded",
            Some(b'S' | b'U' | b'a') => "holds text",
            Some(b'c') => "holds complex numbers",
            Some(b'M' | b'm') => "holds dates or durations",
            Some(b'V') => "holds raw bytes (bfloat16 is saved so)",
            _ => "has a dtype that is not supported",
        };
        format!(
            "{what} (dtype `{dtype}`); save it as numbers: array.astype(np.float32) or np.int64"
        )
        .into()
    }

    fn items<S: Item, T: Value>(
        &self,
        reader: &mut impl Read,
        size: usize,
    ) -> Result<Vec<T>, Fault> {
        let axes = || Shape(&self.shape);
        let count = self.shape.iter().try_fold(1_usize, |count, axis| count.checked_mul(*axis));
        // isize::MAX is the most that one allocation may hold.
        let bytes = count
            .and_then(|count| count.checked_mul(size.max(size_of::<T>())))
            .filter(|bytes| *bytes <= isize::MAX as usize);
        let (Some(count), Some(_)) = (count, bytes) else {
            return Err(format!("the shape {} is larger than any memory", axes()).into());
        };
        // The header is not believed: beyond a block, memory is taken as data arrives.
        let mut values = Vec::with_capacity(count.min(BLOCK));
        let mut block = vec![0; BLOCK];
        while values.len() < count {
            let want = ((count - values.len()) * size).min(BLOCK);
            let got = fill(reader, &mut block[..want])?;
            if got < want {
                let found = values.len() + got / size;
                return Err(format!(
                    "the array is cut short: shape {} needs {count} values, {found} are there",
                    axes()
                )
                .into());
            }
            for bytes in block[..want].chunks_exact(size) {
                let item = S::decode(bytes, self.big_endian);
                let Some(value) = T::of(item) else {
                    return Err(format!(
                        "value {} (as stored) is {:e}, too large for a 32-bit float",
                        values.len(),
                        item.to_f64()
                    )
                    .into());
                };
                values.push(value);
            }
        }
        // Reading on to the end also has a zip entry's checksum verified.
        if fill(reader, &mut block[..1])? > 0 {
            return Err(format!("more data than shape {} needs", axes()).into());
        }
        Ok(values)
    }
}

/// Reads until `buffer` is full or the data ends; returns how much was read.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
