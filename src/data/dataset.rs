//! Labelled samples in memory.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use ndarray::{ArrayView, Dimension};
use sha2::{Digest, Sha256};

use super::groups::Grouping;
use super::npy::Shape;
use super::shape::Layout;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::model::{Batch, Classifier, Given, SampleArray, SampleArrays};

/// Labelled samples in memory.
///
/// Values are what the file holds, converted to f32; only pixels of image formats are rescaled, from 0 to 255 to [0, 1], which is
/// [noted](Self::notes). A sample's [`id`](Self::id) is its index in the
/// file and stays with it through [`subset`](Self::subset): random streams, and so results, hang on it.
///
/// # Example: from arrays
/// ```
/// # fn main() -> Result<(), ironbound::Error> {
/// let x = [[0.1, 0.9], [0.8, 0.3], [0.5, 0.4]];
/// let data = ironbound::Dataset::from_arrays(ndarray::arr2(&x).view(), &[1, 0, 0])?;
/// let tail = data.subset(1, None)?;
/// assert_eq!((tail.len(), tail.id(0), tail.sample(0)), (2, 1, &[0.8, 0.3][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    pub(super) x: Vec<f32>,
    pub(super) shape: Vec<usize>,
    pub(super) y: Vec<usize>,
    pub(super) ids: Vec<usize>,
    pub(super) x_source: Source,
    pub(super) y_source: Source,
    pub(super) sha256: String,
    pub(super) layout: Option<Layout>,
    pub(super) notes: Vec<Finding>,
    /// Further arrays of the file, found by a sample's id.
    pub(super) arrays: Arc<SampleArrays>,
    /// By class index; empty when classes have no names.
    pub(super) class_names: Arc<[String]>,
    /// Found by a sample's id.
    pub(super) groups: Arc<Vec<Grouping>>,
}

/// Where an array came from, for messages.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) key: String,
}

impl Source {
    pub(super) fn new(file: impl Into<String>, key: impl Into<String>) -> Self {
        Self { file: file.into(), key: key.into() }
    }

    /// A fault of this array.
    pub(super) fn refuse(&self, problem: impl std::fmt::Display) -> Error {
        let problem = format!("`{}`: {problem}", self.key);
        Error::Data { file: self.file.clone(), problem, source: None }
    }
}

impl Dataset {
    /// From an array whose first axis counts the samples, and one class index per sample.
    ///
    /// [`path`](Self::path) is then "data", and [`sha256`](Self::sha256) that of shape, values and labels.
    ///
    /// # Errors
    /// [`Error::Data`] when there are no samples or features, or as many labels as samples are not given.
    pub fn from_arrays<D: Dimension>(x: ArrayView<'_, f32, D>, y: &[usize]) -> Result<Self> {
        let values: Vec<f32> = x.iter().copied().collect();
        let mut hash = Sha256::new();
        x.shape().iter().for_each(|axis| hash.update((*axis as u64).to_le_bytes()));
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        y.iter().for_each(|label| hash.update((*label as u64).to_le_bytes()));
        let sources = (Source::new("data", "x"), Source::new("data", "y"));
        Self::assemble(x.shape(), values, y.to_vec(), sources, hex(hash))
    }

    /// `axes` is the shape of all samples together.
    pub(super) fn assemble(
        axes: &[usize],
        x: Vec<f32>,
        y: Vec<usize>,
        sources: (Source, Source),
        sha256: String,
    ) -> Result<Self> {
        Ok(Self { x, ..Self::without_values(axes, y, sources, sha256)? })
    }

    /// All of it but the values of the samples, which are elsewhere.
    pub(super) fn without_values(
        axes: &[usize],
        y: Vec<usize>,
        (x_source, y_source): (Source, Source),
        sha256: String,
    ) -> Result<Self> {
        let [samples, shape @ ..] = axes else {
            return Err(x_source.refuse("a single number; the first axis must count the samples"));
        };
        if shape.is_empty() {
            return Err(x_source.refuse(format!(
                "has shape {}, but the first axis counts the samples and at least one more holds the features; \
                 for a single sample add an axis: x[None]",
                Shape(axes)
            )));
        }
        if axes.contains(&0) {
            return Err(
                x_source.refuse(format!("has shape {}: there is nothing in it", Shape(axes)))
            );
        }
        if y.len() != *samples {
            let (file, key) = (&x_source.file, &x_source.key);
            return Err(y_source.refuse(format!(
                "{} labels for {samples} samples (`{key}` of {file} has shape {}); each sample needs one",
                y.len(),
                Shape(axes)
            )));
        }
        Ok(Self {
            x: vec![],
            shape: shape.to_vec(),
            y,
            ids: (0..*samples).collect(),
            x_source,
            y_source,
            sha256,
            layout: None,
            notes: vec![],
            arrays: Arc::default(),
            class_names: Arc::default(),
            groups: Arc::default(),
        })
    }

    /// How many samples; never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.y.len()
    }

    /// Always false: an empty data set cannot be made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    /// The shape of one sample, without the sample axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values per sample.
    #[must_use]
    pub fn features(&self) -> usize {
        self.x.len() / self.len()
    }

    /// The values of the `index`-th sample in C order.
    ///
    /// # Panics
    /// When `index` is not less than [`len`](Self::len).
    #[must_use]
    pub fn sample(&self, index: usize) -> &[f32] {
        let features = self.features();
        &self.x[index * features..][..features]
    }

    /// All values, `samples x features`, in C order.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.x
    }

    /// The class index of each sample.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.y
    }

    /// The index that the `index`-th sample has in the file.
    ///
    /// # Panics
    /// When `index` is not less than [`len`](Self::len).
    #[must_use]
    pub fn id(&self, index: usize) -> usize {
        self.ids[index]
    }

    /// Every sample's index in the file.
    #[must_use]
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// The file, or "data" when the samples came from memory. Of a pair of files, the one with the samples.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.x_source.file
    }

    /// SHA-256 of the whole file, in lower-case hexadecimal; of a pair of files, that of one after the other.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What a reader must know of how the data was taken: axes that were moved or guessed.
    #[must_use]
    pub fn notes(&self) -> &[Finding] {
        &self.notes
    }

    /// What the classes are called, by class index; empty when they have no names.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Names the classes, in the order of their indices.
    ///
    /// # Errors
    /// [`Error::Data`] when a label is left without a name.
    pub fn with_class_names<S: Into<String>>(
        self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let class_names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        match self.y.iter().position(|label| *label >= class_names.len()) {
            Some(sample) => Err(self.y_source.refuse(format!(
                "the label of sample {} is {}, but only {} classes have names",
                self.id(sample),
                self.y[sample],
                class_names.len()
            ))),
            None => Ok(Self { class_names, ..self }),
        }
    }

    /// The groups of samples that columns of the data set make; [`of`](Grouping::of) is by a sample's index in the file.
    #[must_use]
    pub fn groups(&self) -> &[Grouping] {
        &self.groups
    }

    /// Adds a column with one value per sample of the file, which make groups: reports tell robust accuracy for each.
    ///
    /// # Errors
    /// [`Error::Data`] when there are not as many values as samples, or more than 1000 that differ.
    pub fn with_groups<S: AsRef<str>>(mut self, column: &str, values: &[S]) -> Result<Self> {
        let source = Source::new(self.path(), column);
        let all = self.all();
        if values.len() != all {
            let found = values.len();
            return Err(source.refuse(format!("{found} values for {all} samples; each needs one")));
        }
        let grouping = Grouping::new(column, values).map_err(|problem| source.refuse(problem))?;
        Arc::make_mut(&mut self.groups).push(grouping);
        Ok(self)
    }

    /// How many samples the file has, as far as is known.
    fn all(&self) -> usize {
        self.ids.iter().max().map_or(0, |last| last + 1)
    }

    /// Pixels of 8 bits as shares of white.
    pub(super) fn with_pixels_scaled(mut self) -> Self {
        self.x.iter_mut().for_each(|value| *value /= 255.0);
        let message =
            "pixels, 0 to 255 in the file, were divided by 255: budgets and bounds are of those";
        self.notes.push(Finding::info("data-scaled", message));
        self
    }

    /// Adds an array with one entry per sample, for a model that takes more than the attacked input. Its first axis
    /// counts the samples.
    ///
    /// # Errors
    /// [`Error::Data`] when it has another number of entries than there are samples.
    pub fn with_array<D: Dimension>(
        self,
        name: &str,
        array: ArrayView<'_, f64, D>,
    ) -> Result<Self> {
        self.with_stored(name, array.shape(), array.iter().copied().collect())
    }

    /// `axes` is the shape of all entries together.
    pub(super) fn with_stored(
        mut self,
        name: &str,
        axes: &[usize],
        values: Vec<f64>,
    ) -> Result<Self> {
        let all = self.all();
        let Some((_, shape)) = axes.split_first().filter(|(entries, _)| **entries == all) else {
            let source = Source::new(self.path(), name);
            return Err(source.refuse(format!(
                "has shape {}, but its first axis must count the {all} samples",
                Shape(axes)
            )));
        };
        let array = SampleArray { shape: shape.to_vec(), values };
        Arc::make_mut(&mut self.arrays).insert(name.into(), array);
        Ok(self)
    }

    /// The data set as a model sees it that takes more than the attacked input: see
    /// [`Classifier::bind`].
    #[must_use]
    pub fn given(&self) -> Given<'_> {
        Given {
            file: self.path(),
            ids: &self.ids,
            name: &self.x_source.key,
            shape: &self.shape,
            x: &self.x,
            arrays: &self.arrays,
        }
    }

    /// Does something with `model` and these samples, once the model has all that it takes of them.
    ///
    /// # Errors
    /// [`Error::Data`] when they lack an input of the model; those of `then`.
    pub(crate) fn bound_to<T>(
        &self,
        model: &dyn Classifier,
        then: impl FnOnce(&dyn Classifier, &Self) -> Result<T>,
    ) -> Result<T> {
        let Some(bound) = model.bind(&self.given())? else {
            return self.anchored_to(model, then);
        };
        let attacked = bound.inputs.map(|(shape, values)| self.with_values(shape, values));
        attacked.as_ref().unwrap_or(self).anchored_to(&*bound.model, then)
    }

    /// Does something with `model`, once it knows what it compares points with at the clean inputs.
    fn anchored_to<T>(
        &self,
        model: &dyn Classifier,
        then: impl FnOnce(&dyn Classifier, &Self) -> Result<T>,
    ) -> Result<T> {
        if !model.compares_with_clean() {
            return then(model, self);
        }
        let shaped = self.shaped_for(model)?;
        let clean = Batch { inputs: shaped.values(), samples: shaped.ids() };
        match model.anchor(clean)? {
            Some(anchored) => then(&*anchored, &shaped),
            None => then(model, self),
        }
    }

    /// The same samples, all with the label 0: for models that are no classifiers, but have an
    /// [objective](crate::ObjectiveModel).
    #[must_use]
    pub fn without_labels(self) -> Self {
        Self { y: vec![0; self.y.len()], class_names: Arc::default(), ..self }
    }

    /// The samples in the shape of the model's input.
    ///
    /// # Errors
    /// As [`reshaped_for`](Self::reshaped_for).
    pub(crate) fn shaped_for(&self, model: &dyn Classifier) -> Result<Cow<'_, Self>> {
        let shape = &model.info().shape;
        if self.shape() == shape {
            return Ok(Cow::Borrowed(self));
        }
        self.clone().reshaped_for(shape).map(Cow::Owned)
    }

    /// The same samples with other values, of shape `samples x shape`.
    fn with_values(&self, shape: Vec<usize>, x: Vec<f32>) -> Self {
        Self {
            x,
            shape,
            y: self.y.clone(),
            ids: self.ids.clone(),
            x_source: self.x_source.clone(),
            y_source: self.y_source.clone(),
            sha256: self.sha256.clone(),
            layout: None,
            notes: self.notes.clone(),
            arrays: Arc::clone(&self.arrays),
            class_names: Arc::clone(&self.class_names),
            groups: Arc::clone(&self.groups),
        }
    }

    /// The samples at these places, of which there is one at least. They keep their ids.
    pub(crate) fn select(&self, places: &[usize]) -> Self {
        self.at(places, places.iter().flat_map(|&place| self.sample(place)).copied().collect())
    }

    /// The same, with these values.
    pub(super) fn at(&self, places: &[usize], values: Vec<f32>) -> Self {
        Self {
            y: places.iter().map(|&place| self.y[place]).collect(),
            ids: places.iter().map(|&place| self.ids[place]).collect(),
            layout: self.layout,
            ..self.with_values(self.shape.clone(), values)
        }
    }

    /// The samples from the `offset`-th on, at most `limit` of them (all, when none is given). They keep their ids.
    ///
    /// # Errors
    /// [`Error::Parameter`] when no sample is left.
    pub fn subset(&self, offset: usize, limit: Option<usize>) -> Result<Self> {
        if offset >= self.len() {
            let expected = format!("{} has {} samples, counted from 0", self.path(), self.len());
            return Err(Error::parameter("offset", offset, expected));
        }
        if limit == Some(0) {
            return Err(Error::parameter("limit", 0, "at least one sample is needed"));
        }
        let end = limit.map_or(self.len(), |limit| self.len().min(offset.saturating_add(limit)));
        let features = self.features();
        Ok(Self {
            x: self.x[offset * features..end * features].to_vec(),
            shape: self.shape.clone(),
            y: self.y[offset..end].to_vec(),
            ids: self.ids[offset..end].to_vec(),
            x_source: self.x_source.clone(),
            y_source: self.y_source.clone(),
            sha256: self.sha256.clone(),
            layout: self.layout,
            notes: self.notes.clone(),
            arrays: Arc::clone(&self.arrays),
            class_names: Arc::clone(&self.class_names),
            groups: Arc::clone(&self.groups),
        })
    }
}

/// A digest in lower-case hexadecimal.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, arr1, arr2};

    use super::*;

    #[test]
    fn from_arrays_takes_any_memory_order() {
        let x = arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let data = Dataset::from_arrays(x.t(), &[0, 1, 2]).unwrap();
        assert_eq!((data.len(), data.shape(), data.features()), (3, &[2][..], 2));
        assert_eq!(data.sample(1), [2.0, 5.0]);
        assert_eq!(data.path(), "data");
        assert_eq!(data.sha256().len(), 64);
        let other = Dataset::from_arrays(x.t(), &[0, 1, 1]).unwrap();
        assert_ne!(data.sha256(), other.sha256());
    }

    #[test]
    fn impossible_arrays_are_refused() {
        let message = |result: Result<Dataset>| result.unwrap_err().to_string();
        let none = Array::<f32, _>::zeros((0, 4));
        assert!(
            message(Dataset::from_arrays(none.view(), &[])).contains("(0, 4): there is nothing")
        );
        let none = Array::<f32, _>::zeros((4, 0));
        assert!(message(Dataset::from_arrays(none.view(), &[0; 4])).contains("nothing in it"));
        let flat = arr1(&[0.0; 4]);
        assert!(message(Dataset::from_arrays(flat.view(), &[0; 4])).contains("x[None]"));
        let x = arr2(&[[0.0], [1.0]]);
        assert_eq!(
            message(Dataset::from_arrays(x.view(), &[0; 3])),
            "data: `y`: 3 labels for 2 samples (`x` of data has shape (2, 1)); each sample needs one"
        );
    }

    #[test]
    fn subsets_keep_their_ids() {
        let x = Array::from_shape_fn((10, 2), |(i, j)| (10 * i + j) as f32);
        let data = Dataset::from_arrays(x.view(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        let part = data.subset(3, Some(4)).unwrap().subset(1, Some(usize::MAX)).unwrap();
        assert_eq!((part.ids(), part.labels()), (&[4, 5, 6][..], &[4, 5, 6][..]));
        assert_eq!((part.id(2), part.sample(2)), (6, &[60.0, 61.0][..]));
        assert_eq!(part.sha256(), data.sha256());
        assert!(data.subset(10, None).unwrap_err().to_string().contains("10 samples"));
        assert!(data.subset(0, Some(0)).unwrap_err().to_string().contains("at least one"));
    }
}
