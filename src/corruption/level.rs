//! How strong a corruption is.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How severe a corruption is: 1, the mildest, to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Severity(u8);

impl Severity {
    /// Every severity, ascending.
    pub const ALL: [Self; 5] = [Self(1), Self(2), Self(3), Self(4), Self(5)];

    /// A severity.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is not 1 to 5.
    pub fn new(severity: u8) -> Result<Self> {
        if (1..=5).contains(&severity) {
            return Ok(Self(severity));
        }
        Err(Error::parameter("severity", severity, "expected 1 to 5"))
    }

    /// Its number, 1 to 5.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Severity {
    type Error = Error;

    fn try_from(severity: u8) -> Result<Self> {
        Self::new(severity)
    }
}

impl From<Severity> for u8 {
    fn from(severity: Severity) -> Self {
        severity.0
    }
}

/// For which size of image the parameters are: lengths in them are pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterSet {
    /// Those for the size of the image: [`Cifar`](Self::Cifar) where neither side is longer than 64 pixels, else
    /// [`ImageNet`](Self::ImageNet).
    #[default]
    Auto,
    /// Those of CIFAR-10-C, for 32 x 32 pixels.
    Cifar,
    /// Those of ImageNet-C, for 224 x 224 pixels.
    ImageNet,
}

impl FromStr for ParameterSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cifar" => Ok(Self::Cifar),
            "imagenet" => Ok(Self::ImageNet),
            _ => Err(Error::Unknown {
                what: "parameter set",
                name: text.into(),
                choices: ["auto", "cifar", "imagenet"].map(Into::into).to_vec(),
            }),
        }
    }
}

/// The longest side of an image that counts as small.
const SMALL: usize = 64;

impl ParameterSet {
    /// Whether an image is corrupted with the parameters for small ones.
    pub(super) fn is_small(self, rows: usize, columns: usize) -> bool {
        match self {
            Self::Auto => rows.max(columns) <= SMALL,
            Self::Cifar => true,
            Self::ImageNet => false,
        }
    }
}

/// Where in a corruption's parameters to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) severity: Severity,
    pub(super) small: bool,
}

/// A corruption's parameters at the five severities.
#[derive(Debug)]
pub(super) struct Levels<T> {
    pub(super) cifar: [T; 5],
    pub(super) imagenet: [T; 5],
}

impl<T: Copy> Levels<T> {
    pub(super) fn at(&self, level: Level) -> T {
        let all = if level.small { &self.cifar } else { &self.imagenet };
        all[usize::from(level.severity.0) - 1]
    }
}
