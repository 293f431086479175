//! The record: schema `ironbound/report/1`. `docs/report.schema.md` describes it for readers of the file.

use serde::{Deserialize, Serialize};

use super::agreement::Agreement;
use super::classes::{ClassDisparity, ClassRow};
use super::curves::Curve;
use super::groups::GroupTable;
use super::perturbations::{Perturbations, SuccessQueries};
use super::text::number;
use crate::data::Grouping;
use crate::evaluate::{Passes, Stopped};
use crate::finding::Finding;
use crate::metrics::{Confusion, Spread};
use crate::norm::{Norm, Sizes};
use crate::threat::Threat;

/// The name and version of the record's format.
pub const SCHEMA: &str = "ironbound/report/1";

/// An evaluation's record: what was run, on what, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The crate's version.
    pub ironbound: String,
    /// The run's seed.
    pub seed: u64,
    /// Whether the run was interrupted: shares are then of the samples that were finished.
    pub partial: bool,
    /// How it came to its end, where it was to stop as soon as enough was known: shares are then of the samples that were
    /// finished by then, their intervals as if so many had been asked for; [`Stopped::intervals`] allow for the looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// The model.
    pub model: ModelRecord,
    /// The data.
    pub data: DataRecord,
    /// Without an attack.
    pub clean: CleanRow,
    /// Every attack under every threat.
    pub attacks: Vec<AttackRow>,
    /// All attacks together, under every threat.
    pub worst_case: Vec<WorstCase>,
    /// Accuracy against budget: one curve per set of threats that differ in the budget only.
    #[serde(default)]
    pub curves: Vec<Curve>,
    /// What the reader of the numbers must know.
    pub warnings: Vec<Finding>,
}

/// The model of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// The file.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// The attacked input.
    pub input: String,
    /// The output that holds the logits.
    pub output: String,
    /// How many classes it tells apart.
    pub classes: usize,
    /// The options that it was loaded with, preprocessing among them; null for a classifier of one's own.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub options: serde_json::Value,
}

/// The data of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// The file.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// How many samples were asked for.
    pub samples: usize,
    /// The index in the file of the first of them; lists of one value per sample begin there.
    #[serde(default)]
    pub offset: usize,
    /// What the classes are called, by class index; empty when they have no names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
}

/// The clean pass of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanRow {
    /// Correct / finished; none when nothing was finished.
    pub accuracy: Option<f64>,
    /// Its 95 % Wilson interval.
    pub interval: [f64; 2],
    /// Whether each sample is classified correctly; false for errors and unreached samples too.
    pub correct: Vec<bool>,
    /// The true class of each sample.
    #[serde(default)]
    pub labels: Vec<usize>,
    /// The predicted class of each sample; null for errors and unreached samples.
    #[serde(default)]
    pub predictions: Vec<Option<usize>>,
    /// How sure of the prediction the model is: the softmax probability.
    #[serde(default)]
    pub confidences: Vec<Option<f64>>,
    /// Expected calibration error over 15 bins, of the samples with a prediction; null when all labels are one.
    #[serde(default)]
    pub calibration: Option<f64>,
    /// The groups that columns of the data set make, with that of each sample.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Grouping>,
    /// Samples (indices in the file) without finite logits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<usize>,
    /// Samples (indices in the file) not finished when the run was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<usize>,
}

/// One attack under one threat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackRow {
    /// The attack's name.
    pub id: String,
    /// All its parameters.
    pub params: serde_json::Value,
    /// The threat's norm; null for transformations.
    pub norm: Option<Norm>,
    /// The budget, in the units of the data; the largest one when it differs by sample or feature; null for transformations.
    pub eps: Option<f64>,
    /// What transformations may do, where they are the threat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<String>,
    /// The attacker's goal: "untargeted", "random", "least-likely", "kth-likely 2", "every-other", "class 3",
    /// "per sample".
    #[serde(default)]
    pub goal: String,
    /// Which of [`Report::worst_case`] has the same threat.
    #[serde(default)]
    pub case: usize,
    /// Robust / finished; none when nothing was.
    pub robust_accuracy: Option<f64>,
    /// Its 95 % Wilson interval.
    pub interval: [f64; 2],
    /// Broken / classified correctly; none when no sample was.
    pub success_rate: Option<f64>,
    /// Claims of success that did not hold.
    pub rejected: usize,
    /// Mean number of passes per sample that was attacked under this budget.
    pub queries: Queries,
    /// Passes that it took to break a sample; null when none was attacked under this budget and broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_queries: Option<SuccessQueries>,
    /// Passes that the attack took once for all samples, before it attacked the first one; null where it took none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<Queries>,
    /// Whether the attack looks for the smallest perturbation: the rows that differ only in `eps` are judged from one
    /// run, whose queries each of them states.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// How large the successful perturbations are, in the threat's norm; none when there is none.
    pub distance: Distances,
    /// How large they are in every norm, and how alike the images look; none when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perturbations: Option<Perturbations>,
    /// Whether each sample is robust: classified correctly, attacked without an error, and not broken.
    pub robust: Vec<bool>,
    /// Every broken sample, in the order of the data.
    #[serde(default)]
    pub broken: Vec<Broken>,
    /// Samples (indices in the file) whose attack ended in an error: neither robust nor broken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<usize>,
    /// Samples (indices in the file) not finished when the run was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<usize>,
}

/// A sample that was broken, and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// Its index in the file.
    pub sample: usize,
    /// The size of the perturbation, in the threat's norm; null for transformations.
    pub distance: Option<f64>,
    /// Its size in every norm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Sizes>,
    /// The structural similarity (SSIM) to the clean sample, where samples are images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssim: Option<f64>,
    /// Passes that the attack took on it; none where a point that it found under another budget broke the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queries: Option<Passes>,
    /// What the transformation was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<serde_json::Value>,
    /// The class that the model takes the perturbed sample for.
    pub prediction: usize,
    /// How sure of it the model is: the softmax probability.
    pub confidence: f64,
}

/// Mean queries per attacked sample; 0 when none was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queries {
    /// Forward passes.
    pub forward: f64,
    /// Backward passes.
    pub backward: f64,
}

/// A [`Spread`] of distances, each null when there is no success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distances {
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// The median.
    pub median: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

impl From<Option<Spread>> for Distances {
    fn from(spread: Option<Spread>) -> Self {
        Self {
            mean: spread.map(|spread| spread.mean),
            median: spread.map(|spread| spread.median),
            max: spread.map(|spread| spread.max),
        }
    }
}

/// All attacks together under one threat: a sample is robust when every one of them left it so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorstCase {
    /// The threat's norm; null for transformations.
    pub norm: Option<Norm>,
    /// The budget; null for transformations.
    pub eps: Option<f64>,
    /// What transformations may do, where they are the threat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<String>,
    /// The attacker's goal.
    #[serde(default)]
    pub goal: String,
    /// The whole threat: with bounds, mask, domain, budgets and targets per sample or feature.
    #[serde(default)]
    pub threat: Option<Threat>,
    /// Robust / finished; none when nothing was.
    pub robust_accuracy: Option<f64>,
    /// Its 95 % Wilson interval.
    pub interval: [f64; 2],
    /// Whether each sample is robust.
    pub robust: Vec<bool>,
    /// The classes of the data, one by one; empty when there is one only.
    #[serde(default)]
    pub classes: Vec<ClassRow>,
    /// Whether robust accuracy differs between classes; null when there is one only, and when all samples or none are robust.
    #[serde(default)]
    pub disparity: Option<ClassDisparity>,
    /// The groups that columns of the data set make, column by column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupTable>,
    /// Expected calibration error over 15 bins under attack: of the perturbed input where a sample was broken (by the first
    /// attack that did), of the clean one elsewhere.
    #[serde(default)]
    pub calibration: Option<f64>,
    /// What the samples of each class are taken for under attack, cell by cell of the confusion matrix: broken ones for what
    /// the first attack that broke them made of them, others for what they are without one. Empty when there is one class only.
    #[serde(default)]
    pub confusion: Vec<Confusion>,
    /// Which attacks broke the same samples, pair by pair.
    #[serde(default)]
    pub agreement: Vec<Agreement>,
    /// Samples (indices in the file) with an error under some attack, and not broken by another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<usize>,
    /// Samples (indices in the file) that some attack had not finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<usize>,
}

impl Report {
    /// A class in words: its index, and its name where it has one.
    #[must_use]
    pub fn class_name(&self, class: usize) -> String {
        match self.data.class_names.get(class) {
            Some(name) => format!("{class} ({name})"),
            None => class.to_string(),
        }
    }
}

impl AttackRow {
    /// The threat in a few words, as [`WorstCase::name`] has it.
    #[must_use]
    pub fn threat(&self) -> String {
        threat(self.norm, self.eps, self.transformation.as_deref())
    }
}

impl WorstCase {
    /// The threat in a few words: "linf 0.03137", "rotation 30 and shift 0.1071".
    #[must_use]
    pub fn name(&self) -> String {
        threat(self.norm, self.eps, self.transformation.as_deref())
    }

    /// The same with the goal, where the attacker has another than a wrong class.
    pub(super) fn title(&self) -> String {
        self.name() + &self.aim()
    }

    /// The same without the budget.
    pub(super) fn kind(&self) -> String {
        let norm = || self.norm.map_or_else(String::new, |norm| norm.to_string());
        self.transformation.clone().unwrap_or_else(norm) + &self.aim()
    }

    fn aim(&self) -> String {
        match &*self.goal {
            "" | "untargeted" => String::new(),
            goal => format!(", {goal}"),
        }
    }
}

fn threat(norm: Option<Norm>, eps: Option<f64>, transformation: Option<&str>) -> String {
    let budget = || Some(format!("{} {}", norm?, number(eps?)));
    transformation.map(str::to_owned).or_else(budget).unwrap_or_default()
}
