//! The file as it is written.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use toml::Spanned;

use crate::data::Layout;
use crate::goal::Goal;
use crate::model::ModelOptions;
use crate::norm::Norm;
use crate::threat::{Budget, Domain};

/// A suite's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(default)]
    pub(super) offset: usize,
    pub(super) limit: Option<usize>,
    #[serde(default)]
    pub(super) attacks: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) gates: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) threats: Vec<ThreatEntry>,
    pub(super) data: Vec<DataEntry>,
    pub(super) models: Vec<ModelEntry>,
}

/// Threats that differ in the budget only.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThreatEntry {
    pub(super) norm: Norm,
    pub(super) eps: Vec<Eps>,
    pub(super) bounds: Option<(f32, f32)>,
    #[serde(default)]
    pub(super) goal: Goal,
    #[serde(default)]
    pub(super) domain: Domain,
}

/// A data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DataEntry {
    pub(super) name: Option<String>,
    pub(super) path: Spanned<PathBuf>,
    pub(super) bounds: Option<BoundsEntry>,
    pub(super) keys: Option<(String, String)>,
    pub(super) labels: Option<PathBuf>,
    pub(super) label: Option<String>,
    #[serde(default)]
    pub(super) drop: Vec<String>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
    pub(super) class_names: Option<PathBuf>,
    #[serde(default)]
    pub(super) raw_pixels: bool,
    pub(super) resize: Option<u32>,
    pub(super) layout: Option<Layout>,
}

/// `[0, 1]` or `"data"`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`bounds`: expected two numbers, such as [0, 1], or \"data\"")]
pub(super) enum BoundsEntry {
    Given(f32, f32),
    Word(BoundsWord),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum BoundsWord {
    Data,
}

/// A model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelEntry {
    pub(super) name: Option<String>,
    pub(super) path: Spanned<PathBuf>,
    pub(super) expect_sha256: Option<String>,
    pub(super) baseline: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) gates: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) options: ModelOptions,
}

/// A budget: 0.1, "0.1" or "8/255".
#[derive(Debug)]
pub(super) struct Eps(pub(super) Budget);

impl<'de> Deserialize<'de> for Eps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Eps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number >= 0, such as 0.031 or \"8/255\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Eps, E> {
                text.parse().map(Eps).map_err(E::custom)
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Eps, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Eps, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Number)
    }
}
