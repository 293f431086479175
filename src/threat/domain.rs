//! What data can be, besides being within bounds.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Bounds, Spacing, valid_length};
use crate::error::{Error, Result};

/// What data can be, besides being within bounds: a perturbed sample must be a sample that could exist.
///
/// Features that may not change at all are those of the [mask](super::Threat::mask).
///
/// ```
/// use ironbound::{Domain, Levels, Spacing};
///
/// # fn main() -> ironbound::Result<()> {
/// // Images of 8 bits.
/// let pixels = Domain { grid: Some(Levels::Uniform("1/255".parse()?)), ..Domain::ANY };
/// // An age in years, an income, and a colour that is one of three.
/// let grid = vec![Some(Spacing::INTEGER), None, None, None, None];
/// let person = Domain {
///     grid: Some(Levels::PerFeature(grid)),
///     one_hot: vec![vec![2, 3, 4]],
///     ..Domain::ANY
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Domain {
    /// The levels of features whose values are discrete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<Levels>,
    /// Groups of features of which one is 1 and the others are 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub one_hot: Vec<Vec<usize>>,
    /// Which way each feature may move from its clean value (both, where none is given).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monotone: Option<Vec<Monotone>>,
}

/// Which features have levels, and which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Levels {
    /// The same for every feature.
    Uniform(Spacing),
    /// One spacing per feature, none where its values are continuous.
    PerFeature(Vec<Option<Spacing>>),
}

impl Levels {
    /// The levels of one feature.
    #[must_use]
    pub fn at(&self, feature: usize) -> Option<&Spacing> {
        match self {
            Self::Uniform(spacing) => Some(spacing),
            Self::PerFeature(all) => all[feature].as_ref(),
        }
    }
}

/// Which way a feature may move from its clean value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monotone {
    /// Both ways.
    #[default]
    Free,
    /// Up only: an age, a number of past events.
    Increase,
    /// Down only.
    Decrease,
}

impl Domain {
    /// Anything.
    pub const ANY: Self = Self { grid: None, one_hot: vec![], monotone: None };

    /// Whether it allows anything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::ANY
    }

    /// Whether every value in between is allowed as well.
    #[must_use]
    pub fn is_continuous(&self) -> bool {
        self.grid.is_none() && self.one_hot.is_empty()
    }

    /// The levels of a feature, where it has some.
    #[must_use]
    pub fn spacing_at(&self, feature: usize) -> Option<&Spacing> {
        self.grid.as_ref().and_then(|grid| grid.at(feature))
    }

    /// Which way a feature may move.
    pub(super) fn monotone_at(&self, feature: usize) -> Monotone {
        self.monotone.as_ref().map_or(Monotone::Free, |all| all[feature])
    }

    /// The first feature that is off its levels.
    pub(crate) fn off_grid(&self, values: &[f32]) -> Option<usize> {
        let off = |feature: &usize| {
            self.spacing_at(*feature).is_some_and(|spacing| !spacing.holds(values[*feature]))
        };
        self.grid.as_ref().and_then(|_| (0..values.len()).find(off))
    }

    /// The first group that is not one-hot.
    #[expect(clippy::float_cmp, reason = "exactly 0 and 1")]
    pub(crate) fn not_one_hot(&self, values: &[f32]) -> Option<usize> {
        let one_hot = |group: &Vec<usize>| {
            let is = |value| group.iter().filter(|&&i| values[i] == value).count();
            is(1.0) == 1 && is(0.0) + 1 == group.len()
        };
        self.one_hot.iter().position(|group| !one_hot(group))
    }

    /// Checks that it fits data of `features` features.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub(crate) fn validate(&self, features: usize) -> Result<()> {
        if let Some(all) = &self.monotone {
            valid_length("domain.monotone", all.len(), features, "entry per feature")?;
        }
        match &self.grid {
            Some(Levels::Uniform(spacing)) => spacing.validate("domain.grid")?,
            Some(Levels::PerFeature(all)) => {
                valid_length("domain.grid", all.len(), features, "spacing or none per feature")?;
                for (feature, spacing) in all.iter().enumerate() {
                    let Some(spacing) = spacing else { continue };
                    spacing.validate(&format!("domain.grid[{feature}]"))?;
                }
            }
            None => {}
        }
        let mut taken = vec![false; features];
        for (index, group) in self.one_hot.iter().enumerate() {
            if group.len() < 2 || group.iter().any(|&feature| feature >= features) {
                let last = features.saturating_sub(1);
                let expected = format!("expected two features or more, from 0 to {last}");
                return Err(self.bad_group(index, &expected));
            }
            if group.iter().any(|&feature| std::mem::replace(&mut taken[feature], true)) {
                return Err(self.bad_group(index, "expected each feature once, in one group"));
            }
            if group.iter().any(|&feature| self.spacing_at(feature).is_some()) {
                let expected = "expected features without levels of their own";
                return Err(self.bad_group(index, expected));
            }
            if group.iter().any(|&feature| self.monotone_at(feature) != Monotone::Free) {
                return Err(self.bad_group(index, "expected features that may move both ways"));
            }
        }
        Ok(())
    }

    /// Checks that groups can switch within `bounds`, and may, or may not, as a whole.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub(super) fn validate_within(&self, bounds: &Bounds, mask: Option<&[bool]>) -> Result<()> {
        for (index, group) in self.one_hot.iter().enumerate() {
            let free = group.iter().filter(|&&feature| mask.is_none_or(|mask| mask[feature]));
            if ![0, group.len()].contains(&free.count()) {
                let expected = "the mask must let all of its features change, or none";
                return Err(self.bad_group(index, expected));
            }
            let holds = |(lower, upper): (f32, f32)| lower <= 0.0 && upper >= 1.0;
            if !group.iter().all(|&feature| holds(bounds.at(feature))) {
                return Err(self.bad_group(index, "the bounds of its features must hold 0 and 1"));
            }
        }
        Ok(())
    }

    fn bad_group(&self, index: usize, expected: &str) -> Error {
        let field = format!("domain.one_hot[{index}]");
        Error::parameter(&field, format!("{:?}", self.one_hot[index]), expected)
    }
}

impl fmt::Display for Domain {
    /// A summary: "levels of 1/255", "levels in 3 features, 2 one-hot groups, 1 monotone features".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = match &self.grid {
            Some(Levels::Uniform(spacing)) => Some(format!("levels of {spacing}")),
            Some(Levels::PerFeature(all)) => {
                Some(format!("levels in {} features", all.iter().flatten().count()))
            }
            None => None,
        };
        let groups = self.one_hot.len();
        let groups = (groups > 0).then(|| format!("{groups} one-hot groups"));
        let monotone = self.monotone.as_ref().map(|all| {
            let moving = all.iter().filter(|way| **way != Monotone::Free).count();
            format!("{moving} monotone features")
        });
        let parts: Vec<String> = levels.into_iter().chain(groups).chain(monotone).collect();
        f.write_str(&if parts.is_empty() { "anything".into() } else { parts.join(", ") })
    }
}
