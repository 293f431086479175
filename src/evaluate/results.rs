//! What an evaluation found, sample by sample.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::points;
use super::stopping::Stopped;
use crate::attack::{Access, Gradient, Member};
use crate::data::{Dataset, Grouping};
use crate::finding::Finding;
use crate::model::ModelInfo;
use crate::norm::Sizes;
use crate::threat::Threat;

/// What became of one sample under one attack and threat. The worst case over attacks is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Classified correctly, and not broken (or not attacked, because the target class is its label).
    Robust,
    /// Misclassified without an attack: never robust, not attacked.
    Wrong,
    /// Non-finite logits at the clean input: neither robust nor broken, not attacked.
    Unusable,
    /// The attack ended in an error, or met non-finite logits, and found nothing that holds: neither robust nor
    /// broken.
    Failed,
    /// Broken: an adversarial point was verified.
    Broken,
    /// Not finished when the run was interrupted.
    ///
    /// So are the samples that needed no attack but stand between samples that were not finished: the finished ones
    /// are whole stretches of the data set, so that their shares are not biased towards the misclassified.
    Unreached,
}

impl Fate {
    /// That of an attacked sample for which no point holds.
    pub(super) fn without_success(error: Option<&String>) -> Self {
        if error.is_some() { Self::Failed } else { Self::Robust }
    }
}

/// A verified adversarial point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adversarial {
    /// The perturbed input.
    #[serde(with = "points")]
    pub point: Arc<[f32]>,
    /// The perturbation's size in the threat's norm, computed in f64.
    pub distance: f64,
    /// The perturbation's size in every norm.
    pub sizes: Sizes,
    /// The [structural similarity](crate::metrics::ssim) to the clean input; none where samples are no images of 11 pixels a
    /// side or more, or have no finite range that is the same for all features.
    pub ssim: Option<f64>,
    /// The class that the model takes it for.
    pub prediction: usize,
    /// How sure of it the model is: the softmax probability, in (0, 1].
    pub confidence: f64,
    /// The member of an ensemble that found it; none where the attack is none.
    pub member: Option<Member>,
    /// What a [transformation](crate::attack::Family::Transformation) did to the sample.
    pub change: Option<serde_json::Value>,
}

/// One sample under one attack and threat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// What became of the sample.
    pub fate: Fate,
    /// The verified point, when the sample was broken.
    pub adversarial: Option<Adversarial>,
    /// Whether this attack was run on the sample under this threat, rather than settled by the clean pass or by a
    /// point found under another budget. The one run of a [shared](Row::shared) row was under each of its budgets.
    pub attacked: bool,
    /// Whether the attack claimed a success that did not hold.
    pub rejected: bool,
    /// Forward passes that the attack asked for.
    pub forward: u64,
    /// Backward passes that the attack asked for.
    pub backward: u64,
    /// Steps at which the gradient was identically zero.
    pub zero_gradients: u64,
    /// Why the attack failed.
    pub error: Option<String>,
}

impl Attempt {
    /// A sample that this attack was not run on.
    pub(super) fn settled(fate: Fate) -> Self {
        Self {
            fate,
            adversarial: None,
            attacked: false,
            rejected: false,
            forward: 0,
            backward: 0,
            zero_gradients: 0,
            error: None,
        }
    }
}

/// Passes through a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passes {
    /// Forward.
    pub forward: u64,
    /// Backward.
    pub backward: u64,
}

/// One attack under one threat.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The attack's name.
    pub attack: String,
    /// What the attack may ask: "blind", "decision", "score" or "gradient".
    pub access: String,
    /// The attack's parameters.
    pub params: serde_json::Value,
    /// What the attacker may do.
    pub threat: Threat,
    /// Whether the attack looks for the smallest perturbation: its rows under threats that differ only in the budget
    /// are judged from one run, whose queries each of them states. They must not be added up.
    pub shared: bool,
    /// What the attack took to [prepare](crate::attack::AnyAttack::prepare), once for all samples.
    pub preparation: Passes,
    /// One entry per sample.
    pub attempts: Vec<Attempt>,
}

impl Row {
    /// Samples that were broken.
    #[must_use]
    pub fn broken(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.fate == Fate::Broken).count()
    }

    /// Whether it follows the gradient at each sample, within a budget: what is one for all samples does not.
    pub(super) fn is_white_box(&self) -> bool {
        self.access == Gradient::NAME
            && self.preparation == Passes::default()
            && self.threat.transformation.is_none()
    }

    /// What became of each sample.
    #[must_use]
    pub fn fates(&self) -> Vec<Fate> {
        self.attempts.iter().map(|attempt| attempt.fate).collect()
    }
}

/// One sample without an attack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clean {
    /// The predicted class; none when the logits were not finite, or the sample was not reached.
    pub prediction: Option<usize>,
    /// Whether the prediction is the label.
    pub correct: bool,
    /// How sure of it the model is: the softmax probability, in (0, 1].
    pub confidence: Option<f64>,
    /// The input as the attacks had it, where one of them broke the sample; empty elsewhere.
    #[serde(default, with = "super::points")]
    pub input: Arc<[f32]>,
    /// Why there is no prediction; none when the sample was not reached before an interruption.
    pub error: Option<String>,
}

impl Clean {
    /// Whether it was reached.
    pub(super) fn is_finished(&self) -> bool {
        self.prediction.is_some() || self.error.is_some()
    }
}

/// Where the samples came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataInfo {
    /// The file, or a name.
    pub path: String,
    /// SHA-256 of the file's bytes, lower-case hexadecimal; of the values when they came from memory.
    pub sha256: String,
    /// What the classes are called, by class index; empty when they have no names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
}

impl From<&Dataset> for DataInfo {
    fn from(data: &Dataset) -> Self {
        Self {
            path: data.path().into(),
            sha256: data.sha256().into(),
            class_names: data.class_names().to_vec(),
        }
    }
}

/// What an evaluation found.
#[derive(Clone, Debug)]
pub struct Results {
    /// The run's seed.
    pub seed: u64,
    /// Whether the run was interrupted.
    pub partial: bool,
    /// The model.
    pub model: ModelInfo,
    /// The data.
    pub data: DataInfo,
    /// Each sample's index in the data set.
    pub ids: Vec<usize>,
    /// The true class of each sample.
    pub labels: Vec<usize>,
    /// The groups that columns of the data set make, [of](Grouping::of) these samples.
    pub groups: Vec<Grouping>,
    /// Each sample without an attack.
    pub clean: Vec<Clean>,
    /// Every attack under every threat: by norm (in the order given), attack (in the order given), budget (ascending).
    pub rows: Vec<Row>,
    /// How it came to its end, where it was to [stop](super::Evaluation::stop) as soon as enough was known.
    pub stopped: Option<Stopped>,
    /// What the reader must know: of the model and the data, of the preflight, of the run.
    pub warnings: Vec<Finding>,
}
