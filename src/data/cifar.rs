//! CIFAR's binary files.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Source, hex};
use super::file::{Input, fault, names};
use super::npy::{Fault, fill};
use crate::error::{Error, Result};

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// The two data sets, which differ in what stands before a record's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A class.
    Ten,
    /// A superclass and a class.
    Hundred,
}

impl Kind {
    const BOTH: [Self; 2] = [Self::Ten, Self::Hundred];

    fn classes(self) -> u8 {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// Bytes before the pixels; the last of them is the class.
    fn labels(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn record(self) -> usize {
        self.labels() + PIXELS
    }

    /// The file with the names of the classes, which is published beside the others.
    fn names(self) -> &'static str {
        match self {
            Self::Ten => "batches.meta.txt",
            Self::Hundred => "fine_label_names.txt",
        }
    }

    /// That of a file, by its length.
    fn of(path: &Path) -> Result<Self> {
        let length =
            path.metadata().map_err(|source| Error::Io { path: path.into(), source })?.len();
        let fits = |kind: &Self| length > 0 && length % kind.record() as u64 == 0;
        let mut fitting = Self::BOTH.into_iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(kind), None) => Ok(kind),
            // Some three thousand samples are either: the names tell.
            (Some(_), Some(_)) if path.with_file_name(Self::Hundred.names()).is_file() => {
                Ok(Self::Hundred)
            }
            (Some(_), Some(_)) => Ok(Self::Ten),
            (None, _) => {
                let (ten, hundred) = (Self::Ten.record(), Self::Hundred.record());
                let problem = format!(
                    "{length} bytes are no CIFAR file: the records of CIFAR-10 have {ten} bytes, those of CIFAR-100 {hundred}"
                );
                Err(fault(path, problem))
            }
        }
    }
}

impl Dataset {
    /// Reads the binary files of CIFAR-10 or CIFAR-100, one after the other: `test_batch.bin`, or the five `data_batch_1.bin`
    /// to `data_batch_5.bin`.
    ///
    /// Samples have the shape (3, 32, 32). Pixels are divided by 255, which is [noted](Self::notes). The labels of CIFAR-100 are the
    /// 100 classes. [Names](Self::class_names) are from `batches.meta.txt` or `fine_label_names.txt` beside the first
    /// file, where there is one.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read; [`Error::Data`], naming the file, when its length is that of no CIFAR file,
    /// when it holds classes that the data set does not have, or other than as many names as classes stand beside it;
    /// [`Error::Parameter`] without a file.
    pub fn from_cifar<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Result<Self> {
        let files: Vec<PathBuf> = files.into_iter().map(|file| file.as_ref().into()).collect();
        read(&files, false)
    }
}

/// Labels and places of the records of one file.
pub(super) struct Records {
    pub(super) labels: Vec<usize>,
    /// Bytes before the pixels of each.
    pub(super) lead: usize,
    pub(super) shape: [usize; 4],
    pub(super) hash: Sha256,
}

/// Everything of a file but the pixels.
pub(super) fn scan(path: &Path) -> Result<Records> {
    let kind = Kind::of(path)?;
    let mut labels = vec![];
    let mut input = Input::open(path, Sha256::new())?;
    input.read_by(|input| records(input, kind, |class, _| labels.push(class)))?;
    let shape = [labels.len(), SHAPE[0], SHAPE[1], SHAPE[2]];
    Ok(Records { labels, lead: kind.labels(), shape, hash: input.finish()? })
}

/// Where samples and classes are from, for messages.
pub(super) fn sources(path: &Path) -> (Source, Source) {
    let source = |key| Source::new(path.display().to_string(), key);
    (source("images"), source("labels"))
}

/// `raw` leaves pixels as they are.
pub(super) fn read(files: &[PathBuf], raw: bool) -> Result<Dataset> {
    let Some(first) = files.first() else {
        return Err(Error::parameter("files", "none", "expected at least one"));
    };
    let kind = Kind::of(first)?;
    let (mut x, mut y, mut hash) = (vec![], vec![], Sha256::new());
    for path in files {
        if Kind::of(path)? != kind {
            let problem = format!("not of the same data set as {}", first.display());
            return Err(fault(path, problem));
        }
        let mut input = Input::open(path, hash)?;
        input.read_by(|input| {
            records(input, kind, |class, pixels| {
                y.push(class);
                x.extend(pixels.iter().map(|pixel| f32::from(*pixel)));
            })
        })?;
        hash = input.finish()?;
    }
    let axes = [y.len(), SHAPE[0], SHAPE[1], SHAPE[2]];
    let data = Dataset::assemble(&axes, x, y, sources(first), hex(hash))?;
    with_names(if raw { data } else { data.with_pixels_scaled() }, first)
}

/// Names the classes by the file beside this one, if there is one.
pub(super) fn with_names(data: Dataset, path: &Path) -> Result<Dataset> {
    let kind = Kind::of(path)?;
    let beside = path.with_file_name(kind.names());
    if !beside.is_file() {
        return Ok(data);
    }
    let names = names(&beside)?;
    if names.len() != usize::from(kind.classes()) {
        let problem = format!("{} names for {} classes", names.len(), kind.classes());
        return Err(fault(&beside, problem));
    }
    data.with_class_names(names)
}

/// Gives class and pixels of each record to `take`.
fn records(input: &mut Input, kind: Kind, mut take: impl FnMut(usize, &[u8])) -> Result<(), Fault> {
    let mut record = vec![0; kind.record()];
    for index in 0_usize.. {
        let got = fill(input, &mut record)?;
        if got == 0 {
            break;
        }
        if got < record.len() {
            return Err(
                format!("record {index} is cut short: {got} of {} bytes", record.len()).into()
            );
        }
        let (labels, pixels) = record.split_at(kind.labels());
        let class = labels[kind.labels() - 1];
        if class >= kind.classes() {
            let last = kind.classes() - 1;
            return Err(
                format!("record {index} has the class {class}; classes are 0 to {last}").into()
            );
        }
        take(class.into(), pixels);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::DataOptions;

    /// A record whose pixels count up from `first`.
    fn record(labels: &[u8], first: u8) -> Vec<u8> {
        let pixels = (0..PIXELS).map(|at| first.wrapping_add(at as u8));
        labels.iter().copied().chain(pixels).collect()
    }

    fn open(path: &Path) -> Result<Dataset> {
        Dataset::open(path, &DataOptions::default())
    }

    #[test]
    fn records_are_a_label_and_planes_of_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let one = [record(&[3], 0), record(&[9], 7)].concat();
        let two = record(&[0], 255);
        fs::write(path("data_batch_1.bin"), &one).unwrap();
        fs::write(path("data_batch_2.bin"), &two).unwrap();
        let data = open(&path("data_batch_1.bin")).unwrap();
        assert_eq!((data.shape(), data.labels()), (&[3, 32, 32][..], &[3, 9][..]));
        assert_eq!(data.sample(1)[..2], [7.0 / 255.0, 8.0 / 255.0]);
        // The second plane begins 1024 bytes later, which is the same number again.
        assert_eq!(data.sample(1)[1024 + 248..][..2], [1.0, 0.0]);
        assert_eq!((&*data.notes()[0].code, data.class_names().len()), ("data-scaled", 0));

        let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\r\n\n";
        fs::write(path("batches.meta.txt"), names).unwrap();
        let both = [path("data_batch_1.bin"), path("data_batch_2.bin")];
        let data = Dataset::from_cifar(&both).unwrap();
        assert_eq!((data.len(), data.labels(), data.sample(2)[0]), (3, &[3, 9, 0][..], 1.0));
        assert_eq!((&*data.class_names()[3], &*data.class_names()[9]), ("cat", "truck"));
        assert_eq!(data.sha256(), hex(Sha256::new_with_prefix(one).chain_update(two)));
        let raw = DataOptions { raw_pixels: true, ..DataOptions::default() };
        assert_eq!(Dataset::open(&both[1], &raw).unwrap().sample(0)[..2], [255.0, 0.0]);
    }

    #[test]
    fn of_two_labels_the_second_is_the_class() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.bin");
        fs::write(&path, [record(&[4, 72], 0), record(&[11, 99], 0)].concat()).unwrap();
        let data = open(&path).unwrap();
        assert_eq!((data.labels(), data.sample(0)[1]), (&[72, 99][..], 1.0 / 255.0));
        let names: Vec<String> = (0..100).map(|class| format!("class {class}")).collect();
        fs::write(folder.path().join("fine_label_names.txt"), names.join("\n")).unwrap();
        assert_eq!(open(&path).unwrap().class_names()[72], "class 72");
        // As many bytes as records of either kind have: the names tell.
        let either = vec![0; Kind::Ten.record() * Kind::Hundred.record()];
        fs::write(&path, either).unwrap();
        assert_eq!(open(&path).unwrap().len(), Kind::Ten.record());
        fs::remove_file(folder.path().join("fine_label_names.txt")).unwrap();
        assert_eq!(open(&path).unwrap().len(), Kind::Hundred.record());
    }

    #[test]
    fn files_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch.bin");
        let problem = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            open(&path).unwrap_err().one_line()
        };
        let good = record(&[3], 0);
        assert!(problem(&[]).contains("0 bytes are no CIFAR file"));
        assert!(problem(&good[1..]).contains("3072 bytes are no CIFAR file: the records of"));
        assert!(problem(&[&good[..], &good[..9]].concat()).contains("3082 bytes are no"));
        let wrong = problem(&[good.clone(), record(&[10], 0)].concat());
        assert!(
            wrong.ends_with("batch.bin: record 1 has the class 10; classes are 0 to 9"),
            "{wrong}"
        );
        assert!(problem(&record(&[4, 100], 0)).contains("record 0 has the class 100;"));
        fs::write(&path, &good).unwrap();
        let other = folder.path().join("other.bin");
        fs::write(&other, record(&[4, 1], 0)).unwrap();
        let message = Dataset::from_cifar([&path, &other]).unwrap_err().to_string();
        assert!(message.contains("other.bin: not of the same data set as"), "{message}");
        let none: [&Path; 0] = [];
        assert!(Dataset::from_cifar(none).unwrap_err().to_string().contains("at least one"));
        for (names, words) in [
            ("a\nb\n", "batches.meta.txt: 2 names for 10 classes"),
            ("a\n\nb\n", "line 2 is empty"),
            ("a\nb\na\n", "lines 1 and 3 both name the class `a`"),
        ] {
            fs::write(folder.path().join("batches.meta.txt"), names).unwrap();
            let message = open(&path).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
