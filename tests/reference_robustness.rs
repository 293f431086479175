//! Robust accuracy of FGSM and PGD against PyTorch on the same ONNX files and data.

mod common;

use common::{npz, shared};
use ironbound::attack::{AnyAttack, Fgsm, Pgd, Sample, Session};
use ironbound::{
    Aim, Bounds, Cancel, Classifier, Model, ModelOptions, Norm, Preprocessing, Threat, argmax,
};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f32> {
    let text = value.as_str().unwrap_or_default();
    text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
}

fn flags(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|flag| flag.as_u64() == Some(1)).collect()
}

/// Compares one model's results; says by how many samples they differ.
fn compare(name: &str) {
    let Some(path) = shared(&format!("reference/robustness/{name}.json")) else { return };
    let reference: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let data = npz::read(&shared(&format!("reference/robustness/data/{name}.npz")).unwrap());
    let preprocessing = Preprocessing {
        scale: reference["scale"].as_f64().unwrap() as f32,
        mean: numbers(&reference["mean"]),
        std: numbers(&reference["std"]),
        ..Preprocessing::default()
    };
    let options = ModelOptions { preprocessing, ..ModelOptions::default() };
    let model = shared(&format!("reference/models/{name}.onnx")).unwrap();
    let model = Model::load_with(model, &options).unwrap();
    let (clean, labels) = (data["x"].floats(), data["y"].classes());
    let features = model.features();
    let predict = |inputs: &[f32]| -> Vec<usize> {
        let mut logits = vec![];
        Classifier::logits(&model, inputs, &mut logits).unwrap();
        logits.chunks_exact(model.classes()).map(argmax).collect()
    };
    let correct: Vec<bool> =
        predict(&clean).iter().zip(&labels).map(|(class, label)| class == label).collect();
    assert_eq!(correct, flags(&reference["clean_correct"]), "{name}: clean predictions");
    let bounds = match reference["bounds"].as_array() {
        Some(pair) => {
            Bounds::Uniform(pair[0].as_f64().unwrap() as f32, pair[1].as_f64().unwrap() as f32)
        }
        None => Bounds::NONE,
    };
    for row in reference["attacks"].as_array().unwrap() {
        let attack: Box<dyn AnyAttack> = match row["attack"].as_str().unwrap() {
            "fgsm" => Box::new(Fgsm::default()),
            pgd if pgd.starts_with("pgd-40") => {
                Box::new(Pgd { random_start: false, ..Pgd::default() })
            }
            _ => continue,
        };
        let eps = row["eps"].as_f64().unwrap();
        let norm: Norm = row["norm"].as_str().unwrap().parse().unwrap();
        let threat = Threat::new(norm, eps).with_bounds(bounds.clone());
        let session = Session {
            model: &model,
            threat: &threat,
            seed: 0,
            query_limit: None,
            cancel: Cancel::default(),
        };
        let samples: Vec<Sample<'_>> = (0..labels.len())
            .filter(|&id| correct[id])
            .map(|id| Sample {
                id,
                clean: &clean[id * features..][..features],
                aim: Aim::untargeted(labels[id]),
            })
            .collect();
        let outcomes = attack.run(&session, &samples).unwrap();
        let mut robust = correct.clone();
        for (sample, outcome) in samples.iter().zip(&outcomes) {
            robust[sample.id] = !outcome.success;
        }
        let theirs = flags(&row["robust"]);
        let only_we = (0..robust.len()).filter(|&id| theirs[id] && !robust[id]).count();
        let only_they = (0..robust.len()).filter(|&id| !theirs[id] && robust[id]).count();
        println!(
            "{name} {} eps {eps:.4}: ours {:.3}, theirs {:.3}, broken by us only {only_we}, by them only {only_they}",
            attack.id(),
            robust.iter().filter(|robust| **robust).count() as f64 / robust.len() as f64,
            row["robust_accuracy"].as_f64().unwrap(),
        );
    }
}

#[test]
fn real_models() {
    let Some(folder) = shared("reference/robustness") else { return };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.iter().for_each(|name| compare(name));
}
