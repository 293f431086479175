//! Every real model, as its users would take it: loaded, audited, evaluated.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::collections::BTreeMap;

use common::{npz, shared, values};
use ironbound::attack::{Fgsm, Pgd};
use ironbound::evaluate::Fate;
use ironbound::{
    Aim, AuditOptions, Bounds, Classifier, Dataset, Evaluation, GradientAudit, LossKind, Model,
    ModelOptions, Norm, Preprocessing, Threat, argmax, audit_gradient,
};
use serde_json::Value;

/// Samples per model.
const SAMPLES: usize = 16;

/// What the catalogue cannot know: the sizes that a file leaves open, the value of a further input.
fn options(name: &str, entry: &Value) -> ModelOptions {
    let numbers = |key: &str| -> Vec<f32> {
        let list = entry["normalisation"][key].as_array();
        list.into_iter().flatten().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    let preprocessing =
        Preprocessing { mean: numbers("mean"), std: numbers("std"), ..Preprocessing::default() };
    let options = ModelOptions { preprocessing, ..ModelOptions::default() };
    match name {
        "gesture_history_lstm" => {
            let constants = BTreeMap::from([("score_threshold".into(), vec![0.5])]);
            ModelOptions { constants, ..options }
        }
        "ppocr_cls" => ModelOptions { input_shape: Some(vec![3, 48, 192]), ..options },
        _ => options,
    }
}

/// Labelled samples for a model, and whether the labels are true ones.
fn samples(name: &str, model: &Model, entry: &Value) -> (Dataset, bool) {
    if let Some(data) = entry["data"].as_str() {
        let path = shared(&format!("reference/data/{data}.npz")).unwrap();
        let data = Dataset::from_npz(path).unwrap().subset(0, Some(SAMPLES)).unwrap();
        return (data, true);
    }
    let features = model.features();
    let path = shared(&format!("reference/gradients/{name}.npz")).filter(|path| path.exists());
    let x = match path {
        Some(path) if name != "ppocr_cls" => npz::read(&path)["x"].floats(),
        _ => values(features).iter().map(|x| x.abs()).collect(),
    };
    let rows = (x.len() / features).min(SAMPLES);
    let mut logits = vec![];
    Classifier::logits(model, x[..rows * features].into(), &mut logits).unwrap();
    let labels: Vec<usize> = logits.chunks_exact(model.classes()).map(argmax).collect();
    let x = ndarray::ArrayView2::from_shape((rows, features), &x[..rows * features]).unwrap();
    (Dataset::from_arrays(x, &labels).unwrap(), false)
}

fn audit(model: &Model, data: &Dataset) -> GradientAudit {
    let data = data.clone().reshaped_for(&model.info().shape).unwrap();
    // A sample of the largest takes as long as all of the others.
    let large = data.features() > 100_000;
    let (rows, directions) = if large { (1, 1) } else { (data.len().min(4), 4) };
    let aims: Vec<Aim> = data.labels()[..rows].iter().map(|y| Aim::untargeted(*y)).collect();
    let inputs = &data.values()[..rows * data.features()];
    let loss = LossKind::Margin.loss();
    let options = AuditOptions { directions, ..AuditOptions::default() };
    audit_gradient(model, inputs, &aims, &loss, &options).unwrap()
}

/// The worst error of an audit, where it is more than 1e-5, and why.
const WORST: &[(&str, f64)] = &[
    // Deep in saturation, where single precision loses digits on the way.
    ("eran_sigmoid_6x200", 1e-4),
    // No double precision in tract for the LSTM: differences in single precision.
    ("gesture_history_lstm", 1e-3),
    // Constant weights: every logit is the same, and a margin between equals has no slope.
    ("light_squeezenet", 1.0),
    // Signs: its true gradient is zero, and differences see the jumps.
    ("gtsrb_qconv30", 1.0),
];

#[test]
fn every_model_is_loaded_audited_and_evaluated() {
    let Some(path) = shared("reference/models.json") else { return };
    let catalogue: BTreeMap<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (name, entry) in &catalogue {
        let file = shared(&format!("reference/models/{name}.onnx")).unwrap();
        let model = Model::load_with(file, &options(name, entry))
            .unwrap_or_else(|error| panic!("{}", error.one_line()));
        let (data, labelled) = samples(name, &model, entry);
        let eps = entry["eps"][1].as_f64().unwrap_or(0.01);
        let run = Evaluation::new(&model, &data)
            .threat(Threat::new(Norm::Linf, eps).with_bounds(Bounds::NONE))
            .attack(Fgsm::default())
            .attack(Pgd { steps: 5, ..Pgd::default() })
            .run();
        let results = run.unwrap_or_else(|error| panic!("{name}: {}", error.one_line()));
        let audit = audit(&model, &data);
        let correct = results.clean.iter().filter(|clean| clean.correct).count();
        let robust = results.rows[1].fates().iter().filter(|f| **f == Fate::Robust).count();
        println!(
            "{name:22} {correct:2} of {:2} right, {robust:2} robust at {eps:.4}; audit: {} directions, worst {:.1e}, \
             median {:.1e}, {} kinks, {} zero; scores `{}`",
            data.len(),
            audit.directions,
            audit.worst_relative_error,
            audit.median_relative_error,
            audit.kinks,
            audit.zero,
            model.info().logits,
        );
        assert!(results.rows.iter().all(|row| !row.fates().contains(&Fate::Failed)), "{name}");
        let least = if labelled { data.len() / 2 } else { data.len() };
        assert!(correct >= least, "{name}: {correct} of {} right", data.len());
        let worst = WORST.iter().find(|(known, _)| known == name).map_or(1e-5, |(_, worst)| *worst);
        assert!(audit.worst_relative_error <= worst, "{name}: {audit:?}");
        assert!(audit.directions + audit.kinks + audit.zero > 0, "{name}: {audit:?}");
    }
}
