//! Which severities to corrupt at.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Severity;
use crate::error::{Error, Result};

/// One severity, or all from one to another: in text, `3` or `1-5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Severities {
    mildest: Severity,
    severest: Severity,
}

impl Severities {
    /// All from the mildest to the severest.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the mildest is severer than the severest.
    pub fn new(mildest: Severity, severest: Severity) -> Result<Self> {
        let all = Self { mildest, severest };
        if mildest <= severest {
            return Ok(all);
        }
        Err(Error::parameter("severity", all, "expected the mildest first, such as 1-5"))
    }

    /// The severities, ascending.
    #[must_use]
    pub fn list(self) -> &'static [Severity] {
        let all: &'static [Severity] = &Severity::ALL;
        &all[usize::from(self.mildest.get()) - 1..usize::from(self.severest.get())]
    }
}

impl From<Severity> for Severities {
    fn from(severity: Severity) -> Self {
        Self { mildest: severity, severest: severity }
    }
}

impl fmt::Display for Severities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mildest, severest) = (self.mildest.get(), self.severest.get());
        if mildest == severest {
            write!(f, "{severest}")
        } else {
            write!(f, "{mildest}-{severest}")
        }
    }
}

impl FromStr for Severities {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let one = |text: &str| match text.trim().parse() {
            Ok(severity) => Severity::new(severity),
            Err(_) => Err(Error::parameter("severity", text, "expected 1 to 5, or such as 1-5")),
        };
        let (mildest, severest) = text.split_once('-').unwrap_or((text, text));
        Self::new(one(mildest)?, one(severest)?)
    }
}

impl Serialize for Severities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Severities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Severities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a severity from 1 to 5, or a range such as 1-5")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Severities, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, severity: u64) -> Result<Severities, E> {
                self.visit_str(&severity.to_string())
            }
        }
        deserializer.deserialize_any(Text)
    }
}
