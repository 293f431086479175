//! Samples that stay in their file until they are wanted.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::dataset::{Dataset, Source, hex};
use super::header::Header;
use super::labels::class_indices;
use super::npy::{self, Array, Fault, Shape, fill};
use super::shape::Layout;
use crate::error::{Error, Result};

/// The samples of an npz file, read when they are wanted: the file may be larger than memory. Only labels are held.
///
/// The file must be one that `np.savez` writes: arrays as they are, not compressed, in C order.
///
/// # Example
/// ```no_run
/// use ironbound::attack::Pgd;
/// use ironbound::{Evaluation, Model, Norm, StreamedDataset, Threat};
///
/// # fn main() -> ironbound::Result<()> {
/// let model = Model::load("model.onnx")?;
/// let data = StreamedDataset::npz("larger-than-memory.npz", "x", "y")?;
/// let run = Evaluation::streamed(&model, &data).attack(Pgd::default());
/// let results = run.threat(Threat::new(Norm::Linf, 8.0 / 255.0)).run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StreamedDataset {
    path: PathBuf,
    file: Mutex<File>,
    /// Where the first sample begins.
    start: u64,
    header: Header,
    labels: Vec<usize>,
    sources: (Source, Source),
    sha256: String,
    layout: Option<Layout>,
}

impl StreamedDataset {
    /// Opens an npz file; the samples are in `x_key`, the labels in `y_key`: see [`Dataset::npz_with_keys`].
    ///
    /// # Errors
    /// As for [`Dataset::npz_with_keys`], as far as the file is looked at; also [`Error::Data`] for samples that are
    /// compressed or in Fortran order. Values are looked at when they are read.
    pub fn npz(path: impl AsRef<Path>, x_key: &str, y_key: &str) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let fault = |source| Error::Io { path: path.into(), source };
        let mut file = File::open(path).map_err(fault)?;
        let sha256 = digest(&mut file).map_err(fault)?;
        let sources = (Source::new(&*name, x_key), Source::new(&*name, y_key));
        let refuse = |Fault { problem, source }: Fault| Error::Data {
            file: name.clone(),
            problem,
            source: source.map(Into::into),
        };
        let mut archive = ZipArchive::new(BufReader::new(&file)).map_err(|source| {
            refuse(Fault {
                problem: "not an npz file: save the data with np.savez".into(),
                source: Some(io::Error::other(source)),
            })
        })?;
        let mut entry = |source: &Source, stored: bool| -> Result<(u64, u64, Vec<u8>)> {
            let entry = archive.by_name(&format!("{}.npy", source.key));
            let mut entry =
                entry.map_err(|error| source.refuse(format!("no such array: {error}")))?;
            if !stored {
                let mut bytes = vec![];
                entry.read_to_end(&mut bytes).map_err(fault)?;
                return Ok((0, 0, bytes));
            }
            if entry.compression() != zip::CompressionMethod::Stored {
                return Err(source.refuse(
                    "compressed, so that samples cannot be read one by one: save the data with np.savez, or read all of it \
                     at once",
                ));
            }
            let (start, size) = (entry.data_start(), entry.size());
            start
                .map(|start| (start, size, vec![]))
                .ok_or_else(|| source.refuse("cannot be found in the file"))
        };
        let (begin, size, _) = entry(&sources.0, true)?;
        let (_, _, labels) = entry(&sources.1, false)?;
        let labels: Array<f64> =
            npy::read(&labels[..]).map_err(|fault| sources.1.refuse(fault.problem))?;
        let labels = class_indices(&labels).map_err(|fault| sources.1.refuse(fault.problem))?;
        file.seek(SeekFrom::Start(begin)).map_err(fault)?;
        let header = Header::read(&mut file).map_err(|fault| sources.0.refuse(fault.problem))?;
        let start = file.stream_position().map_err(fault)?;
        let stream = Self {
            path: path.into(),
            file: Mutex::new(file),
            start,
            header,
            labels,
            sources,
            sha256,
            layout: None,
        };
        stream.check(size.saturating_sub(start - begin))?;
        Ok(stream)
    }

    /// `size` is that of all samples, in bytes.
    fn check(&self, size: u64) -> Result<()> {
        let (x, axes) = (&self.sources.0, &self.header.shape);
        if self.header.fortran && axes.len() > 1 {
            return Err(x.refuse("in Fortran order: save it as np.ascontiguousarray(x)"));
        }
        // Everything else that can be wrong with a sample is wrong with the first.
        let Some(samples) = axes.first().filter(|samples| **samples > 0) else {
            return Err(x.refuse(format!("has shape {}: there is nothing in it", Shape(axes))));
        };
        if *samples != self.labels.len() {
            let (file, key) = (&x.file, &x.key);
            return Err(self.sources.1.refuse(format!(
                "{} labels for {samples} samples (`{key}` of {file} has shape {}); each sample needs one",
                self.labels.len(),
                Shape(axes)
            )));
        }
        let row = self.header.row().map_err(|fault| x.refuse(fault.problem))?;
        if (row as u64).checked_mul(*samples as u64) != Some(size) {
            return Err(x.refuse(format!(
                "{size} bytes are there, another number than shape {} needs",
                Shape(axes)
            )));
        }
        self.read(&[0]).map(|_| ())
    }

    /// States how the samples are laid out: see [`Dataset::with_layout`].
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout: Some(layout), ..self }
    }

    /// How many samples; never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values per sample, as they are stored.
    #[must_use]
    pub fn features(&self) -> usize {
        self.header.shape[1..].iter().product()
    }

    /// The class index of each sample.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.sources.0.file
    }

    /// SHA-256 of the whole file, in lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The samples with these indices, in this order.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] where the file ends too soon, or holds what is no number; [`Error::Parameter`] for an
    /// index that is not there, or none.
    pub fn read(&self, samples: &[usize]) -> Result<Dataset> {
        let total = self.len();
        if let Some(beyond) = samples.iter().find(|sample| **sample >= total) {
            let expected = format!("expected less than the number of samples, {total}");
            return Err(Error::parameter("sample", beyond, expected));
        }
        let refuse = |fault: Fault| self.sources.0.refuse(fault.problem);
        let row = self.header.row().map_err(refuse)?;
        let mut values = Vec::with_capacity(samples.len() * self.features());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Neighbours are read at once.
        for run in samples.chunk_by(|a, b| a + 1 == *b) {
            let at = self.start + run[0] as u64 * row as u64;
            let from = file.seek(SeekFrom::Start(at));
            from.map_err(|source| Error::Io { path: self.path.clone(), source })?;
            let bytes = (&mut *file).take(run.len() as u64 * row as u64);
            let part = self.header.of_rows(run.len());
            values.extend(
                part.values::<f32>(&mut BufReader::with_capacity(1 << 16, bytes))
                    .map_err(refuse)?,
            );
        }
        let labels = samples.iter().map(|&sample| self.labels[sample]).collect();
        let mut axes = self.header.shape.clone();
        axes[0] = samples.len();
        let data =
            Dataset::assemble(&axes, values, labels, self.sources.clone(), self.sha256.clone())?;
        let data = data.with_ids(samples.to_vec());
        Ok(match self.layout {
            Some(layout) => data.with_layout(layout),
            None => data,
        })
    }
}

fn digest(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        let length = fill(file, &mut block)?;
        if length == 0 {
            return Ok(hex(hash));
        }
        hash.update(&block[..length]);
    }
}
