//! How large successful perturbations are, whatever norm they were looked for in, and what they took.

use serde::{Deserialize, Serialize};

use super::record::Distances;
use crate::evaluate::{Adversarial, Attempt, Fate, Row};
use crate::metrics::{quantile, spread};
use crate::norm::Sizes;

/// The sizes of an attack's successful perturbations in every norm, and how alike the images look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Perturbations {
    /// How many features were changed.
    pub l0: Distances,
    /// The sum of the absolute changes.
    pub l1: Distances,
    /// Their Euclidean length.
    pub l2: Distances,
    /// The largest of them.
    pub linf: Distances,
    /// The structural similarity to the clean samples; absent where samples are no images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssim: Option<Similarity>,
}

/// How alike images look: structural similarities, 1 where they are the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Similarity {
    /// The arithmetic mean.
    pub mean: f64,
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
}

/// How many passes, forward and backward, it took to break a sample: quantiles over the samples that were attacked under this
/// budget and broken. Each is one of the numbers: the smallest that so large a share does not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuccessQueries {
    /// How many samples they are.
    pub samples: usize,
    /// A tenth of them took at most this many.
    pub q10: f64,
    /// A quarter.
    pub q25: f64,
    /// Half.
    pub median: f64,
    /// Three quarters.
    pub q75: f64,
    /// Nine tenths.
    pub q90: f64,
    /// All.
    pub max: f64,
}

/// Those of one row; none when nothing was broken.
pub(super) fn perturbations(row: &Row) -> Option<Perturbations> {
    let broken = row.attempts.iter().filter(|attempt| attempt.fate == Fate::Broken);
    let found: Vec<&Adversarial> = broken.filter_map(|a| a.adversarial.as_ref()).collect();
    let size = |of: fn(&Sizes) -> f64| {
        spread(&found.iter().map(|found| of(&found.sizes)).collect::<Vec<_>>()).into()
    };
    let alike: Option<Vec<f64>> = found.iter().map(|found| found.ssim).collect();
    (!found.is_empty()).then(|| Perturbations {
        l0: size(|sizes| sizes.l0),
        l1: size(|sizes| sizes.l1),
        l2: size(|sizes| sizes.l2),
        linf: size(|sizes| sizes.linf),
        ssim: alike.and_then(|alike| {
            let of = spread(&alike)?;
            let min = alike.iter().copied().fold(f64::INFINITY, f64::min);
            Some(Similarity { mean: of.mean, median: of.median, min })
        }),
    })
}

/// Those of one row; none when no sample was attacked and broken.
pub(super) fn success_queries(row: &Row) -> Option<SuccessQueries> {
    let counted = |attempt: &&Attempt| attempt.fate == Fate::Broken && attempt.attacked;
    let passes: Vec<f64> = row
        .attempts
        .iter()
        .filter(counted)
        .map(|attempt| (attempt.forward + attempt.backward) as f64)
        .collect();
    let at = |q: f64| quantile(&passes, q);
    Some(SuccessQueries {
        samples: passes.len(),
        q10: at(0.1)?,
        q25: at(0.25)?,
        median: at(0.5)?,
        q75: at(0.75)?,
        q90: at(0.9)?,
        max: at(1.0)?,
    })
}
