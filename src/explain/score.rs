//! What is explained: a number made of the logits.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::loss::{Logit, Loss, Margin};

/// The class that is explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Focus {
    /// The class that the model predicts.
    #[default]
    Prediction,
    /// The sample's label.
    Label,
    /// This class.
    Class(usize),
}

impl FromStr for Focus {
    type Err = Error;

    /// Reads "prediction", "label" and class numbers.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "prediction" => Ok(Self::Prediction),
            "label" => Ok(Self::Label),
            _ => text.parse().map(Self::Class).map_err(|_| {
                Error::parameter("class", text, "expected prediction, label or a class number")
            }),
        }
    }
}

/// Which number of a class is explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreKind {
    /// Its logit.
    #[default]
    Logit,
    /// Its logit less the largest other: what decides.
    Margin,
}

impl ScoreKind {
    /// The loss whose value, aimed at a class, is the class's score.
    pub(super) fn loss(self) -> Arc<dyn Loss> {
        match self {
            Self::Logit => Arc::new(Logit),
            Self::Margin => Arc::new(Margin),
        }
    }
}

impl fmt::Display for ScoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Logit => "logit",
            Self::Margin => "margin",
        })
    }
}

impl FromStr for ScoreKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "logit" => Ok(Self::Logit),
            "margin" => Ok(Self::Margin),
            _ => Err(Error::Unknown {
                what: "score",
                name: text.into(),
                choices: vec!["logit".into(), "margin".into()],
            }),
        }
    }
}
