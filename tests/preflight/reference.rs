//! No false alarm about the data on real models with their right preprocessing.

use std::io::Write;

use ironbound::{
    Bounds, Dataset, Model, ModelOptions, Norm, Preflight, Preprocessing, Severity, Threat,
};
use serde_json::Value;

use crate::common::shared;
use crate::find;

/// Codes that blame the data.
const DATA: [&str; 4] = ["bounds-too-wide", "chance-accuracy", "data-outside-bounds", "data-range"];

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn say(line: &str) {
    // Past the test harness, which would swallow a print.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn load(name: &str, entry: &Value, preprocessing: Preprocessing) -> Option<(Model, Dataset)> {
    let data = entry["data"].as_str()?;
    let path = shared(&format!("reference/models/{name}.onnx"))?;
    let options = ModelOptions { preprocessing, ..ModelOptions::default() };
    let model = match Model::load_with(path, &options) {
        Ok(model) => model,
        Err(error) => {
            say(&format!("SKIPPED: {name} cannot be loaded: {}", error.one_line()));
            return None;
        }
    };
    let data = Dataset::from_npz(shared(&format!("reference/data/{data}.npz"))?).unwrap();
    Some((model, data))
}

fn right(entry: &Value) -> Preprocessing {
    let (mean, std) = (&entry["normalisation"]["mean"], &entry["normalisation"]["std"]);
    Preprocessing { mean: numbers(mean), std: numbers(std), ..Preprocessing::default() }
}

#[test]
fn right_preprocessing_raises_no_alarm() {
    let Some(path) = shared("reference/models.json") else { return };
    let models: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut looked_at = 0;
    for (name, entry) in models.as_object().unwrap() {
        if entry["data"].is_null() {
            continue;
        }
        let Some((model, data)) = load(name, entry, right(entry)) else { continue };
        let tabular = entry["layout"] == "flat";
        let bounds = if tabular { Bounds::NONE } else { Bounds::Uniform(0.0, 1.0) };
        let threat = Threat::new(Norm::Linf, 0.01).with_bounds(bounds);
        let found = Preflight::new(&model, &data).threat(threat).run().unwrap();
        for finding in &found {
            say(&format!("{name}: {finding}"));
            assert!(!DATA.contains(&&finding.code[..]), "{name}: {finding}");
            assert_ne!(finding.code, "check-failed", "{name}: {finding}");
        }
        looked_at += 1;
    }
    assert!(looked_at >= 15, "only {looked_at} models could be looked at");
}

fn entry(name: &str) -> Option<Value> {
    let path = shared("reference/models.json")?;
    let models: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    Some(models[name].clone())
}

#[test]
fn a_binarised_network_has_no_gradient() {
    let name = "gtsrb_qconv30";
    let Some(entry) = entry(name) else { return };
    let Some((model, data)) = load(name, &entry, right(&entry)) else { return };
    let found = Preflight::new(&model, &data).samples(24).run().unwrap();
    let dead = find(&found, "dead-gradient").unwrap();
    assert_eq!(dead.severity, Severity::Error, "{dead}");
    assert!(dead.message.contains("24 of 24") && dead.message.contains("(Sign)"), "{dead}");
}

#[test]
fn a_missing_normalisation_is_found() {
    let cases = [("cifar_base_kw", "chance-accuracy"), ("cifar_resnet_2b", "data-range")];
    for (name, code) in cases {
        let Some(entry) = entry(name) else { return };
        let Some((model, data)) = load(name, &entry, Preprocessing::default()) else { return };
        let found = Preflight::new(&model, &data).gradients(false).run().unwrap();
        let finding = find(&found, code).unwrap_or_else(|| panic!("{name}: {found:?}"));
        assert!(
            finding.remedy.contains("mean 0.4") && finding.message.contains("raises"),
            "{finding}"
        );
    }
}
