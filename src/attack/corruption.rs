//! Common corruptions of images: what happens to them without an adversary.

use serde::{Deserialize, Serialize};

use super::{Attack, Blind, Family, Target, checks, family};
use crate::corruption::{Canvas, Kind, Kinds, ParameterSet, Severities, Severity, restart};
use crate::error::Result;
use crate::model::ModelInfo;
use crate::norm::Norm;
use crate::threat::Bounds;

/// The 15 common [corruptions](crate::corruption) of images; the worst of those asked for, sample by sample.
///
/// # Threat model
/// No access: images are corrupted without an answer. What is corrupted is not held by a ball: a corruption counts under
/// every budget that holds its change, and an eps as large as the distance of the bounds (1 in linf, for images in [0, 1])
/// holds all of them. Black and white are the bounds, which must be finite. Any norm. Untargeted and targeted.
///
/// # Shapes
/// Images: see [`Canvas`]. With a mask, only free features are corrupted.
///
/// # Defaults
/// All kinds at severity 3, drawn once, with the parameters for the size of the image.
///
/// # Queries per sample
/// `draws` forward for every kind and severity, whether or not one of them broke the sample: the closest success counts.
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

impl Corruption {
    fn tries(&self) -> impl Iterator<Item = (usize, Severity, Kind)> {
        (0..self.draws)
            .flat_map(|draw| self.severity.list().iter().map(move |&severity| (draw, severity)))
            .flat_map(|(draw, severity)| {
                self.kind.list().iter().map(move |&kind| (draw, severity, kind))
            })
    }
}

impl Attack for Corruption {
    type Access = Blind;

    fn id(&self) -> &'static str {
        "corruption"
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        family::ANY_NORM
    }

    fn validate(&self) -> Result<()> {
        checks::at_least_one("draws", self.draws)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        Canvas::new(&model.shape, &Bounds::default(), self.parameters).map(|_| ())
    }

    fn run(&self, target: &mut Target<'_, Blind>) -> Result<()> {
        let mut slots: Vec<usize> = (0..target.len()).collect();
        let canvas = Canvas::new(target.shape(), target.bounds(), self.parameters)?;
        let mut points = vec![];
        for (draw, severity, kind) in self.tries() {
            slots.retain(|&slot| target.is_open(slot));
            points.clear();
            for &slot in &slots {
                let mut stream = target.stream(slot, restart(kind, severity, draw));
                let start = points.len();
                points.extend(canvas.corrupt(target.clean(slot), kind, severity, &mut stream));
                target.region(slot).project(&mut points[start..]);
            }
            target.submit(&slots, &points)?;
        }
        Ok(())
    }
}
