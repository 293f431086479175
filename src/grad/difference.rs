//! The slope of the loss along a line by differences, from a model that runs in f64 where it can, in f32 otherwise.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::goal::Aim;
use crate::loss::Loss;
use crate::model::{Batch, Classifier, expect_len};

/// How many widths are tried, each a quarter of the one before.
const WIDTHS: usize = 8;

/// What differences of a model can resolve.
#[derive(Clone, Copy, Debug)]
struct Precision {
    /// The widest width, as a share of the sample's scale.
    widest: f64,
    /// One unit in the last place of 1.
    ulp: f64,
}

const SINGLE: Precision = Precision { widest: 0.5, ulp: f32::EPSILON as f64 };

/// Narrow widths leave kinks beside the sample behind.
const DOUBLE: Precision = Precision { widest: 1e-3, ulp: f64::EPSILON };

/// The smallest scale, per feature: a sample at the origin still has to be moved.
const SMALLEST_SCALE: f64 = 1e-3;

/// The rounding error of a logit in units in the last place of the row's largest.
const ULPS: f64 = 4.0;

/// The rounding of a jump over that of a slope, at worst and at one width.
const JUMP_ROUNDING: f64 = 4.0;

/// The rounding of what remains of a jump over that of a slope, at worst: 17 thirds, once extrapolated.
const CHANGE_ROUNDING: f64 = 6.0;

/// What differences are taken of: one sample's loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub model: &'a dyn Classifier,
    pub loss: &'a Arc<dyn Loss>,
    /// The sample's index, for messages.
    pub sample: usize,
    /// Its index in the data set, if it belongs to one.
    pub id: Option<usize>,
    pub input: &'a [f32],
    pub aim: Aim,
    /// The gradient under audit.
    pub gradient: &'a [f32],
}

/// The differences along a direction at the width that was kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Difference {
    width: f64,
    /// The central difference over the width.
    pub slope: f64,
    /// What the gradient says of it.
    pub predicted: f64,
    /// How much of `slope` may be the rounding of the logits.
    pub rounding: f64,
    /// The larger one-sided slope, without its sign.
    pub steepest: f64,
    /// How far the one-sided slopes are apart, without what rounding the moved inputs does to that.
    jump: f64,
    /// What remains of the jump as the width goes to zero, beyond rounding; 0 or less when it vanishes.
    pub kink: f64,
}

/// A row of logits and d loss / d logits there.
#[derive(Debug)]
struct Point<'a> {
    logits: &'a [f64],
    slopes: Vec<f32>,
    precision: Precision,
}

impl Line<'_> {
    /// The differences along a unit vector.
    pub(super) fn along(&self, direction: &[f64]) -> Result<Difference> {
        let squares: f64 = self.input.iter().map(|&x| f64::from(x).powi(2)).sum();
        let features = self.input.len() as f64;
        let scale = squares.sqrt().max(SMALLEST_SCALE * features.sqrt());
        let widths = |precision: Precision| -> Vec<f64> {
            (0..WIDTHS as i32).map(|k| scale * precision.widest * 0.25_f64.powi(k)).collect()
        };
        let points = |widths: &[f64]| -> Vec<f64> {
            let signed = widths.iter().flat_map(|width| [*width, -width]);
            let moved = |by: f64| {
                self.input.iter().zip(direction).map(move |(&x, t)| f64::from(x) + by * t)
            };
            std::iter::once(0.0).chain(signed).flat_map(moved).collect()
        };
        let (rows, classes) = (2 * WIDTHS + 1, self.model.classes());
        let samples = self.id.map_or(vec![], |id| vec![id; rows]);
        let mut precision = DOUBLE;
        let mut inputs = points(&widths(DOUBLE));
        let mut logits = vec![];
        if !self.model.precise_logits(&inputs, &samples, &mut logits)? {
            precision = SINGLE;
            let single: Vec<f32> = points(&widths(SINGLE)).into_iter().map(|x| x as f32).collect();
            let mut answer = vec![];
            self.model.logits(Batch { inputs: &single, samples: &samples }, &mut answer)?;
            inputs = single.into_iter().map(f64::from).collect();
            logits = answer.into_iter().map(f64::from).collect();
        }
        expect_len(self.model, "logits", logits.len(), rows * classes)?;
        let widths = widths(precision);

        let points: Vec<Point<'_>> =
            logits.chunks_exact(classes).map(|row| self.point(row, precision)).collect();
        let all: Vec<Difference> = widths
            .iter()
            .enumerate()
            .map(|(k, &width)| {
                let row = |index: usize| &inputs[index * self.input.len()..][..self.input.len()];
                let ends =
                    [(&points[2 * k + 1], row(2 * k + 1)), (&points[2 * k + 2], row(2 * k + 2))];
                self.at(width, &points[0], ends)
            })
            .collect();
        keep(all).ok_or_else(|| self.not_finite(&points))
    }

    fn point<'a>(&self, logits: &'a [f64], precision: Precision) -> Point<'a> {
        let mut slopes = vec![0.0; logits.len()];
        let single: Vec<f32> = logits.iter().map(|z| *z as f32).collect();
        if single.iter().all(|z| z.is_finite()) {
            self.loss.value_and_gradient(&single, self.aim, &mut slopes);
        } else {
            slopes.fill(f32::NAN);
        }
        Point { logits, slopes, precision }
    }

    /// The differences at one width; the ends are the points above and below.
    fn at(&self, width: f64, middle: &Point<'_>, ends: [(&Point<'_>, &[f64]); 2]) -> Difference {
        let [(above, upper), (below, lower)] = ends;
        // The moved inputs were rounded, so that neither end is exactly a width away.
        let (mut up, mut down) = (0.0, 0.0);
        for (feature, g) in self.gradient.iter().enumerate() {
            let [g, x] = [*g, self.input[feature]].map(f64::from);
            up += g * (upper[feature] - x);
            down += g * (x - lower[feature]);
        }
        let (right, left) = (above.rise(middle) / width, middle.rise(below) / width);
        Difference {
            width,
            slope: above.rise(below) / (2.0 * width),
            predicted: (up + down) / (2.0 * width),
            rounding: above.rounding(below) / width + f64::from(f32::MIN_POSITIVE),
            steepest: right.abs().max(left.abs()),
            jump: right - left - (up - down) / width,
            kink: 0.0,
        }
    }

    /// Why no width will do.
    fn not_finite(&self, points: &[Point<'_>]) -> Error {
        let bad = |point: &Point<'_>| {
            let (class, value) =
                point.logits.iter().enumerate().find(|(_, z)| !(**z as f32).is_finite())?;
            let value = *value as f32;
            Some(Error::NonFiniteLogit { sample: self.sample, class, value })
        };
        points.iter().find_map(bad).unwrap_or_else(|| Error::Data {
            file: "data".into(),
            problem: format!(
                "sample {}: the loss `{}` has no finite gradient there",
                self.sample,
                self.loss.name()
            ),
            source: None,
        })
    }
}

impl Point<'_> {
    /// How much higher the loss is here: its gradient along the straight line between the logits, by the trapezoid rule.
    ///
    /// An f32 loss cannot tell two near points apart: its own rounding is that of its value, which may be far larger
    /// than the difference (and so may the part of the logits that cancels in it). Products with the differences of
    /// the logits, in f64, keep what the logits have. The rule's error is of third order in the distance, that is of
    /// second order in the slope, like the central difference's own.
    fn rise(&self, from: &Self) -> f64 {
        let slopes = self.slopes.iter().zip(&from.slopes);
        let steps = self.logits.iter().zip(from.logits);
        slopes
            .zip(steps)
            .map(|((&a, &b), (&z, &y))| 0.5 * (f64::from(a) + f64::from(b)) * (z - y))
            .sum()
    }

    /// How much of the rise over two widths may be the rounding of the logits, per two widths.
    fn rounding(&self, from: &Self) -> f64 {
        let both = self.logits.iter().chain(from.logits);
        let largest = both.fold(0.0_f64, |largest, z| largest.max(z.abs()));
        let slopes: f64 = self
            .slopes
            .iter()
            .zip(&from.slopes)
            .map(|(&a, &b)| 0.5 * (f64::from(a) + f64::from(b)).abs())
            .sum();
        ULPS * self.precision.ulp * largest * slopes
    }
}

/// The narrower of the two neighbouring widths that agree best, the widest such; none when the three narrowest are not finite.
///
/// Disagreement includes the rounding, or else widths too narrow to move any logit would agree perfectly; and half of
/// what the remains of the jump change further down, for a loss of straight pieces may have the same wrong slope at two
/// widths that both reach past a kink beside the sample.
fn keep(mut all: Vec<Difference>) -> Option<Difference> {
    let unfit = |one: &Difference| !(one.slope + one.jump + one.predicted).is_finite();
    // Neighbours must stay neighbours.
    let fit = all.iter().rposition(unfit).map_or(0, |last| last + 1);
    all.drain(..fit);
    let scatter = scatter(&all);
    all.iter_mut().for_each(|one| one.rounding = one.rounding.max(scatter / one.width));
    let mut best = (f64::INFINITY, None);
    for at in 1..all.len().saturating_sub(1) {
        let [wide, kept] = [all[at - 1], all[at]];
        let jump = remains(wide, kept);
        let change = all[at..].windows(2).fold(0.0, |change: f64, pair| {
            let further = remains(pair[0], pair[1]);
            change.max((further - jump).abs() - CHANGE_ROUNDING * pair[1].rounding)
        });
        let score = apart(wide, kept) + kept.rounding + 0.5 * change;
        if score < best.0 {
            let next = remains(kept, all[at + 1]);
            let stays = change.max((next - jump).abs()) <= 0.5 * jump.abs();
            let kink = if stays { jump.abs() - JUMP_ROUNDING * kept.rounding } else { change };
            best = (score, Some(Difference { kink, ..kept }));
        }
    }
    best.1
}

/// How far two slopes are apart, but for what the rounding of the moved inputs does to that.
fn apart(wide: Difference, narrow: Difference) -> f64 {
    (wide.slope - narrow.slope - (wide.predicted - narrow.predicted)).abs()
}

/// What remains of the jump at width zero.
///
/// Curvature makes the jump proportional to the width, which extrapolation from two widths removes. What is left of a
/// smooth loss falls with the cube of the width; of a kink at the sample, it stays.
fn remains(wide: Difference, narrow: Difference) -> f64 {
    (4.0 * narrow.jump - wide.jump) / 3.0
}

/// The rounding that the four narrowest widths show, where little else is left, times the width.
///
/// A deep model's logits carry the rounding of every layer, more than the last alone would explain. The median does not
/// see a kink that only two of the widths straddle; four times it is seldom exceeded.
fn scatter(all: &[Difference]) -> f64 {
    let [.., a, b, c, d] = *all else { return 0.0 };
    let mut pairs =
        [(a, b), (b, c), (c, d)].map(|(wide, narrow)| apart(wide, narrow) * narrow.width);
    pairs.sort_by(f64::total_cmp);
    4.0 * pairs[1]
}
