//! What a suite runs.

use std::path::PathBuf;

use crate::attack::AttackSpec;
use crate::data::{DataOptions, Dataset};
use crate::error::Result;
use crate::evaluate::Evaluation;
use crate::model::{Classifier, Model, ModelOptions};
use crate::report::GateSpec;
use crate::threat::{Bounds, Threat};

/// Models, data sets, threats, attacks and gates: every model is to be evaluated on every data set, under the same threats and
/// attacks.
///
/// # Example
/// ```
/// use ironbound::suite::Suite;
///
/// let text = r#"
///     attacks = ["pgd:steps=20"]
///     gates = ["clean >= 0.9", "worst_case.linf@8/255 >= 0.4"]
///
///     [[threats]]
///     norm = "linf"
///     eps = ["8/255"]
///
///     [[data]]
///     path = "test.npz"
///
///     [[models]]
///     path = "model.onnx"
///     options.preprocessing.scale = 255
/// "#;
/// let suite = Suite::parse(text, "suite.toml", "".as_ref())?;
/// assert_eq!((suite.models.len(), suite.threats.len(), &*suite.data[0].name), (1, 1, "test"));
/// let error = Suite::parse(&text.replace("eps", "epsilon"), "suite.toml", "".as_ref()).unwrap_err();
/// assert!(error.to_string().starts_with("suite.toml:7: unknown field `epsilon`, expected one of `norm`, `eps`"));
/// # Ok::<(), ironbound::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Suite {
    /// Keys every random draw.
    pub seed: u64,
    /// The first sample of every data set.
    pub offset: usize,
    /// How many samples, at the most; all when none is given.
    pub limit: Option<usize>,
    /// What the attacker may do.
    pub threats: Vec<Threat>,
    /// The attacks.
    pub attacks: Vec<AttackSpec>,
    /// The data sets.
    pub data: Vec<SuiteData>,
    /// The models.
    pub models: Vec<SuiteModel>,
}

/// A data set of a suite.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteData {
    /// Its name, fit for a folder.
    pub name: String,
    /// The file or folder: see [`Dataset::open`].
    pub path: PathBuf,
    /// How it is read.
    pub options: DataOptions,
    /// Within which values its samples stay.
    pub bounds: SuiteBounds,
}

/// Within which values the samples of a data set stay.
#[derive(Clone, Debug, PartialEq)]
pub enum SuiteBounds {
    /// Those that the threats say: 0 to 1, if they do not.
    OfThreats,
    /// From the smallest to the largest value of each feature.
    OfData,
    /// These.
    Given(Bounds),
}

/// A model of a suite.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteModel {
    /// Its name, fit for a file.
    pub name: String,
    /// The ONNX file.
    pub path: PathBuf,
    /// How it is loaded.
    pub options: ModelOptions,
    /// The SHA-256 that its file must have.
    pub expect_sha256: Option<String>,
    /// What it is compared with.
    pub baseline: Option<Reference>,
    /// The gates of the suite, and its own.
    pub gates: Vec<GateSpec>,
}

/// What a model is compared with, sample by sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A report of another run.
    Report(PathBuf),
    /// The index of a model of the suite that stands before.
    Model(usize),
}

impl Suite {
    /// The evaluation of a model on one of the data sets, which was [read](SuiteData::read): the suite's threats, attacks, seed
    /// and samples.
    ///
    /// # Errors
    /// Those of [`Dataset::feature_bounds_for`], where bounds are those of the data.
    pub fn evaluation<'a>(
        &self,
        model: &'a Model,
        of: &SuiteData,
        data: &'a Dataset,
    ) -> Result<Evaluation<'a>> {
        let bounds = match &of.bounds {
            SuiteBounds::OfThreats => None,
            SuiteBounds::OfData => Some(data.feature_bounds_for(&model.info().shape)?),
            SuiteBounds::Given(bounds) => Some(bounds.clone()),
        };
        let bounded = |threat: &Threat| match &bounds {
            Some(bounds) => threat.clone().with_bounds(bounds.clone()),
            None => threat.clone(),
        };
        let run = Evaluation::new(model, data).seed(self.seed).range(self.offset, self.limit);
        let run = self.threats.iter().fold(run, |run, threat| run.threat(bounded(threat)));
        Ok(self.attacks.iter().fold(run, |run, attack| run.attack(attack.clone())))
    }
}

impl SuiteModel {
    /// Loads it.
    ///
    /// # Errors
    /// Those of [`Model::load_with`]; [`Error::Parameter`](crate::Error::Parameter) when the file has another SHA-256 than it must have.
    pub fn load(&self) -> Result<Model> {
        let model = Model::load_with(&self.path, &self.options)?;
        if let Some(expected) = &self.expect_sha256 {
            model.info().expect_sha256(expected)?;
        }
        Ok(model)
    }
}

impl SuiteData {
    /// Reads it, with what `model` takes besides the attacked input.
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    pub fn read(&self, model: &Model) -> Result<Dataset> {
        Dataset::open(&self.path, &self.options.for_model(model))
    }
}
