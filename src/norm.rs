//! The norms: size, projection, steepest step, random point in the ball. `match norm` occurs here only.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How the size of a perturbation is measured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The number of changed features.
    L0,
    /// The sum of absolute changes.
    L1,
    /// The Euclidean length.
    L2,
    /// The largest absolute change.
    #[default]
    Linf,
}

impl Norm {
    const NAMES: [(Self, &'static str); 4] =
        [(Self::L0, "l0"), (Self::L1, "l1"), (Self::L2, "l2"), (Self::Linf, "linf")];
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(norm, _)| norm == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for Norm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(norm, _)| *norm);
        found.ok_or_else(|| Error::Unknown {
            what: "norm",
            name: text.into(),
            choices: Self::NAMES.iter().map(|(_, name)| (*name).into()).collect(),
        })
    }
}

/// The radius of a ball.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Radius<'a> {
    /// One number for the whole perturbation.
    Scalar(f64),
    /// One number per feature ([`Norm::Linf`] only).
    PerFeature(&'a [f64]),
}
