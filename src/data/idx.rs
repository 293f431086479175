//! IDX files, the format of MNIST.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Source, hex};
use super::file::{Input, fault};
use super::header::Header;
use super::labels::class_indices;
use super::npy::{Array, Fault, Value, fill};
use crate::error::Result;

/// The types that the third byte of a file tells, as numpy names them.
const TYPES: [(u8, &str); 6] =
    [(0x08, "u1"), (0x09, "i1"), (0x0b, "i2"), (0x0c, "i4"), (0x0d, "f4"), (0x0e, "f8")];

impl Dataset {
    /// Reads samples and labels from one IDX file each, as MNIST is published; both may be compressed by gzip.
    ///
    /// Samples: any type of the format; the first axis counts the samples. Unsigned bytes are taken for pixels and divided
    /// by 255, which is [noted](Self::notes); all else keeps its values. Labels: as for
    /// [`npz_with_keys`](Self::npz_with_keys).
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read; [`Error::Data`], naming the file, when it is no IDX file, is cut short,
    /// damaged or longer than it says, or holds no samples, values beyond the range of f32, labels that are no class indices
    /// or a different number of them.
    ///
    /// [`Error::Io`]: crate::Error::Io
    /// [`Error::Data`]: crate::Error::Data
    pub fn from_idx(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Self> {
        read(images.as_ref(), Some(labels.as_ref()), false)
    }
}

/// Without labels, all of them are 0. `raw` leaves pixels as they are.
pub(super) fn read(images: &Path, labels: Option<&Path>, raw: bool) -> Result<Dataset> {
    let (x, is_bytes, x_source, hash) = array::<f32>(images, "images", Sha256::new())?;
    let (y, y_source, hash) = match labels {
        Some(path) => {
            let (y, _, source, hash) = array::<f64>(path, "labels", hash)?;
            (class_indices(&y).map_err(|fault| source.refuse(fault.problem))?, source, hash)
        }
        None => (vec![0; x.shape.first().copied().unwrap_or(0)], x_source.clone(), hash),
    };
    let data = Dataset::assemble(&x.shape, x.values, y, (x_source, y_source), hex(hash))?;
    Ok(if is_bytes && !raw { data.with_pixels_scaled() } else { data })
}

/// The file of labels that belongs to one of images by the names that MNIST and its relatives have.
pub(super) fn labels_beside(images: &Path) -> Result<PathBuf> {
    let name = images.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((start, end)) = name.rsplit_once("images") else {
        let problem = "an IDX file of samples has its labels in another one: name it (labels)";
        return Err(fault(images, problem));
    };
    // The digit counts the axes: images have three, labels one.
    let axes = end.find("idx").map_or("", |at| end.get(at..at + 4).unwrap_or_default());
    let end = if axes.is_empty() { end.to_owned() } else { end.replacen(axes, "idx1", 1) };
    let beside = images.with_file_name(format!("{start}labels{end}"));
    let other = match beside.to_str().and_then(|path| path.strip_suffix(".gz")) {
        Some(plain) => PathBuf::from(plain),
        None => PathBuf::from(format!("{}.gz", beside.display())),
    };
    [&beside, &other].into_iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let problem = format!(
            "its labels are looked for in {}, which is not there: name the file (labels)",
            beside.display()
        );
        fault(images, problem)
    })
}

/// Whether a file starts as one of this format does.
pub(super) fn is_idx(first: &[u8]) -> bool {
    matches!(first, [0, 0, code, axes, ..] if *axes > 0 && TYPES.iter().any(|(of, _)| of == code))
}

/// An array, whether it holds unsigned bytes, where it is from, and the hash with the file's bytes.
pub(super) fn array<T: Value>(
    path: &Path,
    key: &str,
    hash: Sha256,
) -> Result<(Array<T>, bool, Source, Sha256)> {
    let mut input = Input::open(path, hash)?;
    let (array, is_bytes) = input.read_by(|input| {
        let header = header(input)?;
        let values = header.values(input)?;
        Ok((Array { shape: header.shape, values }, header.dtype == "u1"))
    })?;
    let source = Source::new(&*input.file, key);
    Ok((array, is_bytes, source, input.finish()?))
}

pub(super) fn header(reader: &mut impl Read) -> Result<Header, Fault> {
    let mut start = [0; 4];
    let got = fill(reader, &mut start)?;
    let [zero, zero_too, code, axes] = start;
    if got < start.len() || (zero, zero_too) != (0, 0) {
        return Err(
            "not an IDX file: it does not start with two zeros, a type and a number of axes".into(),
        );
    }
    let dtype = TYPES.iter().find(|(of, _)| *of == code).ok_or_else(|| {
        format!("the IDX type {code:#04x} is unknown; the format has 0x08, 0x09 and 0x0b to 0x0e")
    })?;
    let axis = |_| {
        let mut axis = [0; 4];
        let got = fill(reader, &mut axis)?;
        if got < axis.len() {
            return Err(Fault::from(format!("cut short within the sizes of its {axes} axes")));
        }
        Ok(u32::from_be_bytes(axis) as usize)
    };
    let shape = (0..axes).map(axis).collect::<Result<_, _>>()?;
    Ok(Header { dtype: dtype.1.into(), big_endian: true, fortran: false, shape })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::Error;
    use crate::data::DataOptions;

    fn idx(code: u8, axes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, axes.len() as u8];
        axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn images() -> Vec<u8> {
        idx(0x08, &[2, 2, 3], &[0, 51, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    }

    fn labels() -> Vec<u8> {
        idx(0x08, &[2], &[7, 2])
    }

    /// Reads these bytes as images and labels.
    fn read_bytes(images: &[u8], labels: &[u8]) -> Result<Dataset> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        fs::write(path("images"), images).unwrap();
        fs::write(path("labels"), labels).unwrap();
        Dataset::from_idx(path("images"), path("labels"))
    }

    fn problem(images: &[u8], labels: &[u8]) -> String {
        read_bytes(images, labels).unwrap_err().one_line()
    }

    #[test]
    fn pixels_are_divided_by_255_unless_they_shall_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t10k-images-idx3-ubyte");
        fs::write(&path, images()).unwrap();
        fs::write(folder.path().join("t10k-labels-idx1-ubyte"), labels()).unwrap();
        let data = Dataset::open(&path, &DataOptions::default()).unwrap();
        assert_eq!((data.shape(), data.labels()), (&[2, 3][..], &[7, 2][..]));
        let shares = [0.0, 51.0, 255.0, 1.0, 2.0, 3.0].map(|pixel: f32| pixel / 255.0);
        assert_eq!(data.sample(0), shares);
        assert_eq!(data.notes()[0].code, "data-scaled");
        assert_eq!(data.path(), path.to_str().unwrap());
        let both = Sha256::new_with_prefix(images()).chain_update(labels());
        assert_eq!(data.sha256(), hex(both));
        let raw = DataOptions { raw_pixels: true, ..DataOptions::default() };
        let data = Dataset::open(&path, &raw).unwrap();
        assert_eq!((data.sample(0)[2], data.notes().len()), (255.0, 0));
        let unlabelled = DataOptions { unlabelled: true, ..DataOptions::default() };
        assert_eq!(Dataset::open(&path, &unlabelled).unwrap().labels(), [0, 0]);
        let other = DataOptions { keys: Some(("x".into(), "y".into())), ..DataOptions::default() };
        let message = Dataset::open(&path, &other).unwrap_err().to_string();
        assert_eq!(message, "`keys` is given: the data are of the kind IDX, this is for npz");
    }

    #[test]
    fn compressed_files_hold_the_same_and_names_are_matched() {
        for (images_name, labels_name) in [
            ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
            ("t10k-images.idx3-ubyte.gz", "t10k-labels.idx1-ubyte"),
            ("emnist-letters-test-images-idx3-ubyte", "emnist-letters-test-labels-idx1-ubyte.gz"),
            ("images", "labels"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(images_name);
            let as_named = |name: &str, bytes: Vec<u8>| match name.ends_with(".gz") {
                true => gzip(&bytes),
                false => bytes,
            };
            fs::write(&path, as_named(images_name, images())).unwrap();
            let missing = Dataset::open(&path, &DataOptions::default()).unwrap_err().to_string();
            assert!(missing.contains("labels") && missing.contains("is not there"), "{missing}");
            let labels = as_named(labels_name, labels());
            fs::write(folder.path().join(labels_name), labels).unwrap();
            let data = Dataset::open(&path, &DataOptions::default()).unwrap();
            assert_eq!((data.labels(), data.sample(1)[5]), (&[7, 2][..], 9.0 / 255.0));
            let file = fs::read(&path).unwrap();
            let alone = DataOptions { unlabelled: true, ..DataOptions::default() };
            let alone = Dataset::open(&path, &alone).unwrap();
            assert_eq!(alone.sha256(), hex(Sha256::new_with_prefix(file)));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.idx");
        fs::write(&path, images()).unwrap();
        let message = Dataset::open(&path, &DataOptions::default()).unwrap_err().to_string();
        assert!(message.ends_with("has its labels in another one: name it (labels)"), "{message}");
    }

    #[test]
    fn every_type_is_read_as_it_is() {
        for (code, data, values) in [
            (0x09, vec![0x80, 0x7f], [-128.0, 127.0]),
            (0x0b, vec![0x01, 0x00, 0xff, 0xff], [256.0, -1.0]),
            (0x0c, vec![0, 1, 0, 0, 0xff, 0xff, 0xff, 0xfe], [65_536.0, -2.0]),
            (0x0d, [0.1_f32, -3.5].iter().flat_map(|v| v.to_be_bytes()).collect(), [0.1, -3.5]),
            (0x0e, [0.1_f64, -3.5].iter().flat_map(|v| v.to_be_bytes()).collect(), [0.1, -3.5]),
        ] {
            let data = read_bytes(&idx(code, &[2, 1], &data), &labels()).unwrap();
            assert_eq!((data.values(), data.notes().len()), (&values[..], 0));
        }
        let wide = idx(0x0c, &[2, 1], &[0, 0, 0, 3, 0, 0, 1, 0]);
        assert_eq!(read_bytes(&images(), &wide).unwrap().labels(), [3, 256]);
    }

    #[test]
    fn files_that_are_none_are_refused() {
        let (x, y) = (images(), labels());
        for (images, labels, words) in [
            (vec![], y.clone(), "images: not an IDX file"),
            (vec![0, 0, 8], y.clone(), "images: not an IDX file"),
            (b"PK\x03\x04and more".to_vec(), y.clone(), "images: not an IDX file"),
            (idx(0x0a, &[2, 1], &[0; 2]), y.clone(), "images: the IDX type 0x0a is unknown"),
            (x[..10].to_vec(), y.clone(), "images: cut short within the sizes of its 3 axes"),
            (x[..20].to_vec(), y.clone(), "shape (2, 2, 3) needs 12 values, 4 are there"),
            ([&x[..], &[0]].concat(), y.clone(), "images: more data than shape (2, 2, 3) needs"),
            (idx(8, &[u32::MAX; 4], &[]), y.clone(), "is larger than any memory"),
            (idx(8, &[u32::MAX, 1 << 12], &[1]), y.clone(), "needs 17592186040320 values, 1 are"),
            (idx(8, &[0, 28, 28], &[]), idx(8, &[0], &[]), "there is nothing in it"),
            (idx(8, &[2], &[1, 2]), y.clone(), "at least one more holds the features"),
            (idx(8, &[], &[1]), y.clone(), "the first axis must count the samples"),
            (x.clone(), idx(8, &[3], &[0; 3]), "labels: `labels`: 3 labels for 2 samples"),
            (x.clone(), idx(9, &[2], &[0, 0xff]), "labels: `labels`: the label of sample 1 is -1"),
            (x.clone(), x.clone(), "labels: `labels`: labels have shape (2, 2, 3)"),
            (x.clone(), vec![], "labels: not an IDX file"),
            (gzip(&x)[..20].to_vec(), y.clone(), "images: the array is cut short"),
        ] {
            let message = problem(&images, &labels);
            assert!(message.contains(words), "{message:?} does not say {words:?}");
        }
        let missing = Dataset::from_idx("no/such/file", "no/other").unwrap_err();
        assert!(matches!(missing, Error::Io { .. }), "{missing}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn damaged_files_never_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            length in any::<prop::sample::Index>(),
            compressed in any::<bool>(),
        ) {
            let mut bytes = if compressed { gzip(&images()) } else { images() };
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes.truncate(length.index(bytes.len() + 1));
            let _ = read_bytes(&bytes, &labels());
            let _ = read_bytes(&images(), &bytes);
        }
    }
}
