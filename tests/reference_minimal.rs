//! Minimal-norm attacks beside AutoAttack's reference implementation, on the same ONNX file and samples.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::shared;
use ironbound::attack::AttackSpec;
use ironbound::evaluate::Fate;
use ironbound::{Dataset, Evaluation, Model, Norm, Threat};
use serde_json::Value;

const SAMPLES: usize = 100;

/// How many samples AutoAttack leaves robust, and the attack.
fn robust(norm: Norm, attack: &str) -> Option<Vec<(usize, usize)>> {
    let reference = shared("reference/robustness/mnist2x10.json")?;
    let reference: Value =
        serde_json::from_str(&std::fs::read_to_string(reference).unwrap()).unwrap();
    let data = Dataset::from_npz(shared("reference/robustness/data/mnist2x10.npz")?).unwrap();
    let model = Model::load(shared("reference/models/mnist2x10.onnx")?).unwrap();
    let rows = reference["attacks"].as_array().unwrap().iter();
    let theirs: Vec<(f64, usize)> = rows
        .filter(|row| {
            row["attack"] == "autoattack standard" && row["norm"] == norm.to_string().as_str()
        })
        .map(|row| {
            let flags = row["robust"].as_array().unwrap()[..SAMPLES].iter();
            (row["eps"].as_f64().unwrap(), flags.filter(|flag| flag.as_u64() == Some(1)).count())
        })
        .collect();
    let attack: AttackSpec = attack.parse().unwrap();
    let evaluation = theirs
        .iter()
        .fold(Evaluation::new(&model, &data), |run, (eps, _)| run.threat(Threat::new(norm, *eps)));
    let results = evaluation.attack(attack).range(0, Some(SAMPLES)).run().unwrap();
    let ours =
        |row: usize| results.rows[row].fates().iter().filter(|f| **f == Fate::Robust).count();
    Some(theirs.iter().enumerate().map(|(row, (_, theirs))| (*theirs, ours(row))).collect())
}

fn assert_close(norm: Norm, attack: &str) {
    let Some(rows) = robust(norm, attack) else { return };
    assert!(!rows.is_empty());
    for (theirs, ours) in rows {
        println!("{attack} {norm}: {ours} against AutoAttack's {theirs}");
        assert!(ours.abs_diff(theirs) <= 2, "{attack} {norm}: {ours} against {theirs}");
    }
}

#[test]
fn fab_t_alone_comes_within_two_samples_of_autoattack() {
    assert_close(Norm::Linf, "fab-t");
    assert_close(Norm::L2, "fab-t");
}

#[test]
fn so_does_ddn() {
    assert_close(Norm::L2, "ddn");
}
