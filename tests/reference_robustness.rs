//! Robust accuracy of FGSM and PGD against PyTorch on the same ONNX files and data.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::recorder::Recorder;
use common::{npz, shared};
use ironbound::attack::{AnyAttack, AutoAttack, Fgsm, Pgd, Sample, Session};
use ironbound::{
    Aim, Bounds, Classifier, Loss, LossKind, Model, ModelOptions, Norm, Preprocessing, Threat,
};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f32> {
    let text = value.as_str().unwrap_or_default();
    text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
}

fn flags(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|flag| flag.as_u64() == Some(1)).collect()
}

/// Cross-entropy as PyTorch differentiates it in f32: softmax minus one-hot, exactly zero once p rounds to 1.
#[derive(Debug)]
struct SinglePrecisionCrossEntropy;

impl Loss for SinglePrecisionCrossEntropy {
    fn name(&self) -> &str {
        "cross-entropy-f32"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|z| (z - largest).exp()).sum();
        for (g, z) in gradient.iter_mut().zip(logits) {
            *g = (z - largest).exp() / sum;
        }
        gradient[aim.label] -= 1.0;
        sum.ln() - (logits[aim.label] - largest)
    }
}

/// One model with its data and its reference results.
struct Case {
    name: String,
    model: Recorder,
    clean: Vec<f32>,
    labels: Vec<usize>,
    correct: Vec<bool>,
    bounds: Bounds,
    rows: Vec<Value>,
}

impl Case {
    fn load(name: &str) -> Option<Self> {
        let path = shared(&format!("reference/robustness/{name}.json"))?;
        let reference: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let data = npz::read(&shared(&format!("reference/robustness/data/{name}.npz"))?);
        let preprocessing = Preprocessing {
            scale: reference["scale"].as_f64().unwrap() as f32,
            mean: numbers(&reference["mean"]),
            std: numbers(&reference["std"]),
            ..Preprocessing::default()
        };
        let options = ModelOptions { preprocessing, ..ModelOptions::default() };
        let path = shared(&format!("reference/models/{name}.onnx"))?;
        let bounds = reference["bounds"].as_array().map_or(Bounds::NONE, |pair| {
            Bounds::Uniform(pair[0].as_f64().unwrap() as f32, pair[1].as_f64().unwrap() as f32)
        });
        let mut case = Self {
            name: name.into(),
            model: Recorder::new(Model::load_with(path, &options).unwrap()),
            clean: data["x"].floats(),
            labels: data["y"].classes(),
            correct: vec![],
            bounds,
            rows: reference["attacks"].as_array().unwrap().clone(),
        };
        let predictions = case.model.predict(&case.clean);
        case.correct =
            predictions.iter().zip(&case.labels).map(|(class, label)| class == label).collect();
        assert_eq!(case.correct, flags(&reference["clean_correct"]), "{name}: clean predictions");
        Some(case)
    }

    /// Which samples stay robust at the best point that the attack found, and at its last iterate (where every sample
    /// got that far).
    fn robust(&self, attack: &dyn AnyAttack, norm: Norm, eps: f64) -> (Vec<bool>, Vec<bool>) {
        let threat = Threat::new(norm, eps).with_bounds(self.bounds.clone());
        let session = Session::new(&self.model, &threat);
        let features = self.model.features();
        let samples: Vec<Sample<'_>> = (0..self.labels.len())
            .filter(|id| self.correct[*id])
            .map(|id| Sample {
                id,
                clean: &self.clean[id * features..][..features],
                aim: Aim::untargeted(self.labels[id]),
            })
            .collect();
        let outcomes = attack.run(&session, &samples).unwrap();
        let last = self.model.predict(&self.model.last());
        let (mut at_best, mut at_last) = (self.correct.clone(), self.correct.clone());
        for (row, (sample, outcome)) in samples.iter().zip(&outcomes).enumerate() {
            at_best[sample.id] = !outcome.success;
            at_last[sample.id] = last.get(row) == Some(&self.labels[sample.id]);
        }
        (at_best, at_last)
    }

    fn compare(&self) {
        let allowed = self.labels.len().div_ceil(200);
        for row in &self.rows {
            let custom = || LossKind::Custom(Arc::new(SinglePrecisionCrossEntropy));
            let pgd =
                |loss, early_stop| Pgd { random_start: false, early_stop, loss, ..Pgd::default() };
            let (theirs, ours): (Box<dyn AnyAttack>, Box<dyn AnyAttack>) =
                match row["attack"].as_str().unwrap() {
                    "fgsm" => (
                        Box::new(Fgsm { loss: custom(), ..Fgsm::default() }),
                        Box::new(Fgsm::default()),
                    ),
                    name if name.starts_with("pgd-40") => {
                        (Box::new(pgd(custom(), false)), Box::new(pgd(LossKind::default(), true)))
                    }
                    _ => continue,
                };
            let norm: Norm = row["norm"].as_str().unwrap().parse().unwrap();
            let eps = row["eps"].as_f64().unwrap();
            let (_, last) = self.robust(&*theirs, norm, eps);
            let (best, _) = self.robust(&*ours, norm, eps);
            let expected = flags(&row["robust"]);
            let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
            let differ = last.iter().zip(&expected).filter(|(a, b)| a != b).count();
            println!(
                "{:18} {:4} {norm:4} eps {eps:<8.5} PyTorch {:3}, last iterate {:3} (differ {differ}), as shipped {:3}, of {}",
                self.name,
                ours.id(),
                count(&expected),
                count(&last),
                count(&best),
                self.labels.len()
            );
            assert!(
                count(&last).abs_diff(count(&expected)) <= allowed,
                "{} {norm} {eps}: {} robust, PyTorch {}",
                self.name,
                count(&last),
                count(&expected)
            );
            assert!(
                count(&best) <= count(&expected) + allowed,
                "{} {norm} {eps}: the shipped attack is weaker than PyTorch's",
                self.name
            );
        }
    }

    /// The ensemble against the authors' on the same samples.
    fn compare_auto_attack(&self) {
        let total = self.labels.len();
        for row in self.rows.iter().filter(|row| row["attack"] == "autoattack standard") {
            let norm: Norm = row["norm"].as_str().unwrap().parse().unwrap();
            let eps = row["eps"].as_f64().unwrap();
            let started = Instant::now();
            let (ours, _) = self.robust(&AutoAttack::default(), norm, eps);
            let seconds = started.elapsed().as_secs_f64();
            let theirs = flags(&row["robust"]);
            let count = |pick: fn(bool, bool) -> bool| {
                theirs.iter().zip(&ours).filter(|(theirs, ours)| pick(**theirs, **ours)).count()
            };
            let (their_robust, our_robust) = (count(|theirs, _| theirs), count(|_, ours| ours));
            let (only_they, only_we) =
                (count(|theirs, ours| !theirs && ours), count(|theirs, ours| theirs && !ours));
            println!(
                "{:18} {norm:4} eps {eps:<8.5} robust of {total}: theirs {their_robust:3} ours {our_robust:3}; \
                 broken by them only {only_they}, by us only {only_we}; {seconds:.1} s",
                self.name
            );
            let case = format!("{} {norm} {eps}", self.name);
            // Beyond half a point: two samples of this model, the other one percent that is allowed below.
            let spare = usize::from(self.name == "mnist_net_256x2");
            let allowed = (total / 200).max(1) + spare;
            assert!(our_robust <= their_robust + allowed, "{case}: ours is weaker");
            assert!(only_they <= (total / 100).max(1), "{case}: {only_they} left unbroken");
        }
    }
}

/// On the models that take seconds.
#[test]
fn auto_attack_breaks_what_the_authors_breaks() {
    for name in ["cifar_marabou_small", "mnist2x10", "mnist5x20_leaky", "mnist_net_256x2"] {
        let Some(case) = Case::load(name) else { return };
        case.compare_auto_attack();
    }
}

/// On the others, which take minutes: run it with `-- --ignored` after a change of the attacks.
#[test]
#[ignore = "half an hour: for a change of the attacks; its quick twin runs"]
fn auto_attack_breaks_what_the_authors_breaks_on_larger_models() {
    for name in [
        "cifar_base_kw",
        "cifar_resnet_2b",
        "cifar_sri_resnet_a",
        "mnist_cnn_avgpool",
        "mnist_cnn_max3",
    ] {
        let Some(case) = Case::load(name) else { return };
        case.compare_auto_attack();
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
    for name in names {
        Case::load(&name).unwrap().compare();
    }
}
