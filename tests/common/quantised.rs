//! Quantised graphs against references in f64.

use std::sync::Arc;

use ironbound::tract_onnx::pb::tensor_proto::DataType::{self, Int8};
use ironbound::{Aim, Classifier, Loss, LossGradient, Model, ModelOptions};

use super::fixture::Fixture;

/// A generic weighting of the outputs.
#[derive(Debug)]
pub struct Weighted;

pub fn weight(at: usize) -> f64 {
    (1.7 * at as f64 + 0.6).sin() + 0.2
}

impl Loss for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn value_and_gradient(&self, logits: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        gradient.iter_mut().enumerate().for_each(|(at, g)| *g = weight(at) as f32);
        logits.iter().enumerate().map(|(at, z)| weight(at) as f32 * z).sum()
    }
}

/// How a reference treats what the operators round.
pub type Round<'a> = &'a dyn Fn(f64) -> f64;

/// x / scale + zero point in the range of a type.
pub fn quantise(x: f64, scale: f64, zero: i32, dt: DataType, round: Round<'_>) -> f64 {
    let (low, high) = if dt == Int8 { (-128.0, 127.0) } else { (0.0, 255.0) };
    (round(x / scale) + f64::from(zero)).clamp(low, high)
}

pub fn dequantise(q: f64, scale: f64, zero: i32) -> f64 {
    (q - f64::from(zero)) * scale
}

/// Generic samples in [`low`, `high`], clear of the halves where rounding would hang on the last bit.
pub fn values(len: usize, low: f64, high: f64) -> Vec<f64> {
    let part = |i: usize| ((i as f64 + 1.0) * 0.618_033_988_749_895).fract();
    (0..len).map(|i| f64::from((low + (high - low) * part(i)) as f32)).collect()
}

pub fn levels(len: usize, low: i32, high: i32) -> Vec<i32> {
    values(len, f64::from(low), f64::from(high)).iter().map(|x| x.round() as i32).collect()
}

pub fn f64s(values: &[i32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

pub fn load(fixture: &Fixture, through: &[&str]) -> Model {
    let straight_through = through.iter().map(|entry| (*entry).into()).collect();
    let options = ModelOptions { straight_through, ..ModelOptions::default() };
    Model::from_bytes_with(&fixture.clone().bytes(), "fixture.onnx", &options).unwrap()
}

pub fn gradient(model: &Model, x: &[f64]) -> Vec<f32> {
    let x: Vec<f32> = x.iter().map(|x| *x as f32).collect();
    let loss: Arc<dyn Loss> = Arc::new(Weighted);
    let mut out = LossGradient::default();
    Classifier::loss_and_gradient(model, x[..].into(), &[Aim::untargeted(0)], &loss, &mut out)
        .unwrap();
    out.gradient
}

/// Checks one sample of a graph against `reference`, which gives the outputs.
pub fn check(
    what: &str,
    fixture: &Fixture,
    x: &[f64],
    reference: impl Fn(&[f64], Round<'_>) -> Vec<f64>,
) {
    let (exact, through) = (load(fixture, &[]), load(fixture, &["all"]));
    let expected = reference(x, &|x| x.round_ties_even());
    for model in [&exact, &through] {
        let mut logits = vec![];
        let inputs: Vec<f32> = x.iter().map(|x| *x as f32).collect();
        Classifier::logits(model, inputs[..].into(), &mut logits).unwrap();
        assert_eq!(logits.len(), expected.len(), "{what}: outputs");
        for (at, (found, expected)) in logits.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error <= 1e-4 * expected.abs().max(1.0),
                "{what}, output {at}: {found}, not {expected}\n{logits:?}"
            );
        }
    }
    assert!(gradient(&exact, x).iter().all(|g| *g == 0.0), "{what}: an exact gradient");
    assert!(!exact.gradient_cuts().unwrap().is_empty(), "{what}: nothing cuts");
    assert!(through.gradient_cuts().unwrap().is_empty(), "{what}: {:?}", through.gradient_cuts());
    let found = gradient(&through, x);
    let objective = |x: &[f64]| -> f64 {
        reference(x, &|x| x).iter().enumerate().map(|(at, y)| weight(at) * y).sum()
    };
    let mut nonzero = 0;
    for at in 0..x.len() {
        let side = |by: f64| {
            let mut x = x.to_vec();
            x[at] += by;
            objective(&x)
        };
        let expected = (side(1e-5) - side(-1e-5)) / 2e-5;
        nonzero += usize::from(expected != 0.0);
        let error = (f64::from(found[at]) - expected).abs();
        assert!(
            error <= 1e-3 * expected.abs().max(1e-2),
            "{what}, feature {at}: {}, not {expected}\n{found:?}",
            found[at]
        );
    }
    assert!(nonzero * 4 >= x.len(), "{what}: {nonzero} of {} slopes", x.len());
}

pub const SCALE: f64 = 0.05_f32 as f64;

/// A `QuantizeLinear` of `x`, per tensor, into `q`; `scale` and `zero` are its parameters.
pub fn quantised_input(dims: &[&str], dt: DataType, zero: i32) -> Fixture {
    Fixture::default()
        .input("x", dims)
        .floats("scale", &[], &[SCALE as f32])
        .integers("zero", &[], &[zero], dt)
        .node("QuantizeLinear", &["x", "scale", "zero"], "q", &[])
}
