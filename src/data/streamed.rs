//! Samples that stay in their files until they are wanted.

use std::fs::File;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cifar;
use super::dataset::{Dataset, Source, hex};
use super::file::{Input, fault};
use super::folder::Images;
use super::groups::Grouping;
use super::header::Header;
use super::idx;
use super::labels::class_indices;
use super::load::{self, open};
use super::npy::{Array, Fault};
use super::open::{DataKind, DataOptions};
use super::rows::Rows;
use super::shape::Layout;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::profile::{self, Stage};

/// Samples that are read when they are wanted: they may be larger than memory. What else is known of them is held: labels,
/// groups, the arrays that a model takes besides.
///
/// # Example
/// ```no_run
/// use ironbound::attack::Pgd;
/// use ironbound::{DataOptions, Evaluation, Model, Norm, StreamedDataset, Threat};
///
/// # fn main() -> ironbound::Result<()> {
/// let model = Model::load("model.onnx")?;
/// let data = StreamedDataset::open("larger-than-memory.npz", &DataOptions::default())?;
/// let run = Evaluation::streamed(&model, &data).attack(Pgd::default());
/// let results = run.threat(Threat::new(Norm::Linf, 8.0 / 255.0)).run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StreamedDataset {
    values: Values,
    /// Whether pixels are divided by 255.
    are_pixels: bool,
    /// All but the values.
    rest: Dataset,
}

/// Where they are.
#[derive(Debug)]
enum Values {
    Rows(Rows),
    Images(Images),
}

impl StreamedDataset {
    /// Opens data as [`Dataset::open`] does. All of it is read once, for the hash:
    ///
    /// | data | |
    /// |---|---|
    /// | `.npz` | the samples not compressed, as `np.savez` writes them, in C order |
    /// | `.npy`, IDX | not compressed, in C order |
    /// | CIFAR | one file |
    /// | a folder of images | they are decoded when they are wanted |
    ///
    /// # Errors
    /// As for [`Dataset::open`], as far as data are looked at; also [`Error::Data`] for samples that are compressed or in
    /// Fortran order, and for tables. Values are looked at when they are read.
    pub fn open(path: impl AsRef<Path>, options: &DataOptions) -> Result<Self> {
        let _within = profile::enter(Stage::Load);
        let path = path.as_ref();
        let kind = DataKind::of(path)?;
        options.expect_for(kind)?;
        let data = match kind {
            DataKind::Npz => Self::npz(path, options)?,
            DataKind::Npy => Self::npy(path, options)?,
            DataKind::Idx => Self::idx(path, options)?,
            DataKind::Cifar => Self::cifar(path, options)?,
            DataKind::Images => Self::images(path, options)?,
            DataKind::Table => {
                return Err(fault(path, "a table is read at once: it cannot be streamed"));
            }
        };
        data.of_first()?;
        Ok(Self { rest: options.finish(data.rest)?, ..data })
    }

    fn npz(path: &Path, options: &DataOptions) -> Result<Self> {
        let (x, y) = options.keys();
        let (mut npz, file, sha256) = open(path)?;
        let source = Source::new(&*file, x);
        let (begin, size) = npz.place(x)?;
        let (header, start) = Rows::header(path, begin, Header::read)?;
        let size = size.saturating_sub(start - begin);
        let rows = Rows::new(path, source.clone(), header, (start, 0, size))?;
        let (labels, y_source) = match options.unlabelled {
            true => (None, source.clone()),
            false => (Some(npz.array(y)?), Source::new(file, y)),
        };
        let data = of_rows(&rows, labels, (source, y_source), sha256)?;
        let arrays: Vec<&str> = options.arrays.iter().map(String::as_str).collect();
        let data = data.with_arrays_of(&mut npz, x, &arrays)?;
        let rest = data.with_npz_groups(path, &options.groups)?;
        Ok(Self { values: Values::Rows(rows), are_pixels: false, rest })
    }

    fn npy(path: &Path, options: &DataOptions) -> Result<Self> {
        let labels = options.npy_labels(path)?;
        let read = |path: &Path, hash| load::array(path, "y", hash);
        let (rows, rest) = of_array(path, ("x", labels), Header::read, read)?;
        Ok(Self { values: Values::Rows(rows), are_pixels: false, rest })
    }

    fn idx(path: &Path, options: &DataOptions) -> Result<Self> {
        let labels = options.idx_labels(path)?;
        let read = |path: &Path, hash| {
            let (labels, _, source, hash) = idx::array(path, "labels", hash)?;
            Ok((labels, source, hash))
        };
        let (rows, rest) = of_array(path, ("images", labels.as_deref()), idx::header, read)?;
        let are_pixels = rows.are_bytes() && !options.raw_pixels;
        Ok(Self { values: Values::Rows(rows), are_pixels, rest })
    }

    fn cifar(path: &Path, options: &DataOptions) -> Result<Self> {
        plain(path)?;
        let cifar::Records { labels, lead, shape, hash } = cifar::scan(path)?;
        let sources = cifar::sources(path);
        let header =
            Header { dtype: "u1".into(), big_endian: false, fortran: false, shape: shape.to_vec() };
        let rows = Rows::new(path, sources.0.clone(), header, (0, lead, length(path)?))?;
        let data = Dataset::without_values(&shape, labels, sources, hex(hash))?;
        let rest = cifar::with_names(data, path)?;
        Ok(Self { values: Values::Rows(rows), are_pixels: !options.raw_pixels, rest })
    }

    fn images(folder: &Path, options: &DataOptions) -> Result<Self> {
        let images = Images::list(folder, options)?;
        let rest = images.without_values(images.survey()?)?;
        Ok(Self { values: Values::Images(images), are_pixels: false, rest })
    }

    /// Reads the first sample: everything that can be wrong with a type is wrong with it.
    fn of_first(&self) -> Result<()> {
        self.read(&[0]).map(|_| ())
    }

    /// How many samples; never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Always false.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The shape of one sample, without the sample axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.rest.shape()
    }

    /// Values per sample, as they are stored.
    #[must_use]
    pub fn features(&self) -> usize {
        self.shape().iter().product()
    }

    /// The class index of each sample.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        self.rest.labels()
    }

    /// What the classes are called: see [`Dataset::class_names`].
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        self.rest.class_names()
    }

    /// The groups of samples that columns of the data make: see [`Dataset::groups`].
    #[must_use]
    pub fn groups(&self) -> &[Grouping] {
        self.rest.groups()
    }

    /// What a reader must know of how the data was taken: see [`Dataset::notes`].
    #[must_use]
    pub fn notes(&self) -> &[Finding] {
        self.rest.notes()
    }

    /// The file or folder.
    #[must_use]
    pub fn path(&self) -> &str {
        self.rest.path()
    }

    /// As [`Dataset::sha256`].
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.rest.sha256()
    }

    /// States how the samples are laid out: see [`Dataset::with_layout`].
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { rest: self.rest.with_layout(layout), ..self }
    }

    /// The samples with these indices, in this order.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] where a file ends too soon, is damaged, or holds what is no number;
    /// [`Error::Parameter`] for an index that is not there, or none.
    pub fn read(&self, samples: &[usize]) -> Result<Dataset> {
        let total = self.len();
        if samples.is_empty() {
            return Err(Error::parameter("samples", "none", "expected at least one"));
        }
        if let Some(beyond) = samples.iter().find(|sample| **sample >= total) {
            let expected = format!("expected less than the number of samples, {total}");
            return Err(Error::parameter("sample", beyond, expected));
        }
        let _within = profile::enter(Stage::Load);
        let mut values = Vec::with_capacity(samples.len() * self.features());
        match &self.values {
            Values::Rows(rows) => rows.read(samples, &mut values)?,
            Values::Images(images) => images.read(samples, &mut values)?,
        }
        let data = self.rest.at(samples, values);
        Ok(if self.are_pixels { data.with_pixels_scaled() } else { data })
    }
}

/// All but the values; without labels, all of them are 0.
fn of_rows(
    rows: &Rows,
    labels: Option<Array<f64>>,
    sources: (Source, Source),
    sha256: String,
) -> Result<Dataset> {
    let axes = rows.axes();
    let labels = match labels {
        Some(labels) => class_indices(&labels).map_err(|fault| sources.1.refuse(fault.problem))?,
        None => vec![0; axes.first().copied().unwrap_or_default()],
    };
    Dataset::without_values(axes, labels, sources, sha256)
}

/// Samples in a file that holds one array, with the labels in another.
fn of_array(
    path: &Path,
    (name, labels): (&str, Option<&Path>),
    header: impl FnOnce(&mut File) -> Result<Header, Fault>,
    read: impl FnOnce(&Path, Sha256) -> Result<(Array<f64>, Source, Sha256)>,
) -> Result<(Rows, Dataset)> {
    let input = plain(path)?;
    let (header, start) = Rows::header(path, 0, header)?;
    let source = Source::new(path.display().to_string(), name);
    let size = length(path)?.saturating_sub(start);
    let rows = Rows::new(path, source.clone(), header, (start, 0, size))?;
    let hash = input.finish()?;
    let (labels, y_source, hash) = match labels {
        Some(path) => {
            let (labels, source, hash) = read(path, hash)?;
            (Some(labels), source, hash)
        }
        None => (None, source.clone(), hash),
    };
    let rest = of_rows(&rows, labels, (source, y_source), hex(hash))?;
    Ok((rows, rest))
}

/// Opens a file, unless gzip made it.
fn plain(path: &Path) -> Result<Input> {
    let input = Input::open(path, Sha256::new())?;
    if input.is_compressed() {
        let problem = "compressed, so that samples cannot be read one by one: decompress it, or read all of it at once";
        return Err(fault(path, problem));
    }
    Ok(input)
}

fn length(path: &Path) -> Result<u64> {
    let about = path.metadata().map_err(|source| Error::Io { path: path.into(), source })?;
    Ok(about.len())
}
