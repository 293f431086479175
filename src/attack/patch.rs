//! One patch for all images, wherever it is put.

use std::sync::Arc;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::prepare::{self, Prepared};
use super::transform::{self, Changes, Subject, Transform};
use super::{Attack, Decision, Gradient, Session, Target, checks};
use crate::corruption::{Canvas, ParameterSet, Place};
use crate::error::Result;
use crate::loss::{Loss, LossKind};
use crate::model::{LossGradient, ModelInfo};

/// The adversarial patch: a square whose colours are anything, made to be seen at random places, sizes and angles.
///
/// # Threat model
/// White box (gradients) while the patch is made, from the labelled samples of the data set; decisions when it is put on a
/// sample. No ball holds it: norm and budget play no part, and the report has one row and one worst case for all budgets.
/// Black and white are the bounds, which must be finite. Untargeted, or towards one class for all.
///
/// # Shapes
/// Images: see [`Canvas`]. With a mask, only free features are covered.
///
/// # Defaults
/// A square of a tenth of the image, no smaller than 0.7 of its side, up to 20 degrees either way, made in 40 passes over the first
/// 1000 samples of the data set in batches of 64, by steps of 0.05 of the range. 10 places are tried on a sample.
///
/// # Queries per sample
/// At most `places` forward, until the first success. Making the patch takes `epochs` forward and backward passes for each of
/// its samples: the report states them apart, and a query limit does not hold for them.
///
/// # Errors
/// When the samples are no images or have no finite bounds, for another goal, when the model cannot be run or differentiated,
/// or the run was cancelled.
///
/// # Reference
/// Brown et al. 2017, <https://arxiv.org/abs/1712.09665>, section 2; the expectation is that of Athalye et al. 2018,
/// <https://arxiv.org/abs/1707.07397>.
///
/// # Differences
/// The patch is a square, and climbs by the sign of the mean gradient of any loss, where the paper's is a disk and
/// follows the log-probability of a class. A sample counts as broken when one of the places breaks it; the paper states
/// the share of places. The samples that it is made from are among those that it is judged on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patch {
    /// How much of the image it covers at the most.
    pub share: f64,
    /// The least size, as a share of the largest side.
    pub scale: f64,
    /// The largest angle, in degrees.
    pub rotation: f64,
    /// Places to try on a sample.
    pub places: usize,
    /// Samples of the data set to make it from, the first ones.
    pub train: usize,
    /// Passes over them.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// The step, as a share of the range from black to white.
    pub rate: f64,
    /// The loss that is maximised.
    pub loss: LossKind,
}

impl Default for Patch {
    fn default() -> Self {
        Self {
            share: 0.1,
            scale: 0.7,
            rotation: 20.0,
            places: 10,
            train: 1000,
            epochs: 40,
            batch: 64,
            rate: 0.05,
            loss: LossKind::CrossEntropy,
        }
    }
}

const ID: &str = "patch";

impl Attack for Patch {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        ID
    }

    fn validate(&self) -> Result<()> {
        checks::share("share", self.share)?;
        checks::positive("share", self.share)?;
        checks::share("scale", self.scale)?;
        checks::positive("scale", self.scale)?;
        checks::degrees("rotation", self.rotation)?;
        for (field, count) in [
            ("places", self.places),
            ("train", self.train),
            ("epochs", self.epochs),
            ("batch", self.batch),
        ] {
            checks::at_least_one(field, count)?;
        }
        checks::positive("rate", self.rate)
    }

    fn loss(&self) -> Option<&LossKind> {
        Some(&self.loss)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        checks::images(model)
    }

    fn transform(&self) -> Option<&dyn Transform> {
        Some(self)
    }

    fn prepare(&self, session: &Session<'_>) -> Result<Option<Prepared>> {
        prepare::from_data(session, ID, self.train, |target, slots| self.craft(target, slots))
    }

    /// Without a preparation, each sample is a data set of its own.
    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        (0..target.len()).try_for_each(|slot| {
            let made = self.craft(target, &[slot])?;
            transform::run(&made, target, &[slot])
        })
    }
}

/// Before it is made there is nothing to put anywhere.
impl Transform for Patch {
    fn ranges(&self) -> String {
        let Self { share, scale, rotation, places, .. } = self;
        format!("patch of {share}, scale {scale}, rotation {rotation}, {places} places")
    }

    fn render(&self, _: &Subject<'_>, _: &Value) -> Option<Vec<f32>> {
        None
    }
}

impl Patch {
    /// The patch that these slots have in common.
    fn craft(&self, target: &mut Target<'_, Gradient>, slots: &[usize]) -> Result<Made> {
        let loss: Arc<dyn Loss> = self.loss.loss();
        let canvas = Canvas::new(target.shape(), target.bounds(), ParameterSet::Auto)?;
        let (rows, columns) = canvas.size();
        let side = (self.share * (rows * columns) as f64).sqrt().round();
        let side = (side as usize).clamp(1, rows.min(columns));
        let pattern = vec![0.5; side * side * canvas.channels()];
        let mut made = Made { patch: self.clone(), side, pattern };
        let mut answer = LossGradient::default();
        let batches = prepare::batches(target.seed(), ID, slots, (self.epochs, self.batch));
        for (epoch, mut slots) in batches {
            slots.retain(|&slot| target.affords(slot, 3));
            let mut points = vec![];
            let mut places = vec![];
            for &slot in &slots {
                // Those that are tried in the end come first in the stream.
                let place = made.place(&target.subject(slot), self.places + epoch, &canvas);
                let start = points.len();
                points.extend(canvas.paste(target.clean(slot), &made.pattern, side, &place));
                target.region(slot).project(&mut points[start..]);
                places.push(place);
            }
            target.loss_and_gradient(&slots, &points, &loss, &mut answer)?;
            let mut sum = vec![0.0; made.pattern.len()];
            let rows = answer.gradient.chunks_exact(target.features().max(1)).zip(&places);
            for (gradient, place) in rows.filter(|(row, _)| row.iter().all(|g| g.is_finite())) {
                canvas.lift(gradient, side, place, &mut sum);
            }
            for (colour, slope) in made.pattern.iter_mut().zip(sum) {
                let step = if slope == 0.0 { 0.0 } else { self.rate * slope.signum() };
                *colour = (*colour + step).clamp(0.0, 1.0);
            }
        }
        Ok(made)
    }
}

/// A patch that is there.
#[derive(Clone, Debug, Serialize)]
struct Made {
    patch: Patch,
    side: usize,
    /// Rows by columns by channels, black 0 and white 1.
    pattern: Vec<f64>,
}

impl Made {
    /// Where a draw puts it: anywhere within the image, at the random size, before it is turned.
    fn place(&self, subject: &Subject<'_>, draw: usize, canvas: &Canvas<'_>) -> Place {
        let mut stream = subject.stream(ID, draw);
        let scale = stream.random_range(self.patch.scale..=1.0);
        let rotation = self.patch.rotation * stream.random_range(-1.0..=1.0);
        let (rows, columns) = canvas.size();
        let mut within = |length: usize| {
            let half = (scale * self.side as f64 - 1.0) / 2.0;
            half + stream.random_range(0.0..=1.0) * ((length - 1) as f64 - 2.0 * half).max(0.0)
        };
        Place { row: within(rows), column: within(columns), rotation, scale }
    }
}

impl Attack for Made {
    type Access = Decision;

    fn id(&self) -> &'static str {
        ID
    }

    fn validate(&self) -> Result<()> {
        self.patch.validate()
    }

    fn transform(&self) -> Option<&dyn Transform> {
        Some(self)
    }

    fn run(&self, target: &mut Target<'_, Decision>) -> Result<()> {
        transform::run_all(self, target)
    }
}

impl Changes for Made {
    type Change = Place;

    fn ranges(&self) -> String {
        Transform::ranges(&self.patch)
    }

    fn changes(&self, subject: &Subject<'_>) -> Result<Vec<Place>> {
        let canvas = subject.canvas()?;
        Ok((0..self.patch.places).map(|draw| self.place(subject, draw, &canvas)).collect())
    }

    fn allows(&self, subject: &Subject<'_>, place: &Place) -> bool {
        subject.canvas().is_ok_and(|canvas| {
            let (rows, columns) = canvas.size();
            (self.patch.scale..=1.0).contains(&place.scale)
                && place.rotation.abs() <= self.patch.rotation
                && (0.0..=(rows - 1) as f64).contains(&place.row)
                && (0.0..=(columns - 1) as f64).contains(&place.column)
        })
    }

    fn apply(&self, subject: &Subject<'_>, place: &Place) -> Result<Vec<f32>> {
        let canvas = subject.canvas()?;
        Ok(canvas.paste(subject.clean, &self.pattern, self.side, place))
    }
}
