//! Writing npz files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use npyz::{AutoSerialize, WriteOptions, WriterBuilder};
use tempfile::Builder;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::error::{Error, Result};

/// Values of an array to be written, in C order.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum NpzValues<'a> {
    /// Written as bool.
    Bool(&'a [bool]),
    /// Written as f32.
    F32(&'a [f32]),
    /// Written as f64.
    F64(&'a [f64]),
    /// Labels, ids and counts: written as i64, numpy's own integer.
    Index(&'a [usize]),
}

impl NpzValues<'_> {
    fn len(self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Index(values) => values.len(),
        }
    }
}

/// An array to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NpzArray<'a> {
    shape: Vec<usize>,
    values: NpzValues<'a>,
}

impl<'a> NpzArray<'a> {
    /// An array of `shape`, whose product is the number of values.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is not.
    pub fn new(shape: impl Into<Vec<usize>>, values: NpzValues<'a>) -> Result<Self> {
        let shape = shape.into();
        let count = shape.iter().try_fold(1_usize, |count, axis| count.checked_mul(*axis));
        if count != Some(values.len()) {
            let expected = format!("its product must be the number of values, {}", values.len());
            return Err(Error::parameter("shape", format!("{shape:?}"), expected));
        }
        Ok(Self { shape, values })
    }
}

impl<'a> From<NpzValues<'a>> for NpzArray<'a> {
    /// An array with one axis.
    fn from(values: NpzValues<'a>) -> Self {
        Self { shape: vec![values.len()], values }
    }
}

/// Writes a compressed npz file, as `numpy.savez_compressed` would: the arrays are read back by their keys.
///
/// The file appears complete or not at all: it is written beside `path` under another name and then renamed, replacing
/// a file that is there. The same arrays give the same bytes.
///
/// # Errors
/// [`Error::Io`] when it cannot be written; [`Error::Data`] when a key is empty or given twice.
pub fn write_npz(path: impl AsRef<Path>, arrays: &[(&str, NpzArray<'_>)]) -> Result<()> {
    let path = path.as_ref();
    for (index, (key, _)) in arrays.iter().enumerate() {
        if key.is_empty() || arrays[..index].iter().any(|(other, _)| other == key) {
            let file = path.display().to_string();
            let problem = format!("`{key}`: every array needs a key of its own");
            return Err(Error::Data { file, problem, source: None });
        }
    }
    atomically(path, |file| {
        let mut zip = ZipWriter::new(file);
        for (key, array) in arrays {
            // The zip format's short form ends at 4 GiB; the largest item has 8 bytes.
            let large = array.values.len() >= (1 << 28);
            let options = SimpleFileOptions::default().large_file(large);
            zip.start_file(format!("{key}.npy"), options)?;
            write_npy(&mut zip, array)?;
        }
        zip.finish()?;
        Ok(())
    })
    .map_err(|source| Error::Io { path: path.into(), source })
}

/// Lets `write` fill a new file in the folder of `path`, and renames it to `path` if that succeeds.
pub(crate) fn atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file, less what the umask takes away; temporary files are the owner's alone otherwise.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    let mut buffer = BufWriter::new(file.as_file());
    write(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn write_npy(out: impl Write, NpzArray { shape, values }: &NpzArray<'_>) -> io::Result<()> {
    match values {
        NpzValues::Bool(values) => write_items(out, shape, values.iter().copied()),
        NpzValues::F32(values) => write_items(out, shape, values.iter().copied()),
        NpzValues::F64(values) => write_items(out, shape, values.iter().copied()),
        NpzValues::Index(values) => write_items(
            out,
            shape,
            values.iter().map(|value| i64::try_from(*value).unwrap_or(i64::MAX)),
        ),
    }
}

fn write_items<T: AutoSerialize>(
    out: impl Write,
    shape: &[usize],
    values: impl Iterator<Item = T>,
) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|axis| *axis as u64).collect();
    let mut out = BufWriter::new(out);
    let mut writer =
        WriteOptions::new().default_dtype().shape(&shape).writer(&mut out).begin_nd()?;
    writer.extend(values)?;
    writer.finish()?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adversarial.npz");
        let x: Vec<f32> = (0..24).map(|i| i as f32 / 7.0).collect();
        let write = || {
            let arrays = [
                ("x_adv", NpzArray::new([3, 2, 4], NpzValues::F32(&x)).unwrap()),
                ("y", NpzValues::Index(&[2, 0, 1]).into()),
                ("distance", NpzValues::F64(&[0.1, 0.2, 0.3]).into()),
                ("broken", NpzValues::Bool(&[true, false, true]).into()),
            ];
            write_npz(&path, &arrays).unwrap();
            std::fs::read(&path).unwrap()
        };
        assert_eq!(write(), write());
        let data = Dataset::npz_with_keys(&path, "x_adv", "y").unwrap();
        assert_eq!((data.shape(), data.values()), (&[2, 4][..], &x[..]));
        assert_eq!(data.labels(), [2, 0, 1]);
        assert_eq!(Dataset::npz_with_keys(&path, "x_adv", "broken").unwrap().labels(), [1, 0, 1]);
        // Nothing else is left behind.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_scalar_and_an_empty_array_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odd.npz");
        let scalar = NpzArray::new([], NpzValues::F64(&[0.5])).unwrap();
        let none = NpzArray::new([0, 3], NpzValues::F32(&[])).unwrap();
        write_npz(&path, &[("eps", scalar), ("none", none)]).unwrap();
        let message = |x, y| Dataset::npz_with_keys(&path, x, y).unwrap_err().to_string();
        assert!(message("eps", "none").contains("`none`: labels have shape (0, 3);"));
        assert!(message("none", "eps").contains("labels have shape ()"));
    }

    #[test]
    fn impossible_arrays_and_places_are_refused() {
        let message = NpzArray::new([2, 2], NpzValues::F32(&[0.0; 3])).unwrap_err().to_string();
        assert_eq!(message, "`shape` is [2, 2]: its product must be the number of values, 3");
        assert!(NpzArray::new([usize::MAX, 2], NpzValues::F32(&[0.0; 3])).is_err());
        let folder = tempfile::tempdir().unwrap();
        let one = || NpzArray::from(NpzValues::Index(&[1]));
        let path = folder.path().join("a.npz");
        let message = write_npz(&path, &[("y", one()), ("y", one())]).unwrap_err().to_string();
        assert!(message.ends_with("`y`: every array needs a key of its own"), "{message}");
        let nowhere = folder.path().join("missing").join("a.npz");
        assert!(matches!(write_npz(nowhere, &[("y", one())]), Err(Error::Io { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
