//! A quantised model: exact gradients are zero, straight-through ones break it as those of the float model would.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use ironbound::attack::Pgd;
use ironbound::evaluate::Fate;
use ironbound::{
    Classifier, Dataset, Evaluation, Model, ModelOptions, Norm, Results, Threat, argmax,
};

/// What onnxruntime classifies correctly of `digits_test.npz`, as `quantize_digits.py` prints it.
const RIGHT: usize = 352;
/// Its logits of the first image, from the same script.
const LOGITS: [f32; 10] = [
    -6.41746, -9.85539, -3.43793, -2.29195, -0.68759, -4.5839, -18.794, 14.21009, 2.75034, 0.91678,
];
/// One level of the logits.
const LEVEL: f32 = 0.229_195;

fn model(through: &[&str]) -> Model {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_cnn_int8.onnx");
    let straight_through = through.iter().map(|entry| (*entry).into()).collect();
    Model::load_with(path, &ModelOptions { straight_through, ..ModelOptions::default() }).unwrap()
}

fn data() -> Dataset {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_test.npz");
    Dataset::from_npz(path).unwrap()
}

/// PGD from the images themselves, within 0.1.
fn attacked(model: &Model, data: &Dataset) -> Results {
    let pgd = Pgd { random_start: false, ..Pgd::default() };
    Evaluation::new(model, data).threat(Threat::new(Norm::Linf, 0.1)).attack(pgd).run().unwrap()
}

fn broken(results: &Results) -> usize {
    results.rows[0].fates().iter().filter(|fate| **fate == Fate::Broken).count()
}

#[test]
fn it_runs_as_onnxruntime_runs_it() {
    let (model, data) = (model(&[]), data());
    let mut logits = vec![];
    Classifier::logits(&model, data.values().into(), &mut logits).unwrap();
    for (found, expected) in logits.iter().zip(LOGITS) {
        assert!((found - expected).abs() < 0.01 * LEVEL, "{found}, not {expected}");
    }
    let predicted = logits.chunks_exact(10).map(argmax);
    let right = predicted.zip(data.labels()).filter(|(found, label)| found == *label).count();
    assert_eq!(right, RIGHT);
}

#[test]
fn its_rounding_cuts_every_gradient() {
    let names = |through: &[&str]| -> Vec<String> {
        let cuts = model(through).gradient_cuts().unwrap();
        assert!(cuts.iter().all(|(_, kind)| kind == "QuantizeLinear"), "{cuts:?}");
        cuts.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&[]), ["logits_QuantizeLinear"]);
    // Between the pool and the flattening, tract makes one table of a DequantizeLinear and a QuantizeLinear.
    let last = ["logits_QuantizeLinear", "relu3_QuantizeLinear"];
    assert_eq!(names(&last), ["flatten_QuantizeLinear"]);
    assert_eq!(names(&[&last[..], &["flatten_QuantizeLinear"]].concat()), ["pool_QuantizeLinear"]);
    assert!(names(&["QuantizeLinear"]).is_empty());
}

#[test]
fn only_straight_through_gradients_break_it() {
    let data = data();
    let (exact, through) = (model(&[]), model(&["QuantizeLinear"]));
    let results = attacked(&exact, &data);
    let gradients: u64 = results.rows[0].attempts.iter().map(|attempt| attempt.backward).sum();
    let zero: u64 = results.rows[0].attempts.iter().map(|attempt| attempt.zero_gradients).sum();
    // Where a gradient is zero the steps are random, which a few samples do not stand. The gradient of a query that
    // breaks its sample is not stepped along.
    let stumbled = broken(&results);
    assert!(stumbled <= 5, "{stumbled}");
    let unused = gradients - zero;
    assert!(zero > 0 && unused <= stumbled as u64, "{zero} of {gradients} gradients are zero");

    let results = attacked(&through, &data);
    assert!(results.rows[0].attempts.iter().all(|attempt| attempt.zero_gradients == 0));
    let broken_through = broken(&results);

    let float =
        Model::load(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_cnn_plain.onnx"))
            .unwrap();
    let transferred = attacked(&float, &data).rows[0]
        .attempts
        .iter()
        .zip(data.labels())
        .filter(|(attempt, label)| {
            attempt.adversarial.as_ref().is_some_and(|adversarial| {
                let mut logits = vec![];
                Classifier::logits(&exact, adversarial.point[..].into(), &mut logits).unwrap();
                argmax(&logits) != **label
            })
        })
        .count();
    println!("random {stumbled}, transferred {transferred}, straight through {broken_through}");
    assert!(transferred > 20 * stumbled.max(1) && broken_through >= transferred);
}
