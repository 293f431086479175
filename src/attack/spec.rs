//! What the table of attacks yields.

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
                    $($id => $crate::parameters::parse($id, parameters).map(Self::$attack),)*
                    id => Err($crate::parameters::unknown("attack", id, Self::IDS)),
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

            fn transform(&self) -> Option<&dyn Transform> {
                self.any().transform()
            }

            fn prepare(&self, session: &Session<'_>) -> Result<Option<Prepared>> {
                self.any().prepare(session)
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
