//! Several losses, as they are written in configurations and on command lines.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::LossKind;

/// Reads a list of losses, or their names joined by `+`.
pub(crate) fn several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<LossKind>, D::Error> {
    from.deserialize_any(Names)
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Vec<LossKind>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of losses, or their names joined by +")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let one = |name: &str| LossKind::deserialize(StrDeserializer::new(name.trim()));
        text.split('+').map(one).collect()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
        let mut losses = vec![];
        while let Some(loss) = names.next_element()? {
            losses.push(loss);
        }
        Ok(losses)
    }
}
