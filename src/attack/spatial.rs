//! Rotations and translations of images.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::transform::{self, Changes, Subject, Transform};
use super::{Attack, Decision, Target, checks};
use crate::error::Result;
use crate::model::ModelInfo;

/// Rotates an image about its centre and shifts it: all of a grid of angles and shifts, or some at random.
///
/// # Threat model
/// Access to the decision. No ball holds what is rotated: norm and budget play no part, and the report has one row and one
/// worst case for all budgets. What is moved in from outside is black, the lower bound; bounds must be finite. Untargeted and
/// targeted.
///
/// # Shapes
/// Images: see [`Canvas`](crate::corruption::Canvas). With a mask, only free features take the rotated values.
///
/// # Defaults
/// Up to 30 degrees either way at 31 angles, and up to 3/28 of the rows and columns at 5 shifts each way.
///
/// # Queries per sample
/// At most `rotations` times `shifts` squared, 775 forward passes, or `tries` where that is given: until the first success.
///
/// # Errors
/// When the samples are no images or have no finite bounds, the model cannot be run, or the run was cancelled.
///
/// # Reference
/// Engstrom et al. 2019, <https://arxiv.org/abs/1712.02779>, section 3: the grid and the worst of k.
///
/// # Differences
/// The paper's shifts are 3 pixels of 28 or 32 and 24 of 224. Changes are tried from the smallest one on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spatial {
    /// The largest angle, in degrees.
    pub rotation: f64,
    /// The largest shift, as a share of the rows (up and down) and of the columns (left and right).
    pub shift: f64,
    /// Angles of the grid.
    pub rotations: usize,
    /// Shifts of the grid, each way.
    pub shifts: usize,
    /// How many random changes to try in the place of the grid.
    pub tries: Option<usize>,
}

impl Default for Spatial {
    fn default() -> Self {
        Self { rotation: 30.0, shift: 3.0 / 28.0, rotations: 31, shifts: 5, tries: None }
    }
}

/// One way to move an image: it is rotated about its centre, then shifted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pose {
    /// Degrees, counter-clockwise.
    pub rotation: f64,
    /// Pixels downwards.
    pub down: f64,
    /// Pixels to the right.
    pub right: f64,
}

impl Attack for Spatial {
    type Access = Decision;

    fn id(&self) -> &'static str {
        "spatial"
    }

    fn validate(&self) -> Result<()> {
        checks::share("shift", self.shift)?;
        checks::degrees("rotation", self.rotation)?;
        checks::at_least_one("rotations", self.rotations)?;
        checks::at_least_one("shifts", self.shifts)?;
        self.tries.map_or(Ok(()), |tries| checks::at_least_one("tries", tries))
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

impl Changes for Spatial {
    type Change = Pose;

    fn ranges(&self) -> String {
        format!("rotation {} and shift {:.4}", self.rotation, self.shift)
    }

    fn changes(&self, subject: &Subject<'_>) -> Result<Vec<Pose>> {
        let (rows, columns) = subject.canvas()?.size();
        let (down, right) = (self.shift * rows as f64, self.shift * columns as f64);
        if let Some(tries) = self.tries {
            let mut stream = subject.stream("spatial", 0);
            let mut within = |most: f64| most * stream.random_range(-1.0..=1.0);
            let pose = |_| Pose {
                rotation: within(self.rotation),
                down: within(down),
                right: within(right),
            };
            return Ok((0..tries).map(pose).collect());
        }
        let mut poses = vec![];
        for rotation in evenly(self.rotation, self.rotations) {
            for down in evenly(down, self.shifts) {
                let right = evenly(right, self.shifts);
                poses.extend(right.map(|right| Pose { rotation, down, right }));
            }
        }
        let share = |value: f64, most: f64| if most > 0.0 { (value / most).powi(2) } else { 0.0 };
        let size = |pose: &Pose| {
            share(pose.rotation, self.rotation) + share(pose.down, down) + share(pose.right, right)
        };
        poses.sort_by(|a, b| size(a).total_cmp(&size(b)));
        Ok(poses)
    }

    fn allows(&self, subject: &Subject<'_>, pose: &Pose) -> bool {
        let within = |value: f64, most: f64| value.abs() <= most * (1.0 + 1e-12);
        subject.canvas().is_ok_and(|canvas| {
            let (rows, columns) = canvas.size();
            within(pose.rotation, self.rotation)
                && within(pose.down, self.shift * rows as f64)
                && within(pose.right, self.shift * columns as f64)
        })
    }

    fn apply(&self, subject: &Subject<'_>, pose: &Pose) -> Result<Vec<f32>> {
        let canvas = subject.canvas()?;
        let (rows, columns) = canvas.size();
        let (middle, centre) = ((rows - 1) as f64 / 2.0, (columns - 1) as f64 / 2.0);
        let (sine, cosine) = pose.rotation.to_radians().sin_cos();
        // Where each pixel comes from: back by the shift, then turned clockwise.
        Ok(canvas.warp(subject.clean, |row, column| {
            let (y, x) = (row - middle - pose.down, column - centre - pose.right);
            (middle + cosine * y + sine * x, centre + cosine * x - sine * y)
        }))
    }
}

/// So many numbers from `-most` to `most`; one is 0.
fn evenly(most: f64, count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |at| {
        if count == 1 { 0.0 } else { most * (2.0 * at as f64 / (count - 1) as f64 - 1.0) }
    })
}
