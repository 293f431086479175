//! A data set of any kind, told by its file.

use std::path::{Path, PathBuf};

use super::dataset::Dataset;
use super::file::{fault, first_bytes, names};
use super::shape::Layout;
use super::{cifar, idx};
use crate::error::{Error, Result};
use crate::model::{Classifier, Model};
use crate::profile::{self, Stage};

/// How a data set is read, where its file leaves that open: see [`Dataset::open`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataOptions {
    /// Of an npz file, the arrays with the samples and their classes. Default: `x` and `y`.
    pub keys: Option<(String, String)>,
    /// Further arrays of an npz file or columns of a table, for the inputs of a model that it takes besides the attacked
    /// one; those that are not there are left out.
    pub arrays: Vec<String>,
    /// The file with the classes, where they are apart from the samples: of IDX and npy. Default: for IDX, the one beside
    /// it that is named as MNIST's are.
    pub labels: Option<PathBuf>,
    /// Whether to pass over the labels, for models that are no classifiers: all are 0 then.
    pub unlabelled: bool,
    /// A text file with the names of the classes, one a line, in the order of the model's outputs. Where the data name their
    /// classes, they are numbered by it.
    pub class_names: Option<PathBuf>,
    /// Of a table, the column with the classes, by its name or its number, from 0. Default: that called `label`, `y`, `target`
    /// or `class`, else the last one.
    pub label: Option<String>,
    /// Of a table, columns that are no features, by name or number.
    pub drop: Vec<String>,
    /// Arrays of an npz file or columns of a table whose values make [groups](Dataset::groups). A column of a table stays a
    /// feature unless it is dropped.
    pub groups: Vec<String>,
    /// Whether pixels keep the values 0 to 255, rather than being divided by 255: of IDX and CIFAR.
    pub raw_pixels: bool,
    /// The shape of the model's input, without the batch axis: images of a folder are brought to its size and channels.
    pub sample_shape: Option<Vec<usize>>,
    /// Of a folder of images, what the shorter side is scaled to before the centre is cut out. Default: the image just covers
    /// the shape.
    pub resize: Option<u32>,
    /// How images lie, where their shape does not tell.
    pub layout: Option<Layout>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataKind {
    /// Arrays in a zip archive.
    Npz,
    /// One array.
    Npy,
    /// One array of MNIST's format.
    Idx,
    /// Records of CIFAR-10 or CIFAR-100.
    Cifar,
    /// CSV or TSV.
    Table,
    /// A folder with a folder of images for each class.
    Images,
}

impl Dataset {
    /// Reads a data set of any kind, told by the name and the first bytes of its file:
    ///
    /// | file | see |
    /// |---|---|
    /// | `.npz` | [`npz_with_keys`](Self::npz_with_keys) |
    /// | `.npy`, with [`labels`](DataOptions::labels) | [`from_npy`](Self::from_npy) |
    /// | IDX, such as `t10k-images-idx3-ubyte` or `….gz` | [`from_idx`](Self::from_idx) |
    /// | CIFAR, such as `test_batch.bin` | [`from_cifar`](Self::from_cifar) |
    /// | a folder, `folder/class/image.png` | [`from_images`](Self::from_images) |
    /// | `.csv`, `.tsv`, `.tab`, also compressed | [`from_csv`](Self::from_csv) |
    ///
    /// # Errors
    /// Those of the functions above; [`Error::Data`] when the file is of no known kind, or class names are fewer than the
    /// labels need; [`Error::Parameter`] for an option that is none for files of this kind.
    pub fn open(path: impl AsRef<Path>, options: &DataOptions) -> Result<Self> {
        let _within = profile::enter(Stage::Load);
        let path = path.as_ref();
        let kind = DataKind::of(path)?;
        options.expect_for(kind)?;
        let data = match kind {
            DataKind::Npz => options.npz(path)?,
            DataKind::Npy => options.npy(path)?,
            DataKind::Idx => options.idx(path)?,
            DataKind::Cifar => cifar::read(&[path.into()], options.raw_pixels)?,
            DataKind::Table => Self::from_csv(path, options)?,
            DataKind::Images => Self::from_images(path, options)?,
        };
        options.finish(data)
    }
}

impl DataOptions {
    /// The same for this model: with the arrays that it takes besides the samples, and images of its input's size.
    #[must_use]
    pub fn for_model(&self, model: &Model) -> Self {
        let arrays = model.further_inputs().into_iter().map(str::to_owned).collect();
        let sample_shape = Some(model.info().shape.clone());
        Self { arrays, sample_shape, ..self.clone() }
    }

    /// Does what is the same for all kinds.
    pub(super) fn finish(&self, data: Dataset) -> Result<Dataset> {
        let data = match &self.class_names {
            Some(file) if data.class_names.is_empty() && !self.unlabelled => {
                data.with_class_names(names(file)?)?
            }
            _ => data,
        };
        let data = if self.unlabelled { data.without_labels() } else { data };
        Ok(match self.layout {
            Some(layout) => data.with_layout(layout),
            None => data,
        })
    }

    /// The arrays of an npz file with the samples and their classes.
    pub(super) fn keys(&self) -> (&str, &str) {
        self.keys.as_ref().map_or(("x", "y"), |(x, y)| (x, y))
    }

    fn npz(&self, path: &Path) -> Result<Dataset> {
        let (x, y) = self.keys();
        let arrays: Vec<&str> = self.arrays.iter().map(String::as_str).collect();
        let data = if self.unlabelled {
            Dataset::npz_without_labels(path, x, &arrays)?
        } else {
            Dataset::npz_with_arrays(path, x, y, &arrays)?
        };
        data.with_npz_groups(path, &self.groups)
    }

    fn npy(&self, path: &Path) -> Result<Dataset> {
        match self.npy_labels(path)? {
            Some(labels) => Dataset::from_npy(path, labels),
            None => Dataset::npy_without_labels(path),
        }
    }

    /// The file with the labels of an npy file; none where there are to be none.
    pub(super) fn npy_labels(&self, path: &Path) -> Result<Option<&Path>> {
        match &self.labels {
            Some(labels) => Ok(Some(labels)),
            None if self.unlabelled => Ok(None),
            None => {
                let problem = "one npy array has no labels: name the file that has them (labels)";
                Err(fault(path, problem))
            }
        }
    }

    fn idx(&self, path: &Path) -> Result<Dataset> {
        idx::read(path, self.idx_labels(path)?.as_deref(), self.raw_pixels)
    }

    /// The file with the labels of an IDX file; none where there are to be none.
    pub(super) fn idx_labels(&self, path: &Path) -> Result<Option<PathBuf>> {
        match &self.labels {
            _ if self.unlabelled => Ok(None),
            Some(labels) => Ok(Some(labels.clone())),
            None => idx::labels_beside(path).map(Some),
        }
    }

    /// Refuses what would have no effect.
    pub(super) fn expect_for(&self, kind: DataKind) -> Result<()> {
        let Self { keys, labels, label, drop, groups, resize, raw_pixels, .. } = self;
        let options = [
            ("keys", keys.is_some(), &[DataKind::Npz][..]),
            ("label", label.is_some(), &[DataKind::Table]),
            ("drop", !drop.is_empty(), &[DataKind::Table]),
            ("labels", labels.is_some(), &[DataKind::Npy, DataKind::Idx]),
            ("groups", !groups.is_empty(), &[DataKind::Npz, DataKind::Table]),
            ("resize", resize.is_some(), &[DataKind::Images]),
            ("raw_pixels", *raw_pixels, &[DataKind::Idx, DataKind::Cifar]),
        ];
        for (option, is_given, kinds) in options {
            if is_given && !kinds.contains(&kind) {
                let of: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                let expected = format!(
                    "the data are of the kind {}, this is for {}",
                    kind.name(),
                    of.join(" and ")
                );
                return Err(Error::parameter(option, "given", expected));
            }
        }
        Ok(())
    }
}

impl DataKind {
    fn name(self) -> &'static str {
        match self {
            Self::Npz => "npz",
            Self::Npy => "npy",
            Self::Idx => "IDX",
            Self::Cifar => "CIFAR",
            Self::Table => "table",
            Self::Images => "images",
        }
    }

    /// Whether a file is a table, by its name.
    pub(crate) fn is_table(path: &Path) -> bool {
        is_called(path, &["csv", "tsv", "tab"])
    }

    /// That of a file, by its name and its first bytes.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Data`] when it is of no known kind.
    pub fn of(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            return Ok(Self::Images);
        }
        if Self::is_table(path) {
            return Ok(Self::Table);
        }
        let first = first_bytes(path)?;
        match &first[..] {
            _ if is_called(path, &["bin"]) => Ok(Self::Cifar),
            _ if is_called(path, &["npz"]) => Ok(Self::Npz),
            _ if is_called(path, &["npy"]) => Ok(Self::Npy),
            first if first.starts_with(b"PK") => Ok(Self::Npz),
            first if first.starts_with(b"\x93NUMPY") => Ok(Self::Npy),
            first if idx::is_idx(first) => Ok(Self::Idx),
            _ => {
                let problem = "of no kind that is known: data are npz, npy, IDX (MNIST), CIFAR (.bin) or .csv files, or a folder of images";
                Err(fault(path, problem))
            }
        }
    }
}

/// Whether a file's name ends so, in any case, be it compressed or not.
pub(super) fn is_called(path: &Path, endings: &[&str]) -> bool {
    let stem = path.with_extension("");
    let is_gzip = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    let ending = if is_gzip { stem.extension() } else { path.extension() };
    ending.is_some_and(|ending| endings.iter().any(|other| ending.eq_ignore_ascii_case(other)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::{NpzArray, NpzValues, write_npz};

    #[test]
    fn kinds_are_told_by_content_where_names_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let x = NpzArray::new([2, 2], NpzValues::F32(&[0.0, 0.1, 0.2, 0.3])).unwrap();
        write_npz(path("a.npz"), &[("x", x), ("y", NpzValues::Index(&[1, 0]).into())]).unwrap();
        fs::copy(path("a.npz"), path("a.data")).unwrap();
        let open = |name| Dataset::open(path(name), &DataOptions::default());
        assert_eq!(open("a.npz").unwrap().values(), open("a.data").unwrap().values());

        let mut archive = zip::ZipArchive::new(fs::File::open(path("a.npz")).unwrap()).unwrap();
        for (array, name) in [("x.npy", "samples"), ("y.npy", "classes.npy")] {
            let mut out = fs::File::create(path(name)).unwrap();
            std::io::copy(&mut archive.by_name(array).unwrap(), &mut out).unwrap();
        }
        let labels = DataOptions { labels: Some(path("classes.npy")), ..DataOptions::default() };
        let data = Dataset::open(path("samples"), &labels).unwrap();
        assert_eq!((data.values(), data.labels()), (&[0.0, 0.1, 0.2, 0.3][..], &[1, 0][..]));
        let alone = DataOptions { unlabelled: true, ..DataOptions::default() };
        assert_eq!(Dataset::open(path("samples"), &alone).unwrap().labels(), [0, 0]);
        let message = open("samples").unwrap_err().to_string();
        assert!(message.contains("name the file that has them (labels)"), "{message}");

        fs::write(path("note"), "hello").unwrap();
        assert!(open("note").unwrap_err().to_string().contains("of no kind that is known"));
        fs::write(path("empty"), "").unwrap();
        assert!(open("empty").unwrap_err().to_string().contains("of no kind that is known"));
        assert!(matches!(open("missing").unwrap_err(), Error::Io { .. }));
    }

    #[test]
    fn classes_are_named_in_the_order_of_their_indices() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let x = NpzArray::new([2, 1], NpzValues::F32(&[0.0, 0.1])).unwrap();
        write_npz(path("a.npz"), &[("x", x), ("y", NpzValues::Index(&[1, 0]).into())]).unwrap();
        let open = |names: &[u8]| {
            fs::write(path("names.txt"), names).unwrap();
            let class_names = Some(path("names.txt"));
            Dataset::open(path("a.npz"), &DataOptions { class_names, ..DataOptions::default() })
        };
        let data = open("\u{feff}a cat\r\nein Hund\r\n".as_bytes()).unwrap();
        assert_eq!(data.class_names(), ["a cat", "ein Hund"]);
        assert_eq!(data.subset(1, None).unwrap().class_names().len(), 2);
        assert!(data.without_labels().class_names().is_empty());
        let message = open(b"cat").unwrap_err().to_string();
        assert!(
            message.ends_with("`y`: the label of sample 0 is 1, but only 1 classes have names"),
            "{message}"
        );
        assert!(matches!(open(b"\xff\xfe").unwrap_err(), Error::Io { .. }));
    }
}
