//! The table of objectives, and their command-line form.

use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Above, Below, Cosine, Moved, Objective};
use crate::error::{Error, Result};
use crate::parameters::{parse, unknown};

macro_rules! objectives {
    ($($id:literal => $objective:ident,)*) => {
        /// An objective of the table with its parameters.
        ///
        /// On a command line it is the name, a colon and the parameters: `above:output=0,value=1.5`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "objective")]
        #[non_exhaustive]
        pub enum ObjectiveKind {
            $(
                #[doc = concat!("[`", stringify!($objective), "`]")]
                #[serde(rename = $id)]
                $objective($objective),
            )*
        }

        impl ObjectiveKind {
            /// The names, in alphabetical order.
            pub const IDS: &'static [&'static str] = &[$($id),*];

            /// The objective itself.
            #[must_use]
            pub fn objective(&self) -> Arc<dyn Objective> {
                match self {
                    $(Self::$objective(objective) => Arc::new(objective.clone()),)*
                }
            }
        }

        impl FromStr for ObjectiveKind {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let (id, parameters) = text.split_once(':').unwrap_or((text, ""));
                match id.trim() {
                    $($id => parse($id, parameters).map(Self::$objective),)*
                    id => Err(unknown("objective", id, Self::IDS)),
                }
            }
        }
    };
}

objectives! {
    "above" => Above,
    "below" => Below,
    "cosine" => Cosine,
    "moved" => Moved,
}

/// "above:output=0,value=1.5".
pub(super) fn describe(id: &str, parameters: &impl Serialize) -> String {
    let parameters = serde_json::to_value(parameters).unwrap_or_default();
    let shown = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) => Some(format!("{name}={text}")),
        value => Some(format!("{name}={value}")),
    };
    let shown: Vec<String> =
        parameters.as_object().into_iter().flatten().filter_map(shown).collect();
    format!("{id}:{}", shown.join(","))
}

pub(super) fn expect_output(output: usize, outputs: usize) -> Result<()> {
    if output < outputs {
        return Ok(());
    }
    let expected = format!("the model has {outputs} output values, 0 to {}", outputs.max(1) - 1);
    Err(Error::parameter("output", output, expected))
}
