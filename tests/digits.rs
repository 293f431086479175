//! The embedded digits model against PyTorch: gradients in f64, and which samples FGSM and PGD break.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::Arc;

use ironbound::attack::{AnyAttack, AttackSpec, Fgsm, Pgd, Transfer};
use ironbound::evaluate::Attempt;
use ironbound::{
    Aim, AuditOptions, Classifier, Dataset, Evaluation, LossGradient, LossKind, Model, Norm,
    Threat, audit_gradient,
};
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("data/digits_reference.json")).unwrap()
}

fn model() -> Model {
    Model::load(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_cnn.onnx")).unwrap()
}

fn data() -> Dataset {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_test.npz");
    Dataset::from_npz(path).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn flags(value: &Value) -> Vec<bool> {
    numbers(value).into_iter().map(|flag| flag > 0.5).collect()
}

#[test]
fn logits_losses_and_gradients_agree_with_f64() {
    let (model, data, reference) = (model(), data(), reference());
    for (index, sample) in reference["samples"].as_array().unwrap().iter().enumerate() {
        let label = sample["label"].as_u64().unwrap() as usize;
        assert_eq!(data.labels()[index], label);
        let mut out = LossGradient::default();
        let loss = LossKind::CrossEntropy.loss();
        let aims = [Aim::untargeted(label)];
        Classifier::loss_and_gradient(&model, data.sample(index).into(), &aims, &loss, &mut out)
            .unwrap();
        let close = |found: &[f32], expected: &[f64], what: &str| {
            let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            for (found, expected) in found.iter().zip(expected) {
                let error = (f64::from(*found) - expected).abs() / largest;
                assert!(error < 2e-5, "sample {index}, {what}: {found}, not {expected}");
            }
        };
        close(&out.logits, &numbers(&sample["logits"]), "logits");
        close(&out.loss, &[sample["cross_entropy"].as_f64().unwrap()], "cross-entropy");
        close(&out.gradient, &numbers(&sample["gradient"]), "gradient");
    }
}

#[test]
fn what_runs_alone_has_the_bits_that_it_has_together() {
    let (fresh, used, data) = (model(), model(), data());
    let loss = LossKind::CrossEntropy.loss();
    let rows = 45;
    let aims: Vec<Aim> =
        data.labels()[..rows].iter().map(|&label| Aim::untargeted(label)).collect();
    let inputs = &data.values()[..rows * data.features()];
    assert!(!used.has_run(false) && !used.has_run(true));
    let (mut together, mut logits) = (LossGradient::default(), vec![]);
    Classifier::logits(&used, inputs.into(), &mut logits).unwrap();
    Classifier::loss_and_gradient(&used, inputs.into(), &aims, &loss, &mut together).unwrap();
    assert!(used.has_run(false) && used.has_run(true) && used.preferred_batch() > 1);
    let (mut judged, mut alone) = (vec![], vec![]);
    used.logits_alone(inputs.into(), &mut judged).unwrap();
    let mut gradient = vec![];
    for (input, aim) in inputs.chunks_exact(data.features()).zip(&aims) {
        let (mut row, mut out) = (vec![], LossGradient::default());
        // It never ran more than one sample, and knows of no batch.
        fresh.logits_alone(input.into(), &mut row).unwrap();
        alone.extend(row);
        Classifier::loss_and_gradient(&used, input.into(), &[*aim], &loss, &mut out).unwrap();
        gradient.extend(out.gradient);
    }
    assert!(!fresh.has_run(false));
    assert_eq!(judged, alone);
    assert_eq!(logits, alone);
    assert_eq!(gradient, together.gradient);
}

#[test]
fn fgsm_and_pgd_break_what_pytorch_breaks() {
    let (model, data, reference) = (model(), data(), reference());
    let results = Evaluation::new(&model, &data)
        .threat(Threat::new(Norm::Linf, 0.1))
        .attack(Fgsm::default())
        .attack(Pgd { random_start: false, ..Pgd::default() })
        .run()
        .unwrap();
    let report = ironbound::Report::new(&results);
    assert_eq!(report.clean.correct, flags(&reference["clean"]));
    for (row, name) in report.attacks.iter().zip(["fgsm", "pgd_best"]) {
        let expected = &reference["attacks"][name];
        assert!(expected["unsettled"].as_array().unwrap().is_empty(), "no flag hangs on rounding");
        assert_eq!(row.robust, flags(&expected["robust"]), "{name}");
        let accuracy = expected["robust_accuracy"].as_f64().unwrap();
        approx::assert_abs_diff_eq!(row.robust_accuracy.unwrap(), accuracy, epsilon = 1e-9);
    }
}

/// Other losses, starts and targets than three restarts of cross-entropy find as much at the same number of steps, but for
/// one sample in a hundred; several losses find no less.
#[test]
fn restarts_that_differ_find_what_repeated_ones_find() {
    let (model, data) = (model(), data());
    let robust = |text: &str| {
        let attack: AttackSpec = text.parse().unwrap();
        let threat = Threat::new(Norm::Linf, 0.15);
        let run = Evaluation::new(&model, &data).threat(threat).attack(attack).preflight(false);
        let report = ironbound::Report::new(&run.run().unwrap());
        report.attacks[0].robust.iter().filter(|robust| **robust).count()
    };
    let plain = robust("pgd:rel_step=0.25,steps=20,restarts=3");
    assert!((100..300).contains(&plain), "{plain}: too few are left to tell apart");
    for (text, slack) in [
        ("pgd:rel_step=0.25,steps=20,losses=cross-entropy+margin+dlr", 0),
        ("pgd:rel_step=0.25,steps=18,restarts=3,odi=2", data.len() / 100),
        ("pgd-t:rel_step=0.25,steps=20,classes=3", data.len() / 100),
    ] {
        let found = robust(text);
        println!("{text}: {found} robust, plain {plain}");
        assert!(found <= plain + slack, "{text}: {found} robust, plain {plain}");
    }
}

/// The median size in L2 of what an attack finds; infinite where it finds nothing.
fn median_distance(model: &Model, data: &Dataset, text: &str) -> f64 {
    let attack: AttackSpec = text.parse().unwrap();
    let threat = Threat::new(Norm::L2, 8.0);
    let run = Evaluation::new(model, data).threat(threat).attack(attack).preflight(false);
    let row = run.run().unwrap().rows.remove(0);
    let size = |attempt: &Attempt| {
        attempt.adversarial.as_ref().map_or(f64::INFINITY, |found| found.distance)
    };
    let mut sizes: Vec<f64> =
        row.attempts.iter().filter(|attempt| attempt.attacked).map(size).collect();
    sizes.sort_by(f64::total_cmp);
    sizes[sizes.len() / 2]
}

/// Decisions alone lead about as near as gradients do.
#[test]
fn decisions_lead_to_the_boundary_that_gradients_find() {
    let (model, data) = (model(), data().subset(0, Some(8)).unwrap());
    let ddn = median_distance(&model, &data, "ddn");
    for (text, factor) in [
        ("hopskipjump", 1.25),
        ("hopskipjump:queries=2000", 1.5),
        ("boundary:queries=2000", 1.5),
        ("geoda:queries=2000", 1.5),
    ] {
        let found = median_distance(&model, &data, text);
        println!("{text}: {found:.4}, DDN {ddn:.4}");
        assert!(found < factor * ddn, "{text}: {found}, DDN {ddn}");
    }
}

/// The share of correctly classified samples that an attack breaks within 0.2 in linf.
fn success(model: &Model, data: &Dataset, attack: impl AnyAttack + 'static) -> f64 {
    let threat = Threat::new(Norm::Linf, 0.2);
    let run = Evaluation::new(model, data).threat(threat).attack(attack).preflight(false);
    let row = run.run().unwrap().rows.remove(0);
    let attacked = row.attempts.iter().filter(|attempt| attempt.attacked).count();
    row.broken() as f64 / attacked as f64
}

/// What fools one of the two digits models fools the other more often than noise does, and less often than its own.
#[test]
fn adversarials_carry_over() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_cnn_plain.onnx");
    let models = [Arc::new(model()), Arc::new(Model::load(path).unwrap())];
    let data = data().subset(0, Some(100)).unwrap();
    for (victim, surrogate) in [(0, 1), (1, 0)] {
        let model = &models[victim];
        let other: Arc<dyn Classifier> = models[surrogate].clone();
        let spec = |text: &str| text.parse::<AttackSpec>().unwrap();
        let noise = success(model, &data, spec("noise"));
        for text in ["pgd", "mi-fgsm"] {
            let own = success(model, &data, spec(text));
            let carried = success(model, &data, Transfer::new(Arc::clone(&other), spec(text)));
            println!("{text} on model {victim}: noise {noise}, carried over {carried}, own {own}");
            assert!(noise + 0.1 < carried && carried < own, "{text}: {noise}, {carried}, {own}");
        }
    }
}

#[test]
fn the_audit_agrees() {
    let (model, data) = (model(), data());
    let aims: Vec<Aim> = data.labels().iter().map(|label| Aim::untargeted(*label)).collect();
    let loss = LossKind::Margin.loss();
    let audit =
        audit_gradient(&model, data.values(), &aims, &loss, &AuditOptions::default()).unwrap();
    assert_eq!(audit.samples, data.len());
    assert!(audit.directions > data.len(), "most directions are compared: {audit:?}");
    assert!(audit.median_relative_error <= 1e-3, "{audit:?}");
    // Kinks of ReLU close to a sample, not seen as such, are what is left.
    assert!(audit.worst_relative_error < 0.05, "{audit:?}");
}
