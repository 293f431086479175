//! Robust accuracy beside foolbox's and torchattacks' on the same ONNX files, samples and budgets, at equal steps.
//!
//! `benches/peers/strength.py` writes their results. `IRONBOUND_BLESS=1 cargo test --release --test reference_strength --
//! --ignored` writes the table in `docs/strength.md` anew.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use common::shared;
use ironbound::attack::AttackSpec;
use ironbound::evaluate::Fate;
use ironbound::{Dataset, Evaluation, Model, Norm, Threat};
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// What the table in the document follows.
const MARK: &str = "<!-- Below: written by tests/reference_strength.rs. -->\n";

/// A peer's results on one model.
struct Row(Value);

impl Row {
    fn all() -> Vec<Self> {
        let text = std::fs::read_to_string(format!("{ROOT}/tests/data/peers_strength.json"));
        let peers: Value = serde_json::from_str(&text.unwrap()).unwrap();
        peers["rows"].as_array().unwrap().iter().cloned().map(Self).collect()
    }

    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap()
    }

    fn samples(&self) -> usize {
        self.0["samples"].as_u64().unwrap() as usize
    }

    fn budgets(&self) -> Vec<f64> {
        self.0["eps"].as_array().unwrap().iter().map(|eps| eps.as_f64().unwrap()).collect()
    }

    /// How many seeds an attack that begins at random was run at.
    fn seeds(&self) -> u64 {
        self.0["seeds"].as_u64().unwrap_or(1)
    }

    /// The samples that the peer leaves robust, by budget: the mean over the seeds.
    fn theirs(&self) -> Vec<f64> {
        if let Some(distances) = self.0["distance"].as_array() {
            let held = |eps: f64| {
                let within = |d: &&Value| d.as_f64().is_none_or(|d| d > eps * (1.0 + 1e-5));
                distances.iter().filter(within).count() as f64
            };
            return self.budgets().into_iter().map(held).collect();
        }
        let times = |times: &Value| -> u64 {
            times.as_array().unwrap().iter().map(|times| times.as_u64().unwrap()).sum()
        };
        let budgets = self.0["robust"].as_array().unwrap().iter();
        budgets.map(|budget| times(budget) as f64 / self.seeds() as f64).collect()
    }

    /// The samples that the attack of the same name and settings leaves robust here, at as many seeds; none without the
    /// model.
    fn ours(&self) -> Option<Vec<f64>> {
        let (model, data) = files(self.text("model"))?;
        let (model, data) = (Model::load(model).unwrap(), Dataset::from_npz(data).unwrap());
        let norm: Norm = self.text("norm").parse().unwrap();
        let attack: AttackSpec = self.text("ours").parse().unwrap();
        let run = Evaluation::new(&model, &data).range(0, Some(self.samples())).preflight(false);
        let threats = self.budgets().into_iter().map(|eps| Threat::new(norm, eps));
        let run = threats.fold(run, Evaluation::threat).attack(attack);
        let mut robust = vec![0.0; self.budgets().len()];
        for seed in 0..self.seeds() {
            for (robust, row) in robust.iter_mut().zip(run.clone().seed(seed).run().unwrap().rows) {
                let held = row.fates().iter().filter(|fate| **fate == Fate::Robust).count();
                *robust += held as f64 / self.seeds() as f64;
            }
        }
        Some(robust)
    }

    /// A line of the table per budget, and where ours is weaker by more than a point.
    fn compare(&self) -> Option<(String, Vec<String>)> {
        let (ours, theirs) = (self.ours()?, self.theirs());
        let (mut lines, mut weaker) = (String::new(), vec![]);
        for ((eps, ours), theirs) in self.budgets().into_iter().zip(ours).zip(theirs) {
            let share = |robust: f64| 100.0 * robust / self.samples() as f64;
            let [model, norm, spec] = ["model", "norm", "ours"].map(|field| self.text(field));
            let [peer, name] = ["peer", "attack"].map(|field| self.text(field));
            let (ours, theirs) = (share(ours), share(theirs));
            println!("{model} {norm} {eps} {spec}: {ours:.1}, {peer} {name}: {theirs:.1}");
            writeln!(
                lines,
                "| `{model}` | {norm} | {eps} | `{spec}` | {ours:.1} | {theirs:.1} | {peer} {name} |"
            )
            .unwrap();
            if ours > theirs + 1.0 {
                weaker.push(format!("{model} {norm} {eps} {spec}: {ours} against {theirs}"));
            }
        }
        Some((lines, weaker))
    }
}

/// The model's file and its samples: our own, or those beside the repository.
fn files(model: &str) -> Option<(PathBuf, PathBuf)> {
    let own = Path::new(ROOT).join("examples/assets").join(format!("{model}.onnx"));
    if own.exists() {
        let data = own.with_file_name("digits_test.npz");
        return Some((own, data));
    }
    let file = shared(&format!("reference/models/{model}.onnx"))?;
    Some((file, shared(&format!("reference/robustness/data/{model}.npz"))?))
}

#[test]
fn quick_attacks_are_as_strong_on_the_digits() {
    let quick = ["deepfool", "fgsm", "pgd"];
    let is_quick = |row: &&Row| {
        quick.contains(&row.text("ours").split(':').next().unwrap())
            && (row.text("model"), row.text("norm")) == ("digits_cnn", "linf")
    };
    let rows = Row::all();
    let compared: Vec<_> = rows.iter().filter(is_quick).filter_map(Row::compare).collect();
    assert!(compared.len() >= 4, "{} rows", compared.len());
    assert!(compared.iter().all(|(_, weaker)| weaker.is_empty()), "{compared:?}");
}

#[test]
#[ignore = "ten minutes: for a change of the attacks; its quick twin runs"]
fn every_attack_is_as_strong() {
    let mut table = String::from(
        "\n| model | norm | eps | attack | robust here, % | robust there, % | there |\n|---|---|---|---|---|---|---|\n",
    );
    let mut weaker = vec![];
    for (lines, short) in Row::all().iter().filter_map(Row::compare) {
        table.push_str(&lines);
        weaker.extend(short);
    }
    if std::env::var("IRONBOUND_BLESS").is_ok() {
        let path = format!("{ROOT}/docs/strength.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (kept, _) = text.split_once(MARK).unwrap();
        std::fs::write(path, format!("{kept}{MARK}{table}")).unwrap();
    }
    assert!(weaker.is_empty(), "{weaker:#?}");
}
