//! The gradient audit, on functions whose gradients are known and on a model file.

mod common;

use std::sync::Arc;

use common::fixture::Fixture;
use common::values;
use ironbound::{
    Aim, AuditOptions, Batch, Classifier, CrossEntropy, Error, GradientAudit, Loss, LossGradient,
    Margin, Model, ModelInfo, Result, audit_gradient,
};

const FEATURES: usize = 6;
const HIDDEN: usize = 8;
const CLASSES: usize = 3;

/// `z = scale * V a(W x + b) + offset`, with a gradient that can be spoilt.
#[derive(Clone, Debug)]
struct Net {
    info: ModelInfo,
    /// The activation and its derivative.
    activation: [fn(f32) -> f32; 2],
    bias: f32,
    scale: f32,
    offset: f32,
    spoil: fn(&mut [f32]),
}

impl Net {
    fn new(activation: [fn(f32) -> f32; 2]) -> Self {
        let info = ModelInfo { shape: vec![FEATURES], classes: CLASSES, ..ModelInfo::default() };
        Self { info, activation, bias: 0.1, scale: 1.0, offset: 0.0, spoil: |_| {} }
    }

    fn tanh() -> Self {
        Self::new([f32::tanh, |u| 1.0 - u.tanh().powi(2)])
    }

    fn relu() -> Self {
        Self::new([|u| u.max(0.0), |u| f32::from(u > 0.0)])
    }

    fn spoilt(self, spoil: fn(&mut [f32])) -> Self {
        Self { spoil, ..self }
    }

    fn before(&self, x: &[f32], unit: usize) -> f32 {
        let weights = first(unit);
        self.bias + weights.iter().zip(x).map(|(w, x)| w * x).sum::<f32>()
    }

    fn row(&self, x: &[f32]) -> Vec<f32> {
        let hidden: Vec<f32> =
            (0..HIDDEN).map(|unit| self.activation[0](self.before(x, unit))).collect();
        let logit = |class| {
            let sum: f32 = hidden.iter().enumerate().map(|(u, a)| second(class, u) * a).sum();
            self.scale * sum + self.offset
        };
        (0..CLASSES).map(logit).collect()
    }
}

fn first(unit: usize) -> Vec<f32> {
    (0..FEATURES).map(|i| ((unit * FEATURES + i) as f32 * 1.7 + 0.3).sin()).collect()
}

fn second(class: usize, unit: usize) -> f32 {
    ((class * HIDDEN + unit) as f32 * 2.3 + 1.1).cos()
}

impl Classifier for Net {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn preferred_batch(&self) -> usize {
        4
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        *logits = batch.inputs.chunks_exact(FEATURES).flat_map(|x| self.row(x)).collect();
        Ok(())
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.logits(batch, &mut out.logits)?;
        (out.loss, out.gradient) = (vec![], vec![]);
        for ((x, z), aim) in
            batch.inputs.chunks_exact(FEATURES).zip(out.logits.chunks_exact(CLASSES)).zip(aims)
        {
            let mut slopes = [0.0; CLASSES];
            out.loss.push(loss.value_and_gradient(z, *aim, &mut slopes));
            let mut gradient = vec![0.0; FEATURES];
            for unit in 0..HIDDEN {
                let up: f32 = (0..CLASSES).map(|class| slopes[class] * second(class, unit)).sum();
                let up = self.scale * up * self.activation[1](self.before(x, unit));
                gradient.iter_mut().zip(first(unit)).for_each(|(g, w)| *g += up * w);
            }
            (self.spoil)(&mut gradient);
            out.gradient.extend(gradient);
        }
        Ok(())
    }
}

fn losses() -> [Arc<dyn Loss>; 2] {
    [Arc::new(CrossEntropy), Arc::new(Margin)]
}

fn audit_of(
    model: &dyn Classifier,
    inputs: &[f32],
    loss: &Arc<dyn Loss>,
    options: &AuditOptions,
) -> Result<GradientAudit> {
    let samples = inputs.len() / model.features();
    let aims: Vec<Aim> =
        (0..samples).map(|sample| Aim::untargeted(sample % model.classes())).collect();
    audit_gradient(model, inputs, &aims, loss, options)
}

fn audit(model: &dyn Classifier, inputs: &[f32]) -> GradientAudit {
    audit_of(model, inputs, &losses()[0], &AuditOptions::default()).expect("an audit")
}

#[track_caller]
fn agrees(audit: &GradientAudit, samples: usize, directions: usize) {
    assert!(audit.worst_relative_error <= 1e-3, "{audit:?}");
    assert!(audit.median_relative_error <= audit.worst_relative_error, "{audit:?}");
    let counts = (audit.samples, audit.directions, audit.kinks, audit.zero);
    assert_eq!(counts, (samples, directions, 0, 0), "{audit:?}");
    assert!(audit.worst_sample.is_some());
}

#[test]
fn a_smooth_model_agrees() {
    for loss in losses() {
        for spread in [1e-2, 1.0, 3.0] {
            for (scale, offset) in [(1.0, 0.0), (1.0, 20.0), (10.0, 0.0), (0.01, 0.0)] {
                let net = Net { scale, offset, ..Net::tanh() };
                let inputs: Vec<f32> =
                    values(FEATURES * 20).iter().map(|x| (x - 0.5) * spread).collect();
                let audit = audit_of(&net, &inputs, &loss, &AuditOptions::default()).unwrap();
                println!("{} {spread} {scale} {offset} {audit:?}", loss.name());
                agrees(&audit, 20, 80);
            }
        }
    }
}

#[test]
fn the_origin_can_be_audited() {
    agrees(&audit(&Net::tanh(), &[0.0; FEATURES]), 1, 4);
}

#[test]
fn a_relu_network_agrees_away_from_its_kinks() {
    for loss in losses() {
        let audit = audit_of(&Net::relu(), &values(FEATURES * 50), &loss, &AuditOptions::default())
            .unwrap();
        println!("{audit:?}");
        assert!(audit.worst_relative_error <= 1e-3, "{audit:?}");
        assert!(audit.kinks <= 1 && audit.directions >= 196, "{audit:?}");
    }
}

#[test]
fn samples_on_a_kink_are_counted_and_left_out() {
    // Without a bias every unit has its kink at the origin.
    let net = Net { bias: 0.0, ..Net::relu() };
    let audit_of_origin = audit(&net, &[0.0; FEATURES]);
    let expected = GradientAudit { samples: 1, kinks: 1, ..GradientAudit::default() };
    assert_eq!(audit_of_origin, expected);

    // Moved along its first weights onto the kink of the first unit, as near as f32 allows.
    let (net, weights) = (Net::relu(), first(0));
    let square: f32 = weights.iter().map(|w| w * w).sum();
    let mut inputs = values(FEATURES * 20);
    for x in inputs.chunks_exact_mut(FEATURES) {
        for _ in 0..3 {
            let by = net.before(x, 0) / square;
            x.iter_mut().zip(&weights).for_each(|(x, w)| *x -= by * w);
        }
        assert!(net.before(x, 0).abs() < 1e-6);
    }
    let audit = audit(&net, &inputs);
    println!("{audit:?}");
    assert!(audit.kinks >= 18, "{audit:?}");
    assert!(audit.worst_relative_error <= 1e-3, "{audit:?}");
}

#[test]
fn the_margins_own_kink_is_one() {
    // At the tie of its two rivals, logit 0 being the label's.
    #[derive(Debug)]
    struct Tie(ModelInfo);
    impl Classifier for Tie {
        fn info(&self) -> &ModelInfo {
            &self.0
        }
        fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
            *logits = batch.inputs.to_vec();
            Ok(())
        }
        fn loss_and_gradient(
            &self,
            batch: Batch<'_>,
            aims: &[Aim],
            loss: &Arc<dyn Loss>,
            out: &mut LossGradient,
        ) -> Result<()> {
            out.logits = batch.inputs.to_vec();
            out.gradient = vec![0.0; batch.inputs.len()];
            out.loss = vec![loss.value_and_gradient(batch.inputs, aims[0], &mut out.gradient)];
            Ok(())
        }
    }
    let tie = Tie(ModelInfo { shape: vec![3], classes: 3, ..ModelInfo::default() });
    let [smooth, margin] = losses();
    let options = AuditOptions::default();
    let audit = audit_of(&tie, &[1.0, 0.5, 0.5], &margin, &options).unwrap();
    assert_eq!((audit.kinks, audit.directions), (1, 0), "{audit:?}");
    agrees(&audit_of(&tie, &[1.0, 0.5, 0.5], &smooth, &options).unwrap(), 1, 4);
    agrees(&audit_of(&tie, &[1.0, 0.5, 0.25], &margin, &options).unwrap(), 1, 4);
}

#[test]
fn wrong_gradients_are_found() {
    let inputs = values(FEATURES * 20);
    for net in [Net::tanh(), Net::relu()] {
        let scaled = audit(&net.clone().spoilt(|g| g.iter_mut().for_each(|g| *g *= 1.1)), &inputs);
        assert!((scaled.worst_relative_error - 1.0 / 11.0).abs() < 5e-3, "{scaled:?}");

        let negated = audit(&net.clone().spoilt(|g| g[2] = -g[2]), &inputs);
        assert!(negated.worst_relative_error > 0.5, "{negated:?}");
        assert!(negated.median_relative_error > 0.05, "{negated:?}");

        let huge = audit(&net.clone().spoilt(|g| g.iter_mut().for_each(|g| *g *= 1e6)), &inputs);
        assert!(huge.worst_relative_error > 0.99 && huge.kinks == 0, "{huge:?}");

        let zeroed = audit(&net.spoilt(|g| g.fill(0.0)), &inputs);
        assert_eq!((zeroed.worst_relative_error, zeroed.zero), (1.0, 0), "{zeroed:?}");
        assert_eq!((zeroed.median_relative_error, zeroed.worst_sample), (1.0, Some(0)));
    }
}

#[test]
fn the_worst_sample_is_named() {
    let net = Net::tanh().spoilt(|g| {
        if g[0] < 0.0 {
            g.iter_mut().for_each(|g| *g *= 2.0);
        }
    });
    let inputs = values(FEATURES * 10);
    let mut out = LossGradient::default();
    let aims: Vec<Aim> = (0..10).map(|sample| Aim::untargeted(sample % CLASSES)).collect();
    Net::tanh().loss_and_gradient(inputs[..].into(), &aims, &losses()[0], &mut out).unwrap();
    let worst = audit(&net, &inputs).worst_sample.unwrap();
    assert!(out.gradient[worst * FEATURES] < 0.0, "{worst}");
}

#[test]
fn constant_and_dead_models_are_zero() {
    let zeros = GradientAudit { samples: 5, zero: 5, ..GradientAudit::default() };
    let inputs = values(FEATURES * 5);
    let constant = Net { offset: 3.0, ..Net::new([|_| 1.0, |_| 0.0]) };
    let dead = Net { bias: -1e3, ..Net::relu() };
    for net in [constant, dead] {
        assert_eq!(audit(&net, &inputs), zeros);
    }
    // Differences that are all rounding.
    let noisy = Net::new([|u| 1.0 + 2.0 * f32::EPSILON * (u * 1e6).sin().round(), |_| 0.0]);
    assert_eq!(audit(&noisy, &inputs), zeros);
}

#[test]
fn what_is_not_finite_is_refused_by_name() {
    let mut inputs = values(FEATURES * 3);
    inputs[FEATURES * 2..].fill(100.0);
    let edge = |u: f32| if u.abs() > 50.0 { f32::NAN } else { u };
    let error = |net: &Net| {
        audit_of(net, &inputs, &losses()[0], &AuditOptions::default()).expect_err("not finite")
    };
    let logits = error(&Net::new([edge, |_| 1.0]));
    assert!(matches!(logits, Error::NonFiniteLogit { sample: 2, class: 0, .. }), "{logits}");
    let gradient = error(&Net::tanh().spoilt(|g| g[4] = f32::INFINITY));
    assert!(
        matches!(gradient, Error::NonFiniteGradient { sample: 0, feature: 4, .. }),
        "{gradient}"
    );
    assert!(gradient.to_string().contains("sample 0: the gradient of feature 4 is inf"));
    inputs[7] = f32::NAN;
    let input = audit_of(&Net::tanh(), &inputs, &losses()[0], &AuditOptions::default());
    assert!(input.expect_err("NaN").to_string().contains("sample 1: feature 1 is NaN"));
}

#[test]
fn widths_that_leave_the_domain_are_done_without() {
    // The logarithm has none below zero; the widest moves get there.
    let net = Net { bias: 3.0, ..Net::new([f32::ln, |u| 1.0 / u]) };
    let near: Vec<f32> = values(FEATURES).iter().map(|x| x * 0.5).collect();
    let lowest = (0..HIDDEN).map(|unit| net.before(&near, unit)).fold(f32::INFINITY, f32::min);
    let net = Net { bias: 3.0 - lowest + 0.05, ..net };
    agrees(&audit(&net, &near), 1, 4);
}

#[test]
fn what_does_not_fit_is_refused() {
    let options = AuditOptions::default();
    let loss = &losses()[0];
    let refused = |inputs: &[f32], aims: &[Aim], options: &AuditOptions, words: &str| {
        let error = audit_gradient(&Net::tanh(), inputs, aims, loss, options).expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
    };
    let aim = Aim::untargeted(0);
    refused(&[0.0; 7], &[aim], &options, "7 values and 1 aims");
    refused(&[0.0; 12], &[aim], &options, "12 values and 1 aims");
    refused(&[0.0; 6], &[Aim::targeted(0, 3)], &options, "class 3");
    let none = AuditOptions { directions: 0, ..AuditOptions::default() };
    refused(&[0.0; 6], &[aim], &none, "`directions` is 0");
    for tolerance in [0.0, 1.0, -1.0, f64::NAN] {
        let wrong = AuditOptions { tolerance, ..AuditOptions::default() };
        refused(&[0.0; 6], &[aim], &wrong, "`tolerance`");
    }
    let nothing = audit_gradient(&Net::tanh(), &[][..], &[], loss, &options).unwrap();
    assert_eq!(nothing, GradientAudit::default());
}

#[test]
fn one_seed_gives_one_result() {
    let inputs = values(FEATURES * 5);
    let with = |seed| {
        let options = AuditOptions { seed, directions: 3, ..AuditOptions::default() };
        audit_of(&Net::tanh(), &inputs, &losses()[0], &options).unwrap()
    };
    assert_eq!(with(7), with(7));
    assert_ne!(with(7), with(8));
    assert_eq!(with(7).directions, 15);
}

#[test]
fn options_and_audits_have_a_serial_form() {
    let options: AuditOptions = serde_json::from_str(r#"{"directions": 2}"#).unwrap();
    assert_eq!(options, AuditOptions { directions: 2, ..AuditOptions::default() });
    let audit = serde_json::to_value(GradientAudit::default()).unwrap();
    assert_eq!(audit["worst_sample"], serde_json::Value::Null);
    assert_eq!(audit["kinks"], 0);
}

#[test]
fn a_model_file_agrees() {
    let weights = [0.5, -1.0, 2.0, 0.25, -0.75, 1.5];
    for tail in ["Identity", "Softmax"] {
        let bytes = Fixture::linear("N", &weights, tail).bytes();
        let model = Model::from_bytes(&bytes, "fixture").unwrap();
        for loss in losses() {
            let inputs = values(3 * 20);
            let audit = audit_of(&model, &inputs, &loss, &AuditOptions::default()).unwrap();
            println!("{audit:?}");
            agrees(&audit, 20, 80);
        }
    }
}
