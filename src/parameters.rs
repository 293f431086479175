//! The command-line form of what has a name and parameters: `pgd:steps=40,loss=margin`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};
use crate::threat::parse_number;

/// A name that a table of `what` does not have.
pub(crate) fn unknown(what: &'static str, name: &str, ids: &[&str]) -> Error {
    Error::Unknown { what, name: name.into(), choices: ids.iter().map(|id| (*id).into()).collect() }
}

/// Reads `parameter=value,...`, one parameter at a time so that an error names the one at fault.
pub(crate) fn parse<T: DeserializeOwned>(id: &str, parameters: &str) -> Result<T> {
    let mut all = Map::new();
    for pair in parameters.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, text)) = pair.split_once('=') else {
            return Err(Error::parameter(id, pair, "expected parameter=value"));
        };
        let (name, text) = (name.trim(), text.trim());
        let fault = |expected: String| Error::parameter(format!("{id}:{name}"), text, expected);
        let one = Map::from_iter([(name.to_owned(), value(text))]);
        serde_json::from_value::<T>(Value::Object(one))
            .map_err(|error| fault(error.to_string()))?;
        if all.insert(name.to_owned(), value(text)).is_some() {
            return Err(fault("given twice".into()));
        }
    }
    serde_json::from_value(Value::Object(all))
        .map_err(|error| Error::parameter(id, parameters, error.to_string()))
}

fn value(text: &str) -> Value {
    let number = || parse_number(text).and_then(Number::from_f64).map(Value::Number);
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<u64>() {
            Ok(whole) => Value::from(whole),
            Err(_) => number().unwrap_or_else(|| Value::from(text)),
        },
    }
}

/// "above:output=0,value=1.5": what has a value, in alphabetical order.
pub(crate) fn describe(id: &str, parameters: &impl Serialize) -> String {
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

/// Turns rows `"id" => Type` into an enum of them, which is read from a command line and a configuration file by the name, and
/// gives the thing itself behind its trait.
macro_rules! kinds {
    (
        $(#[$doc:meta])* $kind:ident, $what:literal, $trait:ident by $get:ident;
        $($id:literal => $one:ident,)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(tag = $what)]
        #[non_exhaustive]
        pub enum $kind {
            $(
                #[doc = concat!("[`", stringify!($one), "`]")]
                #[serde(rename = $id)]
                $one($one),
            )*
        }

        impl $kind {
            /// The names, in alphabetical order.
            pub const IDS: &'static [&'static str] = &[$($id),*];

            /// The thing itself.
            #[must_use]
            pub fn $get(&self) -> ::std::sync::Arc<dyn $trait> {
                match self {
                    $(Self::$one(one) => ::std::sync::Arc::new(one.clone()),)*
                }
            }
        }

        $(impl From<$one> for $kind {
            fn from(one: $one) -> Self {
                Self::$one(one)
            }
        })*

        impl ::std::fmt::Display for $kind {
            /// The name and all parameters that have a value.
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(&match self {
                    $(Self::$one(one) => $crate::parameters::describe($id, one),)*
                })
            }
        }

        impl ::std::str::FromStr for $kind {
            type Err = $crate::error::Error;

            /// Reads `name` or `name:parameter=value,...`.
            fn from_str(text: &str) -> $crate::error::Result<Self> {
                let (id, parameters) = text.split_once(':').unwrap_or((text, ""));
                match id.trim() {
                    $($id => $crate::parameters::parse($id, parameters).map(Self::$one),)*
                    id => Err($crate::parameters::unknown($what, id, Self::IDS)),
                }
            }
        }
    };
}
pub(crate) use kinds;
