//! What stands for the absence of a feature.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// The values that stand for a feature that is not there, in the units of the data. In text and JSON a number or a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// One value for every feature.
    Value(f32),
    /// A value per feature, in the order of the sample.
    Array(Vec<f32>),
}

impl Default for Baseline {
    /// Zero: black, where data are images in [0, 1].
    fn default() -> Self {
        Self::Value(0.0)
    }
}

impl Baseline {
    /// The value of one feature.
    #[must_use]
    pub fn at(&self, feature: usize) -> f32 {
        match self {
            Self::Value(value) => *value,
            Self::Array(values) => values[feature],
        }
    }

    /// Checks that every value is a finite number.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub(super) fn validate(&self, field: &str) -> Result<()> {
        let bad = match self {
            Self::Value(value) => Some(value).filter(|value| !value.is_finite()),
            Self::Array(values) => values.iter().find(|value| !value.is_finite()),
        };
        bad.map_or(Ok(()), |value| Err(Error::parameter(field, value, "expected finite numbers")))
    }

    /// Checks that there is a value for each of so many features.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub(super) fn expect_features(&self, field: &str, features: usize) -> Result<()> {
        match self {
            Self::Array(values) if values.len() != features => {
                let expected = format!("expected one number per feature, that is {features}");
                Err(Error::parameter(field, format!("{} long", values.len()), expected))
            }
            _ => Ok(()),
        }
    }
}

impl Serialize for Baseline {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(to),
            Self::Array(values) => values.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Baseline {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Numbers)
    }
}

struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = Baseline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a list with one per feature")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Baseline, E> {
        Ok(Baseline::Value(value as f32))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Baseline, E> {
        Ok(Baseline::Value(value as f32))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Baseline, E> {
        Ok(Baseline::Value(value as f32))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Baseline, A::Error> {
        let mut values = vec![];
        while let Some(value) = numbers.next_element()? {
            values.push(value);
        }
        Ok(Baseline::Array(values))
    }
}
