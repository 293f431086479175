//! Gradients of ONNX's element-wise operators, as tract's importer leaves them, against closed forms in f64.

mod common;

use std::sync::Arc;

use common::fixture::{Fixture, float};
use ironbound::tract_onnx::pb::AttributeProto;
use ironbound::{Aim, Classifier, Loss, LossGradient, Model};

/// The sum of the outputs.
#[derive(Debug)]
struct Total;

impl Loss for Total {
    fn name(&self) -> &'static str {
        "total"
    }

    fn value_and_gradient(&self, logits: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        gradient.fill(1.0);
        logits.iter().sum()
    }
}

struct Case {
    op: &'static str,
    attributes: Vec<AttributeProto>,
    function: fn(f64) -> f64,
    at: &'static [f64],
}

fn case(op: &'static str, function: fn(f64) -> f64, at: &'static [f64]) -> Case {
    Case { op, attributes: vec![], function, at }
}

impl Case {
    fn with(mut self, name: &str, value: f32) -> Self {
        self.attributes.push(float(name, value));
        self
    }
}

const ANY: &[f64] = &[-30.3, -3.7, -1.2, -0.4, -0.01, 0.02, 0.3, 0.9, 2.6, 7.1];
const FAR: &[f64] = &[-200.0, -90.0, -20.0, -1.0, 1.0, 20.0, 90.0, 200.0];
const POSITIVE: &[f64] = &[0.01, 0.2, 0.7, 1.3, 2.0, 9.0];
const UNIT: &[f64] = &[-0.95, -0.6, -0.1, 0.05, 0.5, 0.9];

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn elu(x: f64) -> f64 {
    if x > 0.0 { x } else { 0.7 * x.exp_m1() }
}

fn selu(x: f64) -> f64 {
    1.050_700_987 * if x > 0.0 { x } else { 1.673_263_242 * x.exp_m1() }
}

fn table() -> Vec<Case> {
    vec![
        case("Abs", f64::abs, ANY),
        case("Acos", f64::acos, UNIT),
        case("Acosh", f64::acosh, &[1.1, 1.5, 3.0]),
        case("Asin", f64::asin, UNIT),
        case("Asinh", f64::asinh, ANY),
        case("Atan", f64::atan, ANY),
        case("Atanh", f64::atanh, UNIT),
        case("Ceil", f64::ceil, ANY),
        case("Celu", |x| x.max(0.0) + x.exp_m1().min(0.0), ANY).with("alpha", 1.0),
        case("Cos", f64::cos, ANY),
        case("Cosh", f64::cosh, UNIT),
        case("Elu", elu, ANY).with("alpha", 0.7),
        case("Elu", elu, FAR).with("alpha", 0.7),
        case("Exp", f64::exp, UNIT),
        case("Floor", f64::floor, ANY),
        case("HardSigmoid", |x| (0.2 * x + 0.5).clamp(0.0, 1.0), ANY),
        case("HardSwish", |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0), ANY),
        case("LeakyRelu", |x| x.max(0.1 * x), ANY).with("alpha", 0.1),
        case("Log", f64::ln, POSITIVE),
        case("Mish", |x| x * softplus(x).tanh(), &[-8.0, -1.2, -0.4, 0.3, 0.9, 2.6]),
        case("Neg", |x| -x, ANY),
        case("Reciprocal", f64::recip, POSITIVE),
        case("Relu", |x| x.max(0.0), ANY),
        case("Round", f64::round, &[-1.2, 0.3, 0.8]),
        case("Selu", selu, ANY),
        case("Selu", selu, FAR),
        case("Sigmoid", sigmoid, ANY),
        case("Sigmoid", sigmoid, FAR),
        case("Sign", f64::signum, ANY),
        case("Sin", f64::sin, ANY),
        case("Sinh", f64::sinh, UNIT),
        case("Softplus", softplus, ANY),
        case("Softsign", |x| x / (1.0 + x.abs()), ANY),
        case("Sqrt", f64::sqrt, POSITIVE),
        case("Tan", f64::tan, UNIT),
        case("Tanh", f64::tanh, ANY),
        case("Tanh", f64::tanh, FAR),
        case("ThresholdedRelu", |x| if x > 0.5 { x } else { 0.0 }, ANY).with("alpha", 0.5),
    ]
}

#[test]
fn element_wise_operators() {
    let total: Arc<dyn Loss> = Arc::new(Total);
    for case in table() {
        let len = case.at.len().to_string();
        // Two scalings keep a sigmoid from being the graph's last node, which would be bypassed.
        let fixture = Fixture::default()
            .input("x", &["N", &len])
            .floats("half", &[1], &[0.5])
            .node(case.op, &["x"], "z", &case.attributes)
            .node("Mul", &["z", "half"], "y", &[])
            .output("y", &["N", &len]);
        let model = Model::from_bytes(&fixture.bytes(), case.op)
            .unwrap_or_else(|error| panic!("{}", error.one_line()));
        let inputs: Vec<f32> = case.at.iter().map(|x| *x as f32).collect();
        let mut out = LossGradient::default();
        Classifier::loss_and_gradient(
            &model,
            inputs[..].into(),
            &[Aim::untargeted(0)],
            &total,
            &mut out,
        )
        .unwrap_or_else(|error| panic!("{}", error.one_line()));
        for (x, slope) in case.at.iter().zip(&out.gradient) {
            let width = 1e-6 * x.abs().max(1e-3);
            let expected =
                0.5 * ((case.function)(x + width) - (case.function)(x - width)) / (2.0 * width);
            let error = (f64::from(*slope) - expected).abs();
            assert!(
                error <= 2e-5 + 2e-4 * expected.abs(),
                "{} at {x}: {slope}, not {expected}",
                case.op
            );
        }
    }
}

#[test]
fn clips_and_parametric_relus() {
    let total: Arc<dyn Loss> = Arc::new(Total);
    let fixture = Fixture::default()
        .input("x", &["N", "6"])
        .floats("low", &[], &[-1.0])
        .floats("high", &[], &[2.0])
        .floats("slope", &[1], &[0.25])
        .node("Clip", &["x", "low", "high"], "c", &[])
        .node("PRelu", &["c", "slope"], "y", &[])
        .output("y", &["N", "6"]);
    let model = Model::from_bytes(&fixture.bytes(), "clip").unwrap();
    let mut out = LossGradient::default();
    let inputs = [-3.0, -0.5, 0.5, 1.5, 2.0, 4.0];
    Classifier::loss_and_gradient(
        &model,
        inputs[..].into(),
        &[Aim::untargeted(0)],
        &total,
        &mut out,
    )
    .unwrap();
    assert_eq!(out.gradient, [0.0, 0.25, 1.0, 1.0, 0.0, 0.0]);
}
