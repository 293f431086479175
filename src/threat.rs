//! What the attacker may do: the norm, the budget, the bounds, the mask, the domain of the data and the goal.

mod domain;
mod realise;
mod region;
mod spacing;

pub use domain::{Domain, Levels, Monotone};
pub(crate) use realise::Stride;
pub(crate) use region::climb;
pub use region::{Region, StepSize, Violation};
pub use spacing::Spacing;

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
        match parse_number(text) {
            Some(eps) if eps.is_finite() && eps >= 0.0 => Ok(Self::Scalar(eps)),
            _ => {
                Err(Error::parameter("eps", text, "expected a number >= 0, such as 0.031 or 8/255"))
            }
        }
    }
}

/// A number or a fraction: "0.031" or "8/255".
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    match text.split_once('/') {
        Some((over, under)) => Some(number(over)? / number(under)?),
        None => number(text),
    }
}

/// The smallest and largest value of each feature.
///
/// In JSON, which has no infinities, an infinite end is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "StoredBounds", from = "StoredBounds")]
pub enum Bounds {
    /// One pair for every feature, either end possibly infinite.
    Uniform(f32, f32),
    /// One pair per feature.
    PerFeature(Vec<(f32, f32)>),
}

impl Bounds {
    /// No bounds.
    pub const NONE: Self = Self::Uniform(f32::NEG_INFINITY, f32::INFINITY);

    /// The largest distance between the two bounds of a feature; the largest number where a feature has none.
    pub(crate) fn width(&self) -> f64 {
        let width = |(lower, upper): &(f32, f32)| f64::from(*upper) - f64::from(*lower);
        let widest = match self {
            Self::Uniform(lower, upper) => width(&(*lower, *upper)),
            Self::PerFeature(pairs) => pairs.iter().map(width).fold(0.0, f64::max),
        };
        widest.min(f64::MAX)
    }

    /// The pair of one feature.
    #[must_use]
    pub fn at(&self, feature: usize) -> (f32, f32) {
        match self {
            Self::Uniform(lower, upper) => (*lower, *upper),
            Self::PerFeature(pairs) => pairs[feature],
        }
    }

    /// Checks that there is a pair for every feature, in order.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub(crate) fn validate(&self, features: usize) -> Result<()> {
        match self {
            Self::Uniform(lower, upper) => valid_bounds("bounds", *lower, *upper),
            Self::PerFeature(pairs) => {
                valid_length("bounds", pairs.len(), features, "pair per feature")?;
                let mut pairs = pairs.iter().enumerate();
                pairs.try_for_each(|(feature, (lower, upper))| {
                    valid_bounds(&format!("bounds[{feature}]"), *lower, *upper)
                })
            }
        }
    }
}

/// An end, or none where it is infinite.
type StoredPair = (Option<f32>, Option<f32>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredBounds {
    Uniform(Option<f32>, Option<f32>),
    PerFeature(Vec<StoredPair>),
}

impl From<Bounds> for StoredBounds {
    fn from(bounds: Bounds) -> Self {
        let finite = |end: f32| end.is_finite().then_some(end);
        match bounds {
            Bounds::Uniform(lower, upper) => Self::Uniform(finite(lower), finite(upper)),
            Bounds::PerFeature(pairs) => {
                let stored = |(lower, upper)| (finite(lower), finite(upper));
                Self::PerFeature(pairs.into_iter().map(stored).collect())
            }
        }
    }
}

impl From<StoredBounds> for Bounds {
    fn from(stored: StoredBounds) -> Self {
        let pair = |(lower, upper): StoredPair| {
            (lower.unwrap_or(f32::NEG_INFINITY), upper.unwrap_or(f32::INFINITY))
        };
        match stored {
            StoredBounds::Uniform(lower, upper) => {
                let (lower, upper) = pair((lower, upper));
                Self::Uniform(lower, upper)
            }
            StoredBounds::PerFeature(pairs) => {
                Self::PerFeature(pairs.into_iter().map(pair).collect())
            }
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
    /// What the data can be; anything, by default.
    #[serde(default, skip_serializing_if = "Domain::is_any")]
    pub domain: Domain,
    /// What the attacker wants.
    #[serde(default)]
    pub goal: Goal,
    /// What [transformations](crate::attack::Transform) may do to a sample, in words, where those are the threat: norm and
    /// budget are then all that bounds and mask hold. An evaluation sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<String>,
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
            domain: Domain::ANY,
            goal: Goal::Untargeted,
            transformation: None,
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

    /// Only data of this domain.
    #[must_use]
    pub fn with_domain(self, domain: Domain) -> Self {
        Self { domain, ..self }
    }

    /// The same threat without a limit on the size.
    pub(crate) fn unlimited(&self) -> Self {
        Self { budget: Budget::Scalar(f64::INFINITY), ..self.clone() }
    }

    /// The threat of these transformations to the same data.
    pub(crate) fn of_transformations(&self, ranges: String) -> Self {
        let budget = Budget::Scalar(self.bounds.width());
        Self { norm: Norm::Linf, budget, transformation: Some(ranges), ..self.clone() }
    }

    /// Whether it differs from `other` in nothing but the budget.
    pub(crate) fn differs_in_budget_only(&self, other: &Self) -> bool {
        *self == Self { budget: self.budget.clone(), ..other.clone() }
    }

    /// Checks that the threat fits a data set of `samples` samples of `features` features and a model of `classes`
    /// classes.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub fn validate(&self, samples: usize, features: usize, classes: usize) -> Result<()> {
        self.validate_budget(samples, features)?;
        self.bounds.validate(features)?;
        if let Some(mask) = &self.mask {
            valid_length("mask", mask.len(), features, "entry per feature")?;
        }
        self.domain.validate(features)?;
        self.domain.validate_within(&self.bounds, self.mask.as_deref())?;
        let valid_class = |field: &str, class: usize| {
            let expected =
                || format!("the model has {classes} classes, 0 to {}", classes.max(1) - 1);
            if class < classes { Ok(()) } else { Err(Error::parameter(field, class, expected())) }
        };
        match &self.goal {
            Goal::Class(class) => valid_class("goal", *class),
            Goal::PerSample(all) => {
                valid_lookup("goal", all.len(), samples, "class per sample of the file")?;
                let mut named = all.iter().enumerate();
                named.try_for_each(|(i, &class)| valid_class(&format!("goal[{i}]"), class))
            }
            Goal::KthLikely(k) if !(1..classes).contains(k) => {
                let expected = format!(
                    "expected a rank among the other classes, 1 to {}",
                    classes.saturating_sub(1)
                );
                Err(Error::parameter("goal", format!("kth-likely {k}"), expected))
            }
            Goal::Untargeted
            | Goal::Random
            | Goal::LeastLikely
            | Goal::KthLikely(_)
            | Goal::EveryOther => Ok(()),
        }
    }

    fn validate_budget(&self, samples: usize, features: usize) -> Result<()> {
        let valid_eps = |field: &str, eps: f64| {
            let valid = eps.is_finite() && eps >= 0.0;
            if valid {
                Ok(())
            } else {
                Err(Error::parameter(field, eps, "expected a finite number >= 0"))
            }
        };
        let all = match &self.budget {
            Budget::Scalar(eps) => return valid_eps("eps", *eps),
            Budget::PerSample(all) => {
                valid_lookup("eps", all.len(), samples, "number per sample of the file")?;
                all
            }
            Budget::PerFeature(all) => {
                if self.norm != Norm::Linf {
                    let expected =
                        format!("a budget per feature needs norm linf, not {}", self.norm);
                    return Err(Error::parameter("eps", "per feature", expected));
                }
                valid_length("eps", all.len(), features, "number per feature")?;
                all
            }
        };
        all.iter().enumerate().try_for_each(|(i, &eps)| valid_eps(&format!("eps[{i}]"), eps))
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
            domain: &self.domain,
        }
    }
}

fn valid_length(field: &str, found: usize, expected: usize, one: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::parameter(
        field,
        format!("{found} long"),
        format!("expected one {one}, that is {expected}"),
    ))
}

/// A list that is looked up by a sample's index in its file: it may go on beyond the samples in use.
fn valid_lookup(field: &str, found: usize, least: usize, one: &str) -> Result<()> {
    if found >= least {
        return Ok(());
    }
    let expected = format!("expected one {one}, that is {least} or more");
    Err(Error::parameter(field, format!("{found} long"), expected))
}

fn valid_bounds(field: &str, lower: f32, upper: f32) -> Result<()> {
    if lower <= upper && lower < f32::INFINITY && upper > f32::NEG_INFINITY {
        return Ok(());
    }
    let expected = "expected lower <= upper, either end possibly infinite, neither NaN";
    Err(Error::parameter(field, format!("({lower}, {upper})"), expected))
}
