//! Common corruptions of images: what happens to them without an adversary.

use serde::{Deserialize, Serialize};

use super::transform::{self, Changes, Subject, Transform};
use super::{Attack, Decision, Target, checks};
use crate::corruption::{Canvas, Kind, Kinds, ParameterSet, Severities, Severity, restart};
use crate::error::Result;
use crate::model::ModelInfo;

/// The name in the table.
const ID: &str = "corruption";

/// The 15 common [corruptions](crate::corruption) of images; the worst of those asked for, sample by sample.
///
/// # Threat model
/// Access to the decision, by which it knows when to stop. No ball holds what is corrupted: norm and budget play no part, and
/// the report has one row and one worst case for all budgets. Black and white are the bounds, which must be finite. Untargeted
/// and targeted.
///
/// # Shapes
/// Images: see [`Canvas`]. With a mask, only free features are corrupted.
///
/// # Defaults
/// All kinds at severity 3, drawn once, with the parameters for the size of the image.
///
/// # Queries per sample
/// At most `draws` forward for every kind and severity, until the first success.
///
/// # Errors
/// When the samples are no images or have no finite bounds, the model cannot be run, or the run was cancelled.
///
/// # Reference
/// Hendrycks & Dietterich 2019, <https://arxiv.org/abs/1903.12261>.
///
/// # Differences
/// The paper counts errors on all samples, one corruption at a time, and averages: [`Corruptions`](crate::Corruptions)
/// does. Here, as with every attack, a sample that is misclassified as it is stays lost, and several kinds, severities and
/// draws are a worst case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Corruption {
    /// The kind, or all of them.
    pub kind: Kinds,
    /// How severe, or a range: 1, the mildest, to 5.
    pub severity: Severities,
    /// How often to try each, with other random numbers.
    pub draws: usize,
    /// For which size of image the parameters are.
    pub parameters: ParameterSet,
}

impl Default for Corruption {
    fn default() -> Self {
        Self {
            kind: Kinds::All,
            severity: Severity::ALL[2].into(),
            draws: 1,
            parameters: ParameterSet::Auto,
        }
    }
}

/// One corruption of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrupted {
    /// What kind.
    pub kind: Kind,
    /// How severe.
    pub severity: Severity,
    /// The number of its random draw.
    pub draw: usize,
}

impl Attack for Corruption {
    type Access = Decision;

    fn id(&self) -> &'static str {
        ID
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("draws", self.draws)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        checks::images(model)
    }

    fn transform(&self) -> Option<&dyn Transform> {
        Some(self)
    }

    fn run(&self, target: &mut Target<'_, Decision>) -> Result<()> {
        transform::run_all(self, target)
    }
}

impl Changes for Corruption {
    type Change = Corrupted;

    fn ranges(&self) -> String {
        let Self { kind, severity, draws, parameters } = self;
        let kinds = match kind {
            Kinds::All => "corruptions".to_owned(),
            Kinds::One(kind) => kind.name().to_owned(),
        };
        let draws = if *draws > 1 { format!(", {draws} draws") } else { String::new() };
        let set = match parameters {
            ParameterSet::Auto => "",
            ParameterSet::Cifar => ", cifar",
            ParameterSet::ImageNet => ", imagenet",
        };
        format!("{kinds} {severity}{draws}{set}")
    }

    fn changes(&self, _: &Subject<'_>) -> Result<Vec<Corrupted>> {
        let mut all = vec![];
        for draw in 0..self.draws {
            for &severity in self.severity.list() {
                all.extend(self.kind.list().iter().map(|&kind| Corrupted { kind, severity, draw }));
            }
        }
        Ok(all)
    }

    fn allows(&self, _: &Subject<'_>, Corrupted { kind, severity, draw }: &Corrupted) -> bool {
        self.kind.list().contains(kind)
            && self.severity.list().contains(severity)
            && *draw < self.draws
    }

    fn apply(&self, subject: &Subject<'_>, change: &Corrupted) -> Result<Vec<f32>> {
        let Corrupted { kind, severity, draw } = *change;
        let canvas = Canvas::new(subject.shape, subject.bounds, self.parameters)?;
        let mut stream = subject.stream(ID, restart(kind, severity, draw));
        Ok(canvas.corrupt(subject.clean, kind, severity, &mut stream))
    }
}
