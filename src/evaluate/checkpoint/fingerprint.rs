//! What a run depends on.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::attack::AnyAttack;
use crate::data::hex;
use crate::evaluate::builder::Evaluation;
use crate::evaluate::results::DataInfo;
use crate::evaluate::shard::Shard;

/// The name and version of the format.
pub(super) const SCHEMA: &str = "ironbound/checkpoint/1";

/// Everything that results depend on: two runs that agree in it have the same. Paths are no part of it, nor is what changes the
/// speed only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::evaluate) struct Fingerprint {
    pub(super) schema: String,
    ironbound: String,
    model: Value,
    data: Value,
    samples: Range<usize>,
    pub(super) shard: Shard,
    seed: u64,
    query_limit: Option<u64>,
    preflight: bool,
    stopping: Value,
    threats: Value,
    attacks: Value,
}

/// The fields, those first that explain differences in others.
const ORDER: [&str; 12] = [
    "schema",
    "ironbound",
    "model",
    "samples",
    "shard",
    "data",
    "seed",
    "query_limit",
    "preflight",
    "stopping",
    "threats",
    "attacks",
];

/// Where two runs differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Such as `attacks[1].params.steps`.
    pub(super) field: String,
    pub(super) here: String,
    pub(super) there: String,
}

impl Fingerprint {
    /// That of an evaluation on these `samples`, among them those of other shards, and their values' [hash](ValueHash).
    pub(in crate::evaluate) fn of(
        evaluation: &Evaluation<'_>,
        data: &DataInfo,
        samples: Range<usize>,
        values: String,
    ) -> Self {
        let model = evaluation.model.info();
        let attack =
            |attack: &Arc<dyn AnyAttack>| json!({ "id": attack.id(), "params": attack.params() });
        Self {
            schema: SCHEMA.into(),
            ironbound: env!("CARGO_PKG_VERSION").into(),
            model: json!({
                "sha256": model.sha256,
                "input": model.input,
                "logits": model.logits,
                "options": model.options,
            }),
            data: json!({
                "sha256": data.sha256,
                "values": values,
                "class_names": data.class_names,
                "groups": evaluation.data.groups().iter().map(|of| &of.column).collect::<Vec<_>>(),
                "streamed": evaluation.data.is_stream(),
            }),
            samples,
            shard: evaluation.shard,
            seed: evaluation.seed,
            query_limit: evaluation.query_limit,
            preflight: evaluation.preflight,
            stopping: json!(evaluation.stopping),
            threats: json!(evaluation.threats),
            attacks: evaluation.attacks.iter().map(attack).collect(),
        }
    }

    /// The first field in which another run differs; which shard it is plays no part.
    pub(super) fn differs_in_run(&self, other: &Self) -> Option<Difference> {
        let index_of = |run: &Self| Self { shard: self.shard.of_count(run.shard), ..run.clone() };
        self.differs(&index_of(other))
    }

    /// The first field in which another run differs.
    pub(super) fn differs(&self, other: &Self) -> Option<Difference> {
        let (here, there) = (json!(self), json!(other));
        ORDER.iter().find_map(|field| difference((*field).into(), &here[field], &there[field]))
    }
}

/// What is attacked, as it is given to the model: with layout, levels of a domain and inner tensors settled.
#[derive(Debug)]
pub(in crate::evaluate) struct ValueHash(Sha256);

impl ValueHash {
    /// Of samples of this shape.
    pub(in crate::evaluate) fn new(shape: &[usize]) -> Self {
        let mut hash = Sha256::new();
        shape.iter().for_each(|axis| hash.update((*axis as u64).to_le_bytes()));
        Self(hash)
    }

    /// Takes the values of more samples in.
    pub(in crate::evaluate) fn add(&mut self, values: &[f32]) {
        for block in values.chunks(1 << 12) {
            let bytes: Vec<u8> = block.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.0.update(bytes);
        }
    }

    /// With the labels of all.
    pub(in crate::evaluate) fn end(mut self, labels: &[usize]) -> String {
        labels.iter().for_each(|label| self.0.update((*label as u64).to_le_bytes()));
        hex(self.0)
    }
}

fn difference(field: String, here: &Value, there: &Value) -> Option<Difference> {
    if here == there {
        return None;
    }
    let within = match (here, there) {
        (Value::Object(here), Value::Object(there)) => {
            let keys = here.keys().chain(there.keys().filter(|key| !here.contains_key(*key)));
            let dot = if field.is_empty() { "" } else { "." };
            let of = |key: &String| {
                let [here, there] = [here, there].map(|side| side.get(key).unwrap_or(&Value::Null));
                difference(format!("{field}{dot}{key}"), here, there)
            };
            keys.into_iter().find_map(of)
        }
        (Value::Array(here), Value::Array(there)) if here.len() == there.len() => {
            let pairs = here.iter().zip(there).enumerate();
            let mut found = pairs.map(|(at, (a, b))| difference(format!("{field}[{at}]"), a, b));
            found.find_map(|found| found)
        }
        _ => None,
    };
    within.or_else(|| Some(Difference { field, here: brief(here), there: brief(there) }))
}

/// A value for a message.
fn brief(value: &Value) -> String {
    const SHOWN: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_compared() {
        let run = Fingerprint {
            schema: SCHEMA.into(),
            ironbound: String::new(),
            model: Value::Null,
            data: Value::Null,
            samples: 0..1,
            shard: Shard::WHOLE,
            seed: 0,
            query_limit: None,
            preflight: true,
            stopping: Value::Null,
            threats: Value::Null,
            attacks: Value::Null,
        };
        let fields = json!(run);
        assert!(ORDER.iter().all(|field| fields.get(field).is_some()));
        assert_eq!(ORDER.len(), fields.as_object().unwrap().len());
    }

    #[test]
    fn the_first_difference_is_named_by_its_place() {
        let here = json!({ "seed": 1, "attacks": [{ "id": "pgd", "params": { "steps": 10 } }] });
        let differs = |there: Value| {
            difference(String::new(), &here, &there).map(|d| (d.field, d.here, d.there))
        };
        assert_eq!(differs(here.clone()), None);
        let named = |field: &str, a: &str, b: &str| Some((field.into(), a.into(), b.into()));
        let there = json!({ "seed": 1, "attacks": [{ "id": "pgd", "params": { "steps": 20 } }] });
        assert_eq!(differs(there), named("attacks[0].params.steps", "10", "20"));
        let there = json!({ "seed": 1, "attacks": [] });
        let pgd = r#"[{"id":"pgd","params":{"steps":10}}]"#;
        assert_eq!(differs(there), named("attacks", pgd, "[]"));
        let there = json!({ "seed": 1, "attacks": here["attacks"], "batch": 3 });
        assert_eq!(differs(there), named("batch", "null", "3"));
        assert_eq!(brief(&json!("é".repeat(90))).chars().count(), 83);
    }
}
