//! Which kinds to corrupt by.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::error::{Error, Result};

/// One kind, or all of them: in text, its name or `all`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Kinds {
    /// Every kind.
    #[default]
    All,
    /// This one.
    One(Kind),
}

impl Kinds {
    /// The kinds.
    #[must_use]
    pub fn list(&self) -> &[Kind] {
        match self {
            Self::All => Kind::ALL,
            Self::One(kind) => std::slice::from_ref(kind),
        }
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::One(kind) => kind.name(),
        })
    }
}

impl From<Kinds> for String {
    fn from(kinds: Kinds) -> Self {
        kinds.to_string()
    }
}

impl TryFrom<String> for Kinds {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::One).map_err(|error| match error {
            Error::Unknown { what, name, mut choices } => {
                choices.insert(0, "all".into());
                Error::Unknown { what, name, choices }
            }
            error => error,
        })
    }
}
