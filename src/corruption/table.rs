//! The table of corruptions: from one line each to the enum, the names and the parser.

use super::image::Image;
use super::level::Level;
use crate::rng::Stream;

/// What a corruption does to an image; afterwards, values are clipped to [0, 1].
pub(super) type Apply = fn(&mut Image, Level, &mut Stream);

/// Declares the corruptions: `name => Variant, function;`, in alphabetical order.
macro_rules! corruptions {
    ($($(#[$doc:meta])* $name:literal => $kind:ident, $apply:path;)*) => {
        /// A kind of corruption.
        ///
        /// ```
        /// use ironbound::corruption::Kind;
        /// assert_eq!("glass-blur".parse::<Kind>()?, Kind::GlassBlur);
        /// assert!("glas".parse::<Kind>().unwrap_err().to_string().contains("expected one of `brightness`"));
        /// # Ok::<(), ironbound::Error>(())
        /// ```
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $name)] $kind,)*
        }

        impl Kind {
            /// Every kind, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The names, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            fn function(self) -> table::Apply {
                match self {
                    $(Self::$kind => $apply,)*
                }
            }
        }

        impl ::std::str::FromStr for Kind {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> $crate::error::Result<Self> {
                match text {
                    $($name => Ok(Self::$kind),)*
                    _ => Err($crate::error::Error::Unknown {
                        what: "corruption",
                        name: text.into(),
                        choices: Self::NAMES.iter().map(|name| (*name).into()).collect(),
                    }),
                }
            }
        }
    };
}
pub(super) use corruptions;
