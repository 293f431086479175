//! Random noise: what an attacker without any access achieves.

use rand::RngExt;
use rand_distr::{Distribution, Exp1, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Attack, Blind, Target};
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::threat::Region;

/// Random points of the ball.
///
/// # Threat model
/// No access: points are proposed without an answer. Norms l1, l2, linf; eps in the units of the model's input.
/// Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 10 draws of uniform noise.
///
/// # Queries per sample
/// At most `draws` forward passes; a broken sample stops.
///
/// # Errors
/// When the model cannot be run, or the run was cancelled.
///
/// # Reference
/// The additive noise and salt-and-pepper attacks of Rauber et al. 2017, <https://arxiv.org/abs/1707.04131>; the rescaling is
/// Rauber & Bethge 2020, <https://arxiv.org/abs/2007.07677>, for every norm.
///
/// # Differences
/// The scale of [`NoiseKind`] uses the budget in every norm, and every draw is projected. Foolbox searches a scale instead.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// The distribution.
    pub kind: NoiseKind,
    /// How many points to try.
    pub draws: usize,
    /// Whether a draw is scaled until what the bounds leave of it has the size eps, instead of losing what they cut off.
    pub clipping_aware: bool,
}

/// How noise is distributed.
///
/// Noise with a scale has the one at which a change of that much in every free feature has the size eps: eps in linf,
/// eps / sqrt(d) in l2, eps / d in l1. The draw is then projected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoiseKind {
    /// Uniform in the ball.
    #[default]
    Uniform,
    /// Normal, with the scale as its standard deviation.
    Gaussian,
    /// Laplace, with the scale as its standard deviation.
    Laplace,
    /// The scale with a random sign in every feature: a corner of the linf ball.
    Sign,
    /// Features drawn at random are sent towards either of their bounds, each by eps at most, as many as the budget
    /// holds: all in linf.
    SaltAndPepper,
}

impl Default for Noise {
    fn default() -> Self {
        Self { kind: NoiseKind::Uniform, draws: 10, clipping_aware: false }
    }
}

/// The largest scale to try, and how often to halve what is between two scales.
const WIDEST: f64 = 1e12;
const BISECTIONS: usize = 50;

impl Attack for Noise {
    type Access = Blind;

    fn id(&self) -> &'static str {
        "noise"
    }

    fn validate(&self) -> Result<()> {
        if self.draws > 0 {
            return Ok(());
        }
        Err(Error::parameter("draws", self.draws, "expected 1 or more"))
    }

    fn run(&self, target: &mut Target<'_, Blind>) -> Result<()> {
        let features = target.features();
        let mut slots: Vec<usize> = (0..target.len()).collect();
        let mut points = Vec::new();
        for draw in 0..self.draws {
            target.retain_open(&mut slots);
            points.resize(slots.len() * features, 0.0);
            for (&slot, point) in slots.iter().zip(points.chunks_exact_mut(features.max(1))) {
                let (region, mut stream) = (target.region(slot), target.stream(slot, draw));
                if self.clipping_aware {
                    self.kind.draw(&region.without_box(), &mut stream, point);
                    rescale(&region, point);
                } else {
                    self.kind.draw(&region, &mut stream, point);
                }
            }
            target.submit(&slots, &points)?;
        }
        Ok(())
    }
}

impl NoiseKind {
    /// Writes one draw into `point`.
    fn draw(self, region: &Region<'_>, stream: &mut Stream, point: &mut [f32]) {
        point.copy_from_slice(region.clean);
        match self {
            Self::Uniform => return region.random_point(stream, point),
            Self::Gaussian => add(region, point, || StandardNormal.sample(stream)),
            Self::Laplace => add(region, point, || {
                let size: f64 = Exp1.sample(stream);
                size * sign(stream) * std::f64::consts::FRAC_1_SQRT_2
            }),
            Self::Sign => add(region, point, || sign(stream)),
            Self::SaltAndPepper => salt_and_pepper(region, stream, point),
        }
        region.project(point);
    }
}

/// Scales the change of `point` to the size eps within the bounds, or as close to it as they allow.
fn rescale(region: &Region<'_>, point: &mut [f32]) {
    let change = |(x, c): (&f32, &f32)| f64::from(*x) - f64::from(*c);
    let changes: Vec<f64> = point.iter().zip(region.clean).map(change).collect();
    let eps = region.radius.largest();
    let mut scaled = |scale: f64| {
        for (i, (x, d)) in point.iter_mut().zip(&changes).enumerate() {
            let (lower, upper) = region.bounds_at(i);
            *x = ((f64::from(region.clean[i]) + d * scale) as f32).max(lower).min(upper);
        }
        region.distance(point)
    };
    // The size grows with the scale. Where the bounds cut every change off, it stops growing.
    let (mut within, mut beyond) = (0.0, 1.0);
    while scaled(beyond) <= eps && beyond < WIDEST {
        (within, beyond) = (beyond, 2.0 * beyond);
    }
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(within, beyond);
        if scaled(middle) <= eps {
            within = middle;
        } else {
            beyond = middle;
        }
    }
    scaled(within);
    region.project(point);
}

fn sign(stream: &mut Stream) -> f64 {
    if stream.random() { 1.0 } else { -1.0 }
}

/// Adds a draw times the scale to every free feature.
fn add(region: &Region<'_>, point: &mut [f32], mut draw: impl FnMut() -> f64) {
    let free = (0..point.len()).filter(|&i| region.is_free(i)).count();
    let share = region.norm.size_of_ones(free).recip();
    for (i, x) in point.iter_mut().enumerate().filter(|&(i, _)| region.is_free(i)) {
        *x = (f64::from(*x) + draw() * share * region.radius.at(i)) as f32;
    }
}

fn salt_and_pepper(region: &Region<'_>, stream: &mut Stream, point: &mut [f32]) {
    let features = || (0..region.clean.len()).filter(|&i| region.is_free(i));
    let mut moved = 0.0;
    for i in features() {
        let (lower, upper) = region.bounds_at(i);
        let eps = region.radius.at(i) as f32;
        point[i] =
            if stream.random() { upper.min(point[i] + eps) } else { lower.max(point[i] - eps) };
        moved += f64::from((point[i] - region.clean[i]).abs());
    }
    let free = features().count();
    let (mean, eps) = (moved / free.max(1) as f64, region.radius.largest());
    // Moves are rounded to f32, so that their mean may exceed eps by some ulps; the projection takes care of those.
    let holds = |count: usize| region.norm.size_of_ones(count) * mean <= eps * (1.0 + 1e-6);
    let count = (1..=free).rev().find(|&count| holds(count)).unwrap_or(1);
    let mut wanted = count as f64;
    for (seen, i) in features().enumerate() {
        if stream.random::<f64>() * ((free - seen) as f64) < wanted {
            wanted -= 1.0;
        } else {
            point[i] = region.clean[i];
        }
    }
}
