//! What models and attacks are called in renderings.

use std::collections::BTreeMap;

use serde_json::Value;

use super::record::{AttackRow, Report};

impl Report {
    /// Whether the model is no classifier: classes are then whether the attacker's objective is achieved.
    pub(super) fn is_objective(&self) -> bool {
        self.warnings.iter().any(|finding| finding.code == "objective")
    }

    /// What the model tells apart.
    pub(super) fn kind(&self) -> String {
        if self.is_objective() {
            "no classifier".into()
        } else {
            format!("{} classes", self.model.classes)
        }
    }

    /// The attack's name, with the parameters that set it apart from others of that name.
    pub(super) fn name(&self, row: &AttackRow) -> String {
        let apart = self.apart(row);
        if apart.is_empty() { row.id.clone() } else { format!("{}:{apart}", row.id) }
    }

    /// The parameters that set an attack apart from others of its name, such as "steps=10,loss=margin".
    pub(super) fn apart(&self, row: &AttackRow) -> String {
        let others: Vec<_> = self
            .attacks
            .iter()
            .filter(|other| other.id == row.id)
            .map(|other| leaves(&other.params))
            .collect();
        let mut apart = vec![];
        for (pointer, value) in leaves(&row.params) {
            let differs = |other: &Leaves<'_>| other.get(&pointer).is_some_and(|v| *v != value);
            if others.iter().any(differs) {
                let key = pointer.rsplit('/').next().unwrap_or_default();
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                apart.push(format!("{key}={text}"));
            }
        }
        apart.join(",")
    }
}

/// The values in a tree of parameters, by their JSON pointers.
type Leaves<'a> = BTreeMap<String, &'a Value>;

fn leaves(params: &Value) -> Leaves<'_> {
    let Some(fields) = params.as_object() else { return [(String::new(), params)].into() };
    let of = |(key, value)| {
        leaves(value).into_iter().map(move |(pointer, leaf)| (format!("/{key}{pointer}"), leaf))
    };
    fields.iter().flat_map(of).collect()
}
