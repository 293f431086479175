//! Folders of images, one folder for each class.

use std::borrow::Borrow;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Source, hex};
use super::file::{fault, names};
use super::images::{Fault, Frame, Values};
use super::npy::Shape;
use super::open::{DataOptions, is_called};
use super::texts::{listed, sorted_names};
use crate::error::{Error, Result};
use crate::finding::Finding;

/// The file with the names of the classes in their order, where there is one.
const CLASSES: &str = "classes.txt";
/// Files that are read before the next ones are.
const CHUNK: usize = 64;

impl Dataset {
    /// Reads a folder of images, `folder/class/image.png`; see [`open`](Self::open) for what the options say.
    ///
    /// Classes are numbered in the order of [`class_names`](DataOptions::class_names), else of the file `classes.txt` in the
    /// folder, else of the sorted names of their folders. Images are PNG and JPEG files, in the order of classes and sorted
    /// names. Names that begin with a dot, other files beside the classes' folders and links to a folder above are passed over.
    ///
    /// Where a model's [shape](DataOptions::sample_shape) is known, images that have another size are scaled so that they just
    /// cover it, or so that the shorter side is [`resize`](DataOptions::resize) long (the longer one rounded down), by a
    /// triangle filter that is as wide as a pixel of the result (bilinear with antialiasing, as PIL's, to within one level of 255);
    /// then the centre is cut out. A model of one channel gets luma, `0.299 R + 0.587 G + 0.114 B`. Transparency is
    /// passed over, and so is the orientation that a camera noted. Values are in [0, 1]: levels of 8 bits by 255. Where
    /// no shape is known, all images must have the same size, and stay in colour.
    ///
    /// [`sha256`](Self::sha256) is of each file's name with its class, the length and the bytes, in order.
    ///
    /// # Errors
    /// [`Error::Io`] when something cannot be read; [`Error::Data`], naming the file, for an image that is damaged, of
    /// another format or another size where there is no shape, for a class without images, with something else among them, or
    /// not among the names, or no classes; [`Error::Parameter`] when the shape is that of no image or `resize` is smaller.
    pub fn from_images(folder: impl AsRef<Path>, options: &DataOptions) -> Result<Self> {
        let images = Images::list(folder.as_ref(), options)?;
        let (mut x, mut survey) = (vec![], Survey::default());
        for chunk in images.files.chunks(CHUNK) {
            for (image, (file, bytes)) in images.decoded(chunk)? {
                survey.take(&images, file, &bytes, (&image.shape, image.is_scaled))?;
                x.extend(image.values);
            }
        }
        let data = images.without_values(survey)?;
        Ok(Self { x, ..data })
    }
}

/// The images of a folder, and what they become.
#[derive(Debug)]
pub(super) struct Images {
    folder: PathBuf,
    frame: Frame,
    files: Vec<ImageFile>,
    /// Of the classes.
    names: Vec<String>,
    /// Whether the order of the names is that of sorting.
    are_sorted: bool,
}

/// One of them; sorted by class and name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ImageFile {
    class: usize,
    name: String,
    path: PathBuf,
}

/// What is known of images that were read.
#[derive(Debug, Default)]
pub(super) struct Survey {
    hash: Sha256,
    shape: Vec<usize>,
    scaled: usize,
}

impl Images {
    /// Lists them; none is read.
    pub(super) fn list(folder: &Path, options: &DataOptions) -> Result<Self> {
        let shape = options.sample_shape.as_deref();
        let frame = Frame::new(shape, options.layout, options.resize)?;
        let classes = classes(folder)?;
        let beside = Some(folder.join(CLASSES)).filter(|file| file.is_file());
        let file = options.class_names.clone().or(beside);
        let (names, are_sorted) = match &file {
            Some(file) => (names(file)?, false),
            None => (classes.iter().map(|(name, _)| name.clone()).collect(), true),
        };
        let mut files = vec![];
        for (name, path) in &classes {
            let class = names.iter().position(|other| other == name).ok_or_else(|| {
                let names = listed(names.iter());
                fault(path, format!("the class `{name}` is not among the names, {names}"))
            })?;
            let of_class = images(path)?.into_iter();
            files.extend(of_class.map(|(name, path)| ImageFile { class, name, path }));
        }
        files.sort();
        Ok(Self { folder: folder.into(), frame, files, names, are_sorted })
    }

    /// Reads all of them, but decodes none.
    pub(super) fn survey(&self) -> Result<Survey> {
        let mut survey = Survey::default();
        for file in &self.files {
            let bytes = file.bytes()?;
            let (shape, is_scaled) = self.frame.measure(&bytes).map_err(|of| file.refuse(of))?;
            survey.take(self, file, &bytes, (&shape, is_scaled))?;
        }
        Ok(survey)
    }

    /// Adds the values of those at these places.
    pub(super) fn read(&self, places: &[usize], values: &mut Vec<f32>) -> Result<()> {
        for chunk in places.chunks(CHUNK) {
            let files: Vec<_> = chunk.iter().map(|&place| &self.files[place]).collect();
            for (image, _) in self.decoded(&files)? {
                values.extend(image.values);
            }
        }
        Ok(())
    }

    /// These, beside their files and the bytes in them.
    fn decoded<'a, F: Borrow<ImageFile> + Sync>(
        &self,
        files: &'a [F],
    ) -> Result<impl Iterator<Item = (Values, (&'a ImageFile, Vec<u8>))>> {
        let contents: Vec<(&ImageFile, Vec<u8>)> = files
            .iter()
            .map(|file| Ok((file.borrow(), file.borrow().bytes()?)))
            .collect::<Result<_>>()?;
        let decode = |(file, bytes): &(&ImageFile, Vec<u8>)| {
            self.frame.read(bytes).map_err(|of| file.refuse(of))
        };
        let images: Vec<_> = contents.par_iter().map(decode).collect();
        let images: Vec<Values> = images.into_iter().collect::<Result<_>>()?;
        Ok(images.into_iter().zip(contents))
    }

    /// All but the pixels, once all images were looked at.
    pub(super) fn without_values(&self, survey: Survey) -> Result<Dataset> {
        let Survey { hash, mut shape, scaled } = survey;
        let y: Vec<usize> = self.files.iter().map(|file| file.class).collect();
        let source = |key| Source::new(self.folder.display().to_string(), key);
        shape.insert(0, y.len());
        let sources = (source("images"), source("classes"));
        let mut data = Dataset::without_values(&shape, y, sources, hex(hash))?;
        if scaled > 0 {
            let message = format!(
                "{scaled} of {} images were scaled by a triangle filter with antialiasing, and cropped at the centre",
                data.len()
            );
            data.notes.push(Finding::info("data-resized", message));
        }
        if self.are_sorted {
            data.notes.push(sorted_names(&self.names));
        }
        data.with_class_names(self.names.clone())
    }
}

impl ImageFile {
    fn bytes(&self) -> Result<Vec<u8>> {
        fs::read(&self.path).map_err(|source| io(&self.path, source))
    }

    fn refuse(&self, (problem, source): Fault) -> Error {
        Error::Data { file: self.path.display().to_string(), problem, source }
    }
}

impl Survey {
    fn take(
        &mut self,
        images: &Images,
        file: &ImageFile,
        bytes: &[u8],
        (shape, is_scaled): (&[usize], bool),
    ) -> Result<()> {
        self.hash.update(format!("{}/{}\0", images.names[file.class], file.name));
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
        if self.shape.is_empty() {
            self.shape = shape.to_vec();
        }
        if self.shape != shape {
            let problem = format!(
                "an image of shape {}, but the first one has {}; without a model's shape, images are not scaled",
                Shape(shape),
                Shape(&self.shape)
            );
            return Err(fault(&file.path, problem));
        }
        self.scaled += usize::from(is_scaled);
        Ok(())
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.into(), source }
}

/// What is in a folder and not hidden, by name, sorted.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).map_err(|source| io(folder, source))? {
        let path = entry.map_err(|source| io(folder, source))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if name.contains(char::REPLACEMENT_CHARACTER) {
            return Err(fault(&path, "its name is not UTF-8: rename it"));
        }
        all.push((name.into_owned(), path));
    }
    all.sort();
    Ok(all)
}

/// The folders of the classes.
fn classes(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let place = folder.canonicalize().map_err(|source| io(folder, source))?;
    let mut all = entries(folder)?;
    // A link that leads nowhere or in circles has no place.
    let leads_up = |path: &Path| path.canonicalize().map_or(true, |to| place.starts_with(to));
    all.retain(|(_, path)| path.is_dir() && !leads_up(path));
    if all.is_empty() {
        return Err(fault(folder, "no folders in it: images lie in a folder for each class"));
    }
    Ok(all)
}

/// The images of a class.
fn images(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let all = entries(folder)?;
    if all.is_empty() {
        return Err(fault(folder, "no images in it: every folder is a class"));
    }
    match all.iter().find(|(_, path)| path.is_dir() || !is_called(path, &["png", "jpg", "jpeg"])) {
        Some((_, path)) => {
            Err(fault(path, "neither a .png nor a .jpg file, but in the folder of a class"))
        }
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba};
    use serde::Deserialize;

    use super::*;
    use crate::data::Layout;

    #[derive(Deserialize)]
    struct Case {
        file: String,
        mode: String,
        width: usize,
        height: usize,
        resize: Option<u32>,
        pixels: Vec<u8>,
    }

    fn of(shape: &[usize]) -> DataOptions {
        DataOptions { sample_shape: Some(shape.into()), ..DataOptions::default() }
    }

    /// An image of one colour.
    fn plain(path: &Path, side: u32, colour: [u8; 3]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(side, side, Rgb(colour)).save(path).unwrap();
    }

    /// A folder of two classes.
    fn pets() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        plain(&folder.path().join("dog/b.png"), 4, [255, 0, 51]);
        plain(&folder.path().join("dog/a.PNG"), 4, [0, 51, 0]);
        plain(&folder.path().join("cat/z.png"), 4, [51, 255, 0]);
        folder
    }

    #[track_caller]
    fn refused(folder: &Path, options: &DataOptions, words: &str) {
        let message = Dataset::open(folder, options).unwrap_err().one_line();
        assert!(message.contains(words), "{message:?} does not say {words:?}");
    }

    #[test]
    fn images_are_what_pil_makes_of_them() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
        let text = fs::read_to_string(kept.join("reference.json")).unwrap();
        let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
        assert_eq!(cases.len(), 12);
        for case in cases {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("class")).unwrap();
            fs::copy(kept.join(&case.file), folder.path().join("class").join(&case.file)).unwrap();
            let shape = match &*case.mode {
                "RGB" => vec![case.height, case.width, 3],
                _ => vec![case.height, case.width, 1],
            };
            let data =
                Dataset::open(folder.path(), &DataOptions { resize: case.resize, ..of(&shape) })
                    .unwrap();
            assert_eq!((data.shape(), &*data.notes()[0].code), (&shape[..], "data-resized"));
            let apart = data.values().iter().zip(&case.pixels).map(|(value, pixel)| {
                let level = value * 255.0;
                assert!((level - level.round()).abs() < 1e-4, "{level}");
                (level - f32::from(*pixel)).abs().round() as u32
            });
            // JPEG leaves a decoder some freedom, of a level or two.
            let most = if case.file.ends_with("png") { 1 } else { 3 };
            let apart: Vec<u32> = apart.collect();
            let mean = apart.iter().sum::<u32>() as f32 / apart.len() as f32;
            assert_eq!(apart.len(), case.pixels.len());
            assert!(apart.iter().all(|apart| *apart <= most), "{}: {apart:?}", case.file);
            assert!(mean < 0.5, "{}: {mean}", case.file);
        }
    }

    #[test]
    fn classes_and_files_are_sorted() {
        let folder = pets();
        let data = Dataset::open(folder.path(), &DataOptions::default()).unwrap();
        assert_eq!((data.shape(), data.labels()), (&[3, 4, 4][..], &[0, 1, 1][..]));
        assert_eq!(data.class_names(), ["cat", "dog"]);
        let first = |sample: usize| [0, 16, 32].map(|at| data.sample(sample)[at]);
        let colours = ([0.2, 1.0, 0.0], [0.0, 0.2, 0.0], [1.0, 0.0, 0.2]);
        assert_eq!((first(0), first(1), first(2)), colours);
        assert_eq!(data.notes()[0].code, "data-classes");
        assert_eq!(data.notes().len(), 1);
        // Names count, as well as what is in the files, and where one ends.
        let before = data.sha256().to_owned();
        fs::rename(folder.path().join("dog/b.png"), folder.path().join("dog/c.png")).unwrap();
        let renamed = Dataset::open(folder.path(), &DataOptions::default()).unwrap();
        assert_eq!(renamed.values(), data.values());
        assert_ne!(renamed.sha256(), before);
        fs::rename(folder.path().join("dog/c.png"), folder.path().join("dog/b.png")).unwrap();
        let mut hash = Sha256::new();
        for name in ["cat/z.png", "dog/a.PNG", "dog/b.png"] {
            let bytes = fs::read(folder.path().join(name)).unwrap();
            hash.update(format!("{name}\0"));
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        assert_eq!(before, hex(hash));
    }

    #[test]
    fn a_file_may_order_the_classes() {
        let folder = pets();
        fs::write(folder.path().join("classes.txt"), "dog\nbird\ncat\n").unwrap();
        let data = Dataset::open(folder.path(), &DataOptions::default()).unwrap();
        assert_eq!((data.labels(), data.class_names().len()), (&[0, 0, 2][..], 3));
        assert_eq!((data.sample(2)[0], data.notes().len()), (0.2, 0));
        fs::write(folder.path().join("other.txt"), "cat\n").unwrap();
        let class_names = Some(folder.path().join("other.txt"));
        let options = DataOptions { class_names, ..DataOptions::default() };
        refused(folder.path(), &options, "dog: the class `dog` is not among the names, `cat`");
        let unlabelled = DataOptions { unlabelled: true, ..DataOptions::default() };
        assert_eq!(Dataset::open(folder.path(), &unlabelled).unwrap().labels(), [0; 3]);
    }

    #[test]
    fn images_get_the_channels_and_axes_of_the_model() {
        let folder = pets();
        let read = |options| Dataset::open(folder.path(), &options).unwrap();
        let last = read(of(&[4, 4, 3]));
        assert_eq!((last.shape(), &last.sample(0)[..3]), (&[4, 4, 3][..], &[0.2, 1.0, 0.0][..]));
        for shape in [&[4, 4][..], &[1, 4, 4], &[4, 4, 1]] {
            let grey = read(of(shape)).reshaped_for(shape).unwrap();
            assert_eq!(grey.shape(), shape);
            // 0.299 * 51 + 0.587 * 255 is 164.9.
            assert_eq!(grey.sample(0), [165.0 / 255.0; 16]);
        }
        // Three rows or three channels: the layout tells.
        let layout = Some(Layout::ChannelsLast);
        assert_eq!(read(DataOptions { layout, ..of(&[3, 4, 3]) }).sample(0)[..3], [0.2, 1.0, 0.0]);
        assert_eq!(read(of(&[3, 4, 3])).sample(0)[..12], [0.2; 12]);
        assert_eq!(read(of(&[3, 4, 4])).notes().len(), 1);
        assert_eq!(read(of(&[3, 2, 4])).notes().len(), 1);
        assert_eq!(
            read(of(&[3, 2, 2])).notes()[0].message.split(" were").next().unwrap(),
            "3 of 3 images"
        );
        for shape in [&[16][..], &[2, 4, 4], &[3, 4, 4, 4], &[3, 0, 4], &[3, 4, 99_999]] {
            refused(folder.path(), &of(shape), "`sample_shape` is (");
        }
        let resize = |shape: &[usize], side| DataOptions { resize: Some(side), ..of(shape) };
        assert_eq!(read(resize(&[3, 4, 4], 6)).sample(0), read(of(&[3, 4, 4])).sample(0));
        refused(folder.path(), &resize(&[3, 4, 5], 4), "`resize` is 4: expected at least 5");
        let alone = DataOptions { resize: Some(4), ..DataOptions::default() };
        refused(folder.path(), &alone, "`resize` is 4: expected together with the model's shape");
    }

    #[test]
    fn other_pixels_become_colours_of_8_bits() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join("class").join(name);
        fs::create_dir(folder.path().join("class")).unwrap();
        GrayImage::from_pixel(2, 2, Luma([102])).save(path("a.png")).unwrap();
        let clear = ImageBuffer::from_pixel(2, 2, Rgba([102_u8, 51, 0, 0]));
        clear.save(path("b.png")).unwrap();
        let deep = ImageBuffer::from_pixel(2, 2, Rgb([26_214_u16, 13_107, 65_535]));
        deep.save(path("c.png")).unwrap();
        // The content counts.
        let jpeg = path("jpeg.jpg");
        GrayImage::from_pixel(2, 2, Luma([102])).save(&jpeg).unwrap();
        fs::rename(jpeg, path("d.png")).unwrap();
        let data = Dataset::open(folder.path(), &of(&[2, 2, 3])).unwrap();
        let levels: Vec<f32> = (0..4).flat_map(|i| data.sample(i)[..3].to_vec()).collect();
        let found: Vec<u32> = levels.iter().map(|level| (level * 255.0).round() as u32).collect();
        assert_eq!(found, [102, 102, 102, 102, 51, 0, 102, 51, 255, 102, 102, 102]);
    }

    #[test]
    fn what_is_no_image_is_named() {
        let folder = pets();
        let path = |name: &str| folder.path().join(name);
        let any = DataOptions::default();
        plain(&path("dog/c.png"), 5, [0; 3]);
        refused(
            folder.path(),
            &any,
            "dog/c.png: an image of shape (3, 5, 5), but the first one has (3, 4, 4)",
        );
        let png = fs::read(path("dog/c.png")).unwrap();
        for (bytes, words) in [
            (&png[..png.len() / 2], "dog/c.png: cannot be read as PNG or JPEG: "),
            (&[], "dog/c.png: its content is neither PNG nor JPEG"),
            (b"GIF89a and so on", "dog/c.png: its content is neither PNG nor JPEG"),
            (&[0xff, 0xd8, 0xff, 0xe0, 0, 16], "dog/c.png: cannot be read as PNG or JPEG: "),
        ] {
            fs::write(path("dog/c.png"), bytes).unwrap();
            refused(folder.path(), &any, words);
        }
        // A picture that claims to be 60000 x 60000 is refused, not made.
        let mut bomb = png.clone();
        bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        fs::write(path("dog/c.png"), bomb).unwrap();
        refused(folder.path(), &any, "dog/c.png: cannot be read");
        fs::remove_file(path("dog/c.png")).unwrap();
        RgbImage::new(1, 20_000).save(path("dog/long.png")).unwrap();
        refused(
            folder.path(),
            &of(&[3, 224, 224]),
            "dog/long.png: 1 x 20000 pixels cannot be scaled",
        );
        fs::remove_file(path("dog/long.png")).unwrap();
        fs::write(path("dog/Thumbs.db"), "x").unwrap();
        refused(folder.path(), &any, "dog/Thumbs.db: neither a .png nor a .jpg file");
        fs::remove_file(path("dog/Thumbs.db")).unwrap();
        fs::create_dir(path("bird")).unwrap();
        refused(folder.path(), &any, "bird: no images in it: every folder is a class");
        fs::create_dir(path("bird/more")).unwrap();
        refused(folder.path(), &any, "bird/more: neither a .png");
        let none = tempfile::tempdir().unwrap();
        refused(none.path(), &any, "no folders in it: images lie in a folder for each class");
    }

    #[cfg(unix)]
    #[test]
    fn hidden_files_and_links_in_circles_do_no_harm() {
        use std::os::unix::fs::symlink;

        let folder = pets();
        let path = |name: &str| folder.path().join(name);
        let before = Dataset::open(folder.path(), &DataOptions::default()).unwrap();
        fs::write(path(".DS_Store"), "x").unwrap();
        fs::write(path("dog/.DS_Store"), "x").unwrap();
        fs::create_dir(path(".git")).unwrap();
        fs::write(path("README.md"), "x").unwrap();
        symlink(folder.path(), path("loop")).unwrap();
        symlink(path("self"), path("self")).unwrap();
        symlink(path("nowhere"), path("gone")).unwrap();
        assert_eq!(Dataset::open(folder.path(), &DataOptions::default()).unwrap(), before);
        // A link to images is as good as a folder.
        symlink(path("dog"), path("wolf")).unwrap();
        let data = Dataset::open(folder.path(), &DataOptions::default()).unwrap();
        assert_eq!(data.labels(), [0, 1, 1, 2, 2]);
        symlink(path("dog/self.png"), path("dog/self.png")).unwrap();
        let message = Dataset::open(folder.path(), &DataOptions::default()).unwrap_err();
        assert!(message.to_string().contains("dog/self.png: "), "{message}");
    }
}
