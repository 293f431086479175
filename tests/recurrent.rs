//! Recurrent classifiers against PyTorch: `tests/data/recurrent.py` made the files.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{npz, shared};
use ironbound::tract_onnx::pb::{ModelProto, TensorProto, tensor_proto};
use ironbound::{Aim, Classifier, CrossEntropy, Loss, LossGradient, Model, ModelOptions};
use prost::Message;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recurrent")
}

fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let models = files.filter(|path| path.extension().is_some_and(|ending| ending == "onnx"));
    let mut names: Vec<String> =
        models.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    assert!(names.len() >= 20, "{names:?}");
    names
}

fn load(name: &str, plan_batch: Option<usize>) -> Box<dyn Classifier> {
    let options = ModelOptions { plan_batch, ..ModelOptions::default() };
    let model = Model::load_with(folder().join(format!("{name}.onnx")), &options);
    Box::new(model.unwrap_or_else(|error| panic!("{name}: {}", error.one_line())))
}

/// The largest difference, relative to the largest expected value.
fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let pairs = found.iter().zip(expected);
    pairs.map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max) / largest
}

/// Runs every sample, all together, and compares with PyTorch.
fn compare(name: &str, plan_batch: Option<usize>) {
    let torch = npz::read(&folder().join(format!("{name}.npz")));
    let model = load(name, plan_batch);
    let (x, labels) = (torch["x"].floats(), torch["labels"].classes());
    let aims: Vec<Aim> = labels.into_iter().map(Aim::untargeted).collect();
    let loss: Arc<dyn Loss> = Arc::new(CrossEntropy);
    let mut logits = vec![];
    let mut out = LossGradient::default();
    // Twice: a loop must not go on where the last run left it.
    for _ in 0..2 {
        model.logits(x[..].into(), &mut logits).unwrap();
        model
            .loss_and_gradient(x[..].into(), &aims, &loss, &mut out)
            .unwrap_or_else(|error| panic!("{name}: {}", error.one_line()));
        let distances = [
            distance(&logits, &torch["logits"].values),
            distance(&out.logits, &torch["logits"].values),
            distance(&out.gradient, &torch["gradient"].values),
        ];
        let [forward, logits, gradient] = distances;
        println!(
            "{name:22} {plan_batch:?}: logits {forward:.1e}, {logits:.1e}, gradient {gradient:.1e}"
        );
        assert!(distances.iter().all(|distance| *distance <= 1e-5), "{name}: {distances:?}");
    }
    assert_eq!(model.preferred_batch(), plan_batch.unwrap_or(16), "{name}: {:?}", model.notes());
}

#[test]
fn gradients_are_those_of_pytorch() {
    names().iter().for_each(|name| compare(name, None));
}

#[test]
fn one_sample_at_a_time() {
    names().iter().for_each(|name| compare(name, Some(1)));
}

#[test]
fn a_sample_does_not_remember_the_one_before() {
    for name in names() {
        let x = npz::read(&folder().join(format!("{name}.npz")))["x"].floats();
        let model = load(&name, Some(1));
        let features = model.features();
        let (mut first, mut again, mut other) = (vec![], vec![], vec![]);
        model.logits(x[..features].into(), &mut first).unwrap();
        model.logits(x[features..2 * features].into(), &mut other).unwrap();
        model.logits(x[..features].into(), &mut again).unwrap();
        assert_eq!(first, again, "{name}");
        assert_ne!(first, other, "{name}");
    }
}

/// `sum w * z`.
#[derive(Debug)]
struct Projection(Vec<f64>);

impl Loss for Projection {
    fn name(&self) -> &str {
        "projection"
    }

    fn value_and_gradient(&self, logits: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        let products = gradient.iter_mut().zip(logits).zip(&self.0).map(|((slope, z), w)| {
            *slope = *w as f32;
            w * f64::from(*z)
        });
        products.sum::<f64>() as f32
    }
}

/// An LSTM from TensorFlow whose second input, a threshold behind the logits, becomes a constant.
#[test]
fn a_gesture_classifier_agrees_with_its_oracle() {
    let Some(path) = shared("reference/models/gesture_history_lstm.onnx") else { return };
    let Some(oracle) = shared("reference/gradients/gesture_history_lstm.npz") else { return };
    let mut proto = ModelProto::decode(&*std::fs::read(path).unwrap()).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    graph.input.retain(|input| input.name != "score_threshold");
    graph.initializer.push(TensorProto {
        name: "score_threshold".into(),
        data_type: tensor_proto::DataType::Float as i32,
        float_data: vec![0.5],
        ..TensorProto::default()
    });
    let oracle = npz::read(&oracle);
    let (x, y) = (oracle["x"].floats(), &oracle["y"].values);
    for plan_batch in [1, 8] {
        let options = ModelOptions {
            output: oracle["stop"].text.clone(),
            plan_batch: Some(plan_batch),
            ..ModelOptions::default()
        };
        let model = Model::from_bytes_with(&proto.encode_to_vec(), "gesture", &options).unwrap();
        let mut all = vec![];
        let mut out = LossGradient::default();
        for (sample, weights) in oracle["w"].values.chunks_exact(4).enumerate() {
            let loss: Arc<dyn Loss> = Arc::new(Projection(weights.to_vec()));
            let input = &x[sample * 32..][..32];
            let aims = [Aim::untargeted(0)];
            Classifier::loss_and_gradient(&model, input.into(), &aims, &loss, &mut out).unwrap();
            assert!(distance(&out.logits, &y[sample * 4..][..4]) <= 1e-5);
            all.extend_from_slice(&out.gradient);
        }
        let distance = distance(&all, &oracle["g"].values);
        println!("plans of {plan_batch}: gradient {distance:.1e}");
        assert!(distance <= 1e-5);
    }
}
