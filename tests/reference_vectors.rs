//! Known answers on a real model: FGSM and PGD on the tiny MNIST CNN of the adversarial robustness toolbox.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use approx::assert_abs_diff_eq;
use common::recorder::Recorder;
use common::{npz, shared};
use ironbound::attack::{AnyAttack, Fgsm, Pgd, Sample, Session};
use ironbound::{Aim, Classifier, CrossEntropy, Loss, Model, Norm, Threat};
use serde_json::Value;

struct Case {
    model: Recorder,
    clean: Vec<f32>,
    labels: Vec<usize>,
    vectors: Value,
}

impl Case {
    fn load() -> Option<Self> {
        let text = std::fs::read_to_string(shared("reference/vectors.json")?).unwrap();
        let vectors: Value = serde_json::from_str(&text).unwrap();
        let data = npz::read(&shared("reference/vectors/art_tiny_mnist.npz")?);
        let model = Model::load(shared("reference/vectors/art_tiny_mnist.onnx")?).unwrap();
        Some(Self {
            model: Recorder::new(model),
            clean: data["x"].floats(),
            labels: data["y"].classes(),
            vectors: vectors["art_tiny_mnist"].clone(),
        })
    }

    /// The last iterates of an attack on all images at once.
    fn last_iterates(&self, attack: &dyn AnyAttack, norm: Norm, eps: f64) -> Vec<f32> {
        let features = self.model.features();
        let threat = Threat::new(norm, eps);
        let session = Session::new(&self.model, &threat);
        let samples: Vec<Sample<'_>> = self
            .clean
            .chunks_exact(features)
            .zip(&self.labels)
            .enumerate()
            .map(|(id, (clean, label))| Sample { id, clean, aim: Aim::untargeted(*label) })
            .collect();
        attack.run(&session, &samples).unwrap();
        let last = self.model.last();
        assert_eq!(last.len(), self.clean.len(), "every image was asked about at the end");
        last
    }

    fn logits(&self, inputs: &[f32]) -> Vec<f32> {
        let mut logits = vec![];
        Classifier::logits(self.model.inner(), inputs.into(), &mut logits).unwrap();
        logits
    }

    fn predictions(&self, inputs: &[f32]) -> Vec<usize> {
        self.model.predict(inputs)
    }
}

fn classes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|class| class.as_u64().unwrap() as usize).collect()
}

fn norm(value: &Value) -> Norm {
    value["norm"].as_str().unwrap().parse().unwrap()
}

/// Checks the statistics that a vector states of the perturbation.
fn check_delta(case: &Case, vector: &Value, adversarial: &[f32]) {
    let delta: Vec<f64> = adversarial
        .iter()
        .zip(&case.clean)
        .map(|(after, before)| f64::from(*after) - f64::from(*before))
        .collect();
    let statistics = [
        ("delta_mean", delta.iter().sum::<f64>() / delta.len() as f64),
        ("delta_min", delta.iter().copied().fold(f64::INFINITY, f64::min)),
        ("delta_max", delta.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
    ];
    for (name, found) in statistics {
        if let Some(expected) = vector[name].as_f64() {
            assert_abs_diff_eq!(found, expected, epsilon = 1e-5);
        }
    }
}

#[test]
fn clean_predictions() {
    let Some(case) = Case::load() else { return };
    let expected = classes(&case.vectors["clean_predictions"]);
    assert_eq!(case.predictions(&case.clean), expected);
    assert_eq!(case.labels, expected);
}

#[test]
fn fgsm_in_every_norm() {
    let Some(case) = Case::load() else { return };
    for vector in case.vectors["fgsm"].as_array().unwrap() {
        let eps = vector["eps"].as_f64().unwrap();
        let attack = Fgsm { ignore_box: true, ..Fgsm::default() };
        let adversarial = case.last_iterates(&attack, norm(vector), eps);
        assert_eq!(case.predictions(&adversarial), classes(&vector["predictions"]), "{vector}");
        check_delta(&case, vector, &adversarial);
    }
}

#[test]
fn fgsm_by_growing_eps() {
    let Some(case) = Case::load() else { return };
    let vector = &case.vectors["fgsm_minimal_linf"];
    let step = vector["eps_step"].as_f64().unwrap();
    let mut used = vec![None; case.labels.len()];
    let mut predictions = case.labels.clone();
    for count in 1..=10 {
        let eps = step * f64::from(count);
        let adversarial = case.last_iterates(&Fgsm::default(), Norm::Linf, eps);
        for (image, class) in case.predictions(&adversarial).into_iter().enumerate() {
            if used[image].is_none() && class != case.labels[image] {
                (used[image], predictions[image]) = (Some(eps), class);
            }
        }
    }
    for (found, expected) in used.iter().zip(vector["eps_used"].as_array().unwrap()) {
        assert_abs_diff_eq!(found.unwrap(), expected.as_f64().unwrap(), epsilon = 1e-9);
    }
    assert_eq!(predictions, classes(&vector["predictions"]));
}

#[test]
fn pgd_last_iterates() {
    let Some(case) = Case::load() else { return };
    for vector in case.vectors["pgd"].as_array().unwrap() {
        let pgd = Pgd {
            steps: vector["steps"].as_u64().unwrap() as usize,
            step: vector["step"].as_f64(),
            random_start: false,
            early_stop: false,
            ..Pgd::default()
        };
        let adversarial = case.last_iterates(&pgd, norm(vector), vector["eps"].as_f64().unwrap());
        assert_eq!(case.predictions(&adversarial), classes(&vector["predictions"]), "{vector}");
        check_delta(&case, vector, &adversarial);
        let classes = case.model.classes();
        let loss: f32 = case
            .logits(&adversarial)
            .chunks_exact(classes)
            .zip(&case.labels)
            .map(|(logits, label)| {
                let mut gradient = vec![0.0; classes];
                CrossEntropy.value_and_gradient(logits, Aim::untargeted(*label), &mut gradient)
            })
            .sum();
        let expected = vector["sum_cross_entropy"].as_f64().unwrap();
        assert_abs_diff_eq!(f64::from(loss), expected, epsilon = 2e-3 * expected);
    }
}
