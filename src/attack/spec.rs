//! What the table of attacks yields, and the command-line form of an attack.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};
use crate::threat::parse_number;

/// Turns rows `"id" => Type` into [`AttackSpec`](super::AttackSpec).
macro_rules! attacks {
    ($($id:literal => $attack:ident,)*) => {
        /// An attack of the table with its parameters.
        ///
        /// In a configuration file it is a table whose `attack` names it, beside its parameters. On a command line it
        /// is the name, a colon and the parameters: `pgd:steps=40,restarts=2,loss=margin`. What is not given has its
        /// default; a name that does not exist is an error.
        ///
        /// ```
        /// use ironbound::attack::{AnyAttack, AttackSpec};
        ///
        /// let attack: AttackSpec = "pgd:steps=10,rel_step=1/4".parse()?;
        /// assert_eq!(attack.params()["rel_step"], 0.25);
        /// assert!("pgd:stepz=10".parse::<AttackSpec>().unwrap_err().to_string().contains("expected one of `steps`"));
        /// # Ok::<(), ironbound::Error>(())
        /// ```
        #[derive(Clone, Debug, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(tag = "attack")]
        #[non_exhaustive]
        pub enum AttackSpec {
            $(
                #[doc = concat!("[`", stringify!($attack), "`]")]
                #[serde(rename = $id)]
                $attack($attack),
            )*
        }

        impl AttackSpec {
            /// The names, in alphabetical order.
            pub const IDS: &'static [&'static str] = &[$($id),*];

            /// Every attack of the table with its defaults.
            #[must_use]
            pub fn all() -> Vec<Self> {
                vec![$(Self::$attack($attack::default())),*]
            }

            fn any(&self) -> &dyn AnyAttack {
                match self {
                    $(Self::$attack(attack) => attack,)*
                }
            }
        }

        $(impl From<$attack> for AttackSpec {
            fn from(attack: $attack) -> Self {
                Self::$attack(attack)
            }
        })*

        impl ::std::str::FromStr for AttackSpec {
            type Err = $crate::error::Error;

            /// Reads `name` or `name:parameter=value,...`; values are numbers, fractions such as 8/255, true, false
            /// and names.
            fn from_str(text: &str) -> Result<Self> {
                let (id, parameters) = text.split_once(':').unwrap_or((text, ""));
                match id.trim() {
                    $($id => spec::parse($id, parameters).map(Self::$attack),)*
                    id => Err(spec::unknown(id, Self::IDS)),
                }
            }
        }

        impl AnyAttack for AttackSpec {
            fn id(&self) -> &'static str {
                self.any().id()
            }

            fn access(&self) -> &'static str {
                self.any().access()
            }

            fn family(&self) -> Family {
                self.any().family()
            }

            fn norms(&self) -> &'static [Norm] {
                self.any().norms()
            }

            fn params(&self) -> ::serde_json::Value {
                self.any().params()
            }

            fn validate(&self) -> Result<()> {
                self.any().validate()
            }

            fn loss(&self) -> Option<&$crate::loss::LossKind> {
                self.any().loss()
            }

            fn check_model(&self, model: &$crate::model::ModelInfo) -> Result<()> {
                self.any().check_model(model)
            }

            fn attempt(
                &self,
                session: &Session<'_>,
                samples: &[Sample<'_>],
            ) -> (Vec<Outcome>, Result<()>) {
                self.any().attempt(session, samples)
            }
        }
    };
}
pub(super) use attacks;

/// An attack that the table does not have.
pub(super) fn unknown(id: &str, ids: &[&str]) -> Error {
    Error::Unknown {
        what: "attack",
        name: id.into(),
        choices: ids.iter().map(|id| (*id).into()).collect(),
    }
}

/// Reads `parameter=value,...`, one parameter at a time so that an error names the one at fault.
pub(super) fn parse<T: DeserializeOwned>(id: &str, parameters: &str) -> Result<T> {
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
