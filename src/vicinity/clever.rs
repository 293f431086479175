//! The CLEVER score.

use serde::{Deserialize, Serialize};

use super::builder::Around;
use crate::error::{Error, Result};
use crate::goal::likeliest;
use crate::metrics::ReverseWeibull;

/// CLEVER: how far a sample is from another answer at the least, by an estimate of how steep the lead of the predicted class over
/// each other class can be.
///
/// For each rival, `samples` random points of the region are looked at in each of `batches` batches; the largest gradient
/// (dual norm) of each batch is kept, and the location of the reverse Weibull distribution that fits them best is the
/// estimate of the largest there is, the local Lipschitz constant. The rival's score is the lead divided by it, at most the
/// radius; the sample's score that of its nearest rival.
///
/// It is an estimate, no bound: a model whose gradients are masked is given too large a score (Goodfellow 2018,
/// <https://arxiv.org/abs/1804.07870>). An attack that finds a closer point disproves it.
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf. The radius is the threat's budget, and the score never exceeds it: the paper takes
/// 5 in l2.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// 500 batches of 1024 points against every other class.
///
/// # Queries per sample
/// `batches` times `samples` forward and backward, for each rival.
///
/// # Errors
/// When the model cannot be run or differentiated, for other norms, and for budgets per feature.
///
/// # Reference
/// Weng et al. 2018, <https://arxiv.org/abs/1801.10578>, algorithms 1 and 2.
///
/// # Differences
/// Points are uniform in the ball, and then clipped to the threat's bounds. The likelihood is maximised over all locations
/// above the largest value, where the authors start an optimiser from a list of shapes; where it has no maximum (all values
/// are alike, or there is none short of infinity), the largest value itself stands for the location, and
/// [`RivalScore::fit`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clever {
    /// How many batches.
    pub batches: usize,
    /// How many points in each.
    pub samples: usize,
    /// How many of the other classes to look at, those with the largest logits first; all when none is given.
    pub rivals: Option<usize>,
}

impl Default for Clever {
    fn default() -> Self {
        Self { batches: 500, samples: 1024, rivals: None }
    }
}

impl Clever {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub fn validate(&self) -> Result<()> {
        let rivals = self.rivals.unwrap_or(1);
        for (field, count) in
            [("batches", self.batches), ("samples", self.samples), ("rivals", rivals)]
        {
            if count == 0 {
                return Err(Error::parameter(field, 0, "expected 1 or more"));
            }
        }
        Ok(())
    }
}

/// The score of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct CleverScore {
    /// Its index in the data set.
    pub sample: usize,
    /// The true class.
    pub label: usize,
    /// The predicted class, which the score is about.
    pub prediction: usize,
    /// The smallest score of any rival: within this distance, by the estimate, the answer stays.
    pub score: f64,
    /// The rivals, the largest logit first.
    pub rivals: Vec<RivalScore>,
}

/// The score of one sample against one other class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RivalScore {
    /// The other class.
    pub class: usize,
    /// How far the predicted class is ahead of it: the difference of logits.
    pub lead: f64,
    /// The estimate of the lead's local Lipschitz constant.
    pub lipschitz: f64,
    /// The lead divided by that, at most the radius.
    pub score: f64,
    /// The distribution of the largest gradients of all batches; none where none fits.
    pub fit: Option<ReverseWeibull>,
    /// How far the fit is from what was seen: Kolmogorov and Smirnov's statistic.
    pub distance: Option<f64>,
}

pub(super) fn score(clever: &Clever, around: &Around<'_>) -> Result<CleverScore> {
    let others = likeliest(&around.logits, around.prediction);
    let count = clever.rivals.unwrap_or(others.len());
    let rivals: Vec<RivalScore> = others
        .into_iter()
        .take(count)
        .map(|class| rival(clever, around, class))
        .collect::<Result<_>>()?;
    let score = rivals.iter().map(|rival| rival.score).fold(around.radius, f64::min);
    let (sample, label, prediction) = (around.sample, around.label, around.prediction);
    Ok(CleverScore { sample, label, prediction, score, rivals })
}

fn rival(clever: &Clever, around: &Around<'_>, class: usize) -> Result<RivalScore> {
    let subject = around.lead(Some(class));
    let (mut largest, mut steepness) = (vec![0.0_f64; clever.batches], around.steepness());
    let mut stream = subject.stream("clever", 0);
    let write = |number: usize, point: &mut [f32]| {
        if number.is_multiple_of(clever.samples) {
            stream = subject.stream("clever", number / clever.samples);
        }
        around.region.random_point(&mut stream, point);
    };
    subject.gradients(clever.batches * clever.samples, write, |number, gradient| {
        let of = &mut largest[number / clever.samples];
        *of = of.max(steepness(gradient));
    })?;
    let fit = ReverseWeibull::fit(&largest);
    let seen = largest.iter().copied().fold(0.0, f64::max);
    let lipschitz = fit.map_or(seen, |fit| fit.location);
    let lead = subject.score_of(&around.logits);
    // Where nothing changes, nothing comes nearer.
    let score = if lipschitz > 0.0 { (lead / lipschitz).min(around.radius) } else { around.radius };
    let distance = fit.map(|fit| fit.distance(&largest));
    Ok(RivalScore { class, lead, lipschitz, score, fit, distance })
}
