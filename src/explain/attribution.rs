//! What comes of explaining.

use std::path::Path;

use ndarray::ArrayD;

use super::{Focus, Method, ScoreKind};
use crate::data::{NpzArray, NpzValues, write_npz};
use crate::error::Result;
use crate::evaluate::DataInfo;
use crate::model::ModelInfo;

/// What a method makes of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// One number per feature.
    pub values: Vec<f64>,
    /// How the numbers add up, where the method promises that they do.
    pub completeness: Option<Completeness>,
}

impl From<Vec<f64>> for Attribution {
    fn from(values: Vec<f64>) -> Self {
        Self { values, completeness: None }
    }
}

/// Whether the features' parts add up to what they are parts of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Completeness {
    /// The sum of the parts.
    pub sum: f64,
    /// The score at the sample less that at the baseline.
    pub change: f64,
}

impl Completeness {
    /// The sum of the parts less the change of the score.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.sum - self.change
    }
}

/// One sample, explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Its index in the data set.
    pub sample: usize,
    /// The true class.
    pub label: usize,
    /// The predicted class.
    pub prediction: usize,
    /// The class whose score is explained.
    pub class: usize,
    /// The score.
    pub score: f64,
    /// The sample itself, in the shape of the model's input.
    pub input: ArrayD<f32>,
    /// One number per feature, in the same shape.
    pub map: ArrayD<f64>,
    /// How the numbers add up, where the method promises that they do.
    pub completeness: Option<Completeness>,
}

/// Samples, explained by one method.
#[derive(Clone, Debug)]
pub struct Explanations {
    /// The model.
    pub model: ModelInfo,
    /// The data.
    pub data: DataInfo,
    /// The method.
    pub method: Method,
    /// Which class is explained.
    pub focus: Focus,
    /// Which number of it.
    pub score: ScoreKind,
    /// Keys every random draw.
    pub seed: u64,
    /// One entry per sample, in the order asked for.
    pub explanations: Vec<Explanation>,
}

impl Explanations {
    /// Writes the maps to the npz file `path`.
    ///
    /// Arrays, one entry per sample: `map` f64 and `x` f32 (samples x shape of the model's input), `sample` i64 the index in
    /// the data set, `label`, `prediction` and `class` i64, `score` f64; where the method promises that a map adds up,
    /// `change` f64 what to.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save_npz(&self, path: impl AsRef<Path>) -> Result<()> {
        let all = &self.explanations;
        let column = |of: &dyn Fn(&Explanation) -> usize| all.iter().map(of).collect::<Vec<_>>();
        let numbers = |of: &dyn Fn(&Explanation) -> f64| all.iter().map(of).collect::<Vec<_>>();
        let map: Vec<f64> = all.iter().flat_map(|one| one.map.iter().copied()).collect();
        let x: Vec<f32> = all.iter().flat_map(|one| one.input.iter().copied()).collect();
        let shape = [&[all.len()], &self.model.shape[..]].concat();
        let (sample, label) = (column(&|one| one.sample), column(&|one| one.label));
        let (prediction, class) = (column(&|one| one.prediction), column(&|one| one.class));
        let score = numbers(&|one| one.score);
        let change: Option<Vec<f64>> =
            all.iter().map(|one| Some(one.completeness?.change)).collect();
        let mut arrays = vec![
            ("map", NpzArray::new(&shape[..], NpzValues::F64(&map))?),
            ("x", NpzArray::new(&shape[..], NpzValues::F32(&x))?),
            ("sample", NpzValues::Index(&sample).into()),
            ("label", NpzValues::Index(&label).into()),
            ("prediction", NpzValues::Index(&prediction).into()),
            ("class", NpzValues::Index(&class).into()),
            ("score", NpzValues::F64(&score).into()),
        ];
        arrays.extend(change.as_deref().map(|of| ("change", NpzValues::F64(of).into())));
        write_npz(path, &arrays)
    }
}
