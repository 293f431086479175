//! What the attacker may do: the norm, the budget, the bounds, the mask and the goal.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::goal::Goal;
use crate::norm::{Norm, Radius};

/// The largest allowed perturbation, eps, in the units of the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// One number for every sample.
    Scalar(f64),
    /// One number per sample of the data set.
    PerSample(Vec<f64>),
    /// One number per feature, the same for every sample ([`Norm::Linf`] only).
    PerFeature(Vec<f64>),
}

impl Budget {
    /// The largest eps of any sample or feature: what reports print.
    #[must_use]
    pub fn largest(&self) -> f64 {
        match self {
            Self::Scalar(eps) => *eps,
            Self::PerSample(all) | Self::PerFeature(all) => all.iter().copied().fold(0.0, f64::max),
        }
    }

    /// The radius of the ball around `sample`.
    fn radius(&self, sample: usize) -> Radius<'_> {
        match self {
            Self::Scalar(eps) => Radius::Scalar(*eps),
            Self::PerSample(all) => Radius::Scalar(all[sample]),
            Self::PerFeature(all) => Radius::PerFeature(all),
        }
    }
}

impl FromStr for Budget {
    type Err = Error;

    /// Reads "0.031" as well as "8/255".
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |text: &str| text.trim().parse::<f64>().ok();
        let eps = match text.split_once('/') {
            Some((over, under)) => {
                number(over).zip(number(under)).map(|(over, under)| over / under)
            }
            None => number(text),
        };
        match eps {
            Some(eps) if eps.is_finite() && eps >= 0.0 => Ok(Self::Scalar(eps)),
            _ => {
                Err(Error::parameter("eps", text, "expected a number >= 0, such as 0.031 or 8/255"))
            }
        }
    }
}

/// The smallest and largest value of each feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bounds {
    /// One pair for every feature, either end possibly infinite.
    Uniform(f32, f32),
    /// One pair per feature.
    PerFeature(Vec<(f32, f32)>),
}

impl Bounds {
    /// No bounds.
    pub const NONE: Self = Self::Uniform(f32::NEG_INFINITY, f32::INFINITY);

    /// The pair of one feature.
    #[must_use]
    pub fn at(&self, feature: usize) -> (f32, f32) {
        match self {
            Self::Uniform(lower, upper) => (*lower, *upper),
            Self::PerFeature(pairs) => pairs[feature],
        }
    }
}

impl Default for Bounds {
    /// [0, 1]: images.
    fn default() -> Self {
        Self::Uniform(0.0, 1.0)
    }
}

/// What the attacker may do to each sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threat {
    /// How a perturbation is measured.
    pub norm: Norm,
    /// How large it may be.
    pub budget: Budget,
    /// Where a perturbed sample must stay.
    #[serde(default)]
    pub bounds: Bounds,
    /// Which features may change (all, when none is given).
    #[serde(default)]
    pub mask: Option<Vec<bool>>,
    /// What the attacker wants.
    #[serde(default)]
    pub goal: Goal,
}

impl Threat {
    /// Untargeted, within [0, 1], every feature free.
    #[must_use]
    pub fn new(norm: Norm, eps: f64) -> Self {
        Self {
            norm,
            budget: Budget::Scalar(eps),
            bounds: Bounds::default(),
            mask: None,
            goal: Goal::Untargeted,
        }
    }

    /// Other bounds.
    #[must_use]
    pub fn with_bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Another goal.
    #[must_use]
    pub fn with_goal(self, goal: Goal) -> Self {
        Self { goal, ..self }
    }

    /// Only the features marked `true` may change.
    #[must_use]
    pub fn with_mask(self, mask: Vec<bool>) -> Self {
        Self { mask: Some(mask), ..self }
    }

    /// The feasible set around `clean`, which is sample `sample` of the data set.
    #[must_use]
    pub fn region<'a>(&'a self, sample: usize, clean: &'a [f32]) -> Region<'a> {
        Region {
            clean,
            norm: self.norm,
            radius: self.budget.radius(sample),
            bounds: &self.bounds,
            mask: self.mask.as_deref(),
        }
    }
}

/// The points that an attacker may choose for one sample: ball, box and mask.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    /// The clean input, the ball's centre.
    pub clean: &'a [f32],
    /// The ball's norm.
    pub norm: Norm,
    /// The ball's radius.
    pub radius: Radius<'a>,
    /// The box.
    pub bounds: &'a Bounds,
    /// The features that may change.
    pub mask: Option<&'a [bool]>,
}

impl Region<'_> {
    /// The perturbation's size in f64, if `point` lies in ball and box and leaves the masked features alone.
    ///
    /// # Errors
    /// What the point violates.
    pub fn check(&self, point: &[f32]) -> Result<f64, Violation> {
        let _ = point;
        todo!()
    }
}

/// How a point leaves its region.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Violation {
    /// A value is NaN or infinite.
    #[error("feature {0} is not finite")]
    NotFinite(usize),
    /// A value lies outside the bounds.
    #[error("feature {0} is out of bounds")]
    OutOfBounds(usize),
    /// A masked feature changed.
    #[error("feature {0} is masked and changed")]
    Masked(usize),
    /// The perturbation is too large.
    #[error("the perturbation's size is {size}, more than {eps}")]
    TooLarge {
        /// Its size.
        size: f64,
        /// The budget.
        eps: f64,
    },
}
