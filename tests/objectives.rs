//! Models that are no classifiers: objectives on their outputs, from the file to the verdict.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::sync::Arc;

use common::fixture::Fixture;
use ironbound::attack::{AnyAttack, ApgdT, AttackSpec, Ddn, DeepFool, Fab, Pgd};
use ironbound::evaluate::Fate;
use ironbound::objective::{Above, Below, Cosine, Dnf, Moved, Term, Way, function};
use ironbound::{
    Aim, Batch, Bounds, Classifier, Dataset, Evaluation, Goal, LossGradient, LossKind, Model,
    ModelOptions, Norm, Objective, ObjectiveModel, Results, Threat,
};
use ndarray::ArrayView2;

const WEIGHTS: [f32; 4] = [0.5, -1.5, 0.25, 2.0];

/// y = 3 + w . x, one value.
fn regression() -> Model {
    let fixture = Fixture::default()
        .input("x", &["N", "4"])
        .floats("w", &[4, 1], &WEIGHTS)
        .floats("c", &[1], &[3.0])
        .node("MatMul", &["x", "w"], "z", &[])
        .node("Add", &["z", "c"], "y", &[])
        .output("y", &["N", "1"]);
    load(fixture, &[])
}

/// y = 0 x.
fn constant() -> Model {
    let fixture = Fixture::default()
        .input("x", &["N", "4"])
        .floats("w", &[4, 1], &[0.0; 4])
        .node("MatMul", &["x", "w"], "y", &[])
        .output("y", &["N", "1"]);
    load(fixture, &[])
}

fn load(fixture: Fixture, outputs: &[&str]) -> Model {
    let outputs = Some(outputs.iter().map(|name| (*name).into()).collect());
    let options = ModelOptions { outputs, ..ModelOptions::default() };
    Model::from_bytes_with(&fixture.bytes(), "fixture", &options).unwrap()
}

fn data(x: &[f32]) -> Dataset {
    labelled(x, &vec![0; x.len() / 4])
}

fn labelled(x: &[f32], labels: &[usize]) -> Dataset {
    let shape = (labels.len(), 4);
    Dataset::from_arrays(ArrayView2::from_shape(shape, x).unwrap(), labels).unwrap()
}

fn attacked(
    model: Model,
    objective: impl Objective + 'static,
    threat: Threat,
    attack: impl AnyAttack + 'static,
    x: &[f32],
) -> Results {
    let model = ObjectiveModel::new(model, Arc::new(objective)).unwrap();
    let threat = threat.with_bounds(Bounds::NONE);
    Evaluation::new(&model, &data(x)).threat(threat).attack(attack).run().unwrap()
}

fn broken(results: &Results) -> Vec<bool> {
    results.rows[0].fates().iter().map(|fate| *fate == Fate::Broken).collect()
}

fn pgd() -> Pgd {
    Pgd { loss: LossKind::Margin, ..Pgd::default() }
}

/// At x = 0, y = 3. A rise by r takes r over the dual norm of w.
#[test]
fn an_output_is_raised_and_lowered_just_beyond_the_optimum() {
    let dual = |norm| match norm {
        Norm::L1 => 2.0,
        Norm::L2 => WEIGHTS.iter().map(|w| f64::from(w * w)).sum::<f64>().sqrt(),
        _ => 4.25,
    };
    for norm in [Norm::L1, Norm::L2, Norm::Linf] {
        for (share, expected) in [(1.01, true), (0.99, false)] {
            let threat = || Threat::new(norm, share * 0.5 / dual(norm));
            let above = Above { output: 0, value: 3.5 };
            let below = Below { output: 0, value: 2.5 };
            let moved = Moved { output: None, by: 0.5, way: Way::Either };
            let rise = function("rise", |y, clean, gradient| {
                gradient[0] = 1.0;
                y[0] - clean[0] - 0.5
            });
            let x = [0.0; 4];
            let found = [
                attacked(regression(), above, threat(), pgd(), &x),
                attacked(regression(), below, threat(), pgd(), &x),
                attacked(regression(), moved, threat(), pgd(), &x),
                attacked(regression(), rise, threat(), pgd(), &x),
            ];
            for (case, results) in found.iter().enumerate() {
                assert_eq!(broken(results), [expected], "{norm} {share} case {case}");
            }
        }
    }
}

#[test]
fn the_smallest_perturbation_is_found() {
    let optimum = 0.5 / WEIGHTS.iter().map(|w| f64::from(w * w)).sum::<f64>().sqrt();
    let attacks: Vec<Box<dyn Fn() -> Results>> = vec![
        Box::new(|| minimal(DeepFool::default())),
        Box::new(|| minimal(Ddn { loss: LossKind::Margin, ..Ddn::default() })),
        Box::new(|| minimal(Fab::default())),
    ];
    fn minimal(attack: impl AnyAttack + 'static) -> Results {
        let objective = Above { output: 0, value: 3.5 };
        attacked(regression(), objective, Threat::new(Norm::L2, 9.0), attack, &[0.0; 4])
    }
    for results in attacks.iter().map(|run| run()) {
        let found = results.rows[0].attempts[0].adversarial.as_ref().unwrap();
        let ratio = found.distance / optimum;
        assert!((1.0..1.05).contains(&ratio), "{} {ratio}", results.rows[0].attack);
    }
}

/// A sample at which the objective is achieved without an attack counts as wrong, the others as right.
#[test]
fn accuracy_is_the_share_at_which_it_is_not_achieved() {
    let objective = Above { output: 0, value: 3.5 };
    let x = [[0.0; 4], [0.0, 0.0, 0.0, 0.3], [0.0, 0.0, 0.0, 0.2]].concat();
    let results = attacked(regression(), objective, Threat::new(Norm::Linf, 0.03), pgd(), &x);
    let correct: Vec<bool> = results.clean.iter().map(|clean| clean.correct).collect();
    assert_eq!(correct, [true, false, true]);
    assert_eq!(broken(&results), [false, false, true]);
    assert_eq!(results.rows[0].fates()[1], Fate::Wrong);
    let note = results.warnings.iter().find(|finding| finding.code == "objective").unwrap();
    assert!(note.message.contains("above:output=0,value=3.5"), "{}", note.message);
}

/// How far an output moved has no slope where it did not move, which is no sign of a dead gradient.
#[test]
fn a_distance_from_the_clean_output_is_not_called_dead() {
    let codes = |results: &Results| -> Vec<String> {
        results.warnings.iter().map(|finding| finding.code.clone()).collect()
    };
    let threat = || Threat::new(Norm::Linf, 0.2);
    let moved = Moved { by: 0.5, ..Moved::default() };
    let results = attacked(regression(), moved, threat(), pgd(), &[0.0; 4]);
    assert!(!codes(&results).contains(&"dead-gradient".into()), "{:?}", codes(&results));
    let flat = function("flat", |_, _, _| -1.0);
    let above = Above { output: 0, value: 3.5 };
    let results = attacked(constant(), above, threat(), pgd(), &[0.0; 4]);
    assert!(codes(&results).contains(&"dead-gradient".into()), "{:?}", codes(&results));
    let results = attacked(regression(), flat, threat(), pgd(), &[0.0; 4]);
    assert!(codes(&results).contains(&"zero-gradient".into()), "{:?}", codes(&results));
}

/// Rows of different aims and samples, asked together, get what each gets alone.
#[test]
fn rows_do_not_depend_on_their_neighbours() {
    let term = |output, sign| Term { coefficients: vec![(output, sign)], constant: -3.0 };
    let dnf = Dnf { any: vec![vec![term(0, 1.0)], vec![term(0, -1.0)], vec![term(0, 2.0)]] };
    let moved = Moved { output: None, by: 0.1, way: Way::Either };
    let objectives: [Arc<dyn Objective>; 2] = [Arc::new(dnf), Arc::new(moved)];
    let x: Vec<f32> = (0..20).map(|i| (i as f32 * 0.37).sin()).collect();
    for objective in objectives {
        let model = ObjectiveModel::new(regression(), objective).unwrap();
        let ids = [4, 7, 1, 0, 9];
        let clean: Vec<f32> = x.iter().map(|x| x * 0.5).collect();
        let anchored = model.anchor(Batch { inputs: &clean, samples: &ids }).unwrap();
        let model: &dyn Classifier = anchored.as_deref().unwrap_or(&model);
        let target = |row: usize| Some(1 + row % (model.classes() - 1));
        let aims: Vec<Aim> = (0..5)
            .map(|row| Aim { label: 0, target: target(row).filter(|_| row % 2 == 0) })
            .collect();
        for loss in [LossKind::Margin.loss(), LossKind::CrossEntropy.loss()] {
            let mut all = LossGradient::default();
            let batch = Batch { inputs: &x, samples: &ids };
            model.loss_and_gradient(batch, &aims, &loss, &mut all).unwrap();
            for row in 0..5 {
                let (inputs, samples) = (&x[4 * row..][..4], &ids[row..=row]);
                let (mut one, batch) = (LossGradient::default(), Batch { inputs, samples });
                model.loss_and_gradient(batch, &aims[row..=row], &loss, &mut one).unwrap();
                assert_eq!(one.gradient, all.gradient[4 * row..][..4]);
                assert_eq!(one.loss[0].to_bits(), all.loss[row].to_bits());
                let mut logits = vec![];
                model.logits(batch, &mut logits).unwrap();
                assert_eq!(logits, one.logits);
            }
        }
    }
}

/// y = softmax(x[..2]) and its inner sums: outputs are left as they are and joined in the order asked for.
#[test]
fn outputs_are_left_as_they_are_and_joined() {
    let fixture = || {
        Fixture::default()
            .input("x", &["N", "4"])
            .floats("w", &[4, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
            .floats("v", &[4, 1], &[1.0, 1.0, 1.0, 1.0])
            .node("MatMul", &["x", "w"], "z", &[])
            .node("Softmax", &["z"], "p", &[])
            .node("MatMul", &["x", "v"], "sum", &[])
            .output("p", &["N", "2"])
            .output("sum", &["N", "1"])
    };
    let x = [0.3, 0.1, -1.0, 2.0, 1.0, 1.0, 0.0, 0.5];
    let outputs = |names: &[&str]| {
        let mut outputs = vec![];
        Classifier::logits(&load(fixture(), names), x[..].into(), &mut outputs).unwrap();
        outputs
    };
    let p = [0.549_834, 0.450_166, 0.5, 0.5];
    let close = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    };
    close(&outputs(&[]), &p);
    close(&outputs(&["sum", "p"]), &[1.4, p[0], p[1], 2.5, p[2], p[3]]);
    close(&outputs(&["z", "sum"]), &[0.3, 0.1, 1.4, 1.0, 1.0, 2.5]);
    let unknown = ModelOptions { outputs: Some(vec!["q".into()]), ..ModelOptions::default() };
    let error = Model::from_bytes_with(&fixture().bytes(), "fixture", &unknown).unwrap_err();
    assert!(error.to_string().contains('q') && error.to_string().contains("sum"), "{error}");
    let twice = ModelOptions { output: Some("p".into()), ..unknown };
    let error = Model::from_bytes_with(&fixture().bytes(), "fixture", &twice).unwrap_err();
    assert!(error.to_string().contains("`outputs`"), "{error}");
}

/// The embedding is x[..2]: its angle to (1, 0) is pi/4 once both are equal, at an l2 distance of sin(pi/4).
#[test]
fn an_embedding_is_turned() {
    let fixture = || {
        Fixture::default()
            .input("x", &["N", "4"])
            .floats("w", &[4, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
            .node("MatMul", &["x", "w"], "y", &[])
            .output("y", &["N", "2"])
    };
    let below = std::f64::consts::FRAC_PI_4.cos();
    for (share, expected) in [(1.02, true), (0.98, false)] {
        let threat = Threat::new(Norm::L2, share * std::f64::consts::FRAC_PI_4.sin());
        let pgd = Pgd { steps: 200, rel_step: Some(0.02), ..pgd() };
        let x = [1.0, 0.0, 0.0, 0.0];
        let results = attacked(load(fixture(), &[]), Cosine { below }, threat, pgd, &x);
        assert_eq!(broken(&results), [expected], "{share}");
    }
}

/// The first alternative is out of reach, the second is not: any of them counts, and a targeted attack asks for one.
#[test]
fn alternatives_are_classes() {
    let term = |sign, constant| Term { coefficients: vec![(0, sign)], constant };
    let dnf = || Dnf { any: vec![vec![term(1.0, -9.0)], vec![term(-1.0, 2.9), term(-1.0, 2.95)]] };
    let x = [0.0; 4];
    let linf = || Threat::new(Norm::Linf, 0.05);
    for attack in ["pgd:loss=margin", "apgd-t:loss=margin", "autoattack", "square:queries=300"] {
        let attack: AttackSpec = attack.parse().unwrap();
        let results = attacked(regression(), dnf(), linf(), attack, &x);
        assert_eq!(broken(&results), [true]);
        assert_eq!(results.rows[0].attempts[0].adversarial.as_ref().unwrap().prediction, 2);
    }
    for (class, expected) in [(1, false), (2, true)] {
        let threat = linf().with_goal(Goal::Class(class));
        let attack = ApgdT { loss: LossKind::Margin, ..ApgdT::default() };
        assert_eq!(broken(&attacked(regression(), dnf(), threat, attack, &x)), [expected]);
    }
}

#[test]
fn misuse_is_told() {
    let above: Arc<dyn Objective> = Arc::new(Above { output: 0, value: 0.0 });
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_cnn.onnx");
    let classifier = Model::load(digits).unwrap();
    let error = ObjectiveModel::new(classifier, Arc::clone(&above)).unwrap_err().to_string();
    assert!(error.contains("loaded with `outputs`"), "{error}");
    let far: Arc<dyn Objective> = Arc::new(Above { output: 7, value: 0.0 });
    let error = ObjectiveModel::new(regression(), far).unwrap_err().to_string();
    assert!(error.contains("has 1 output values"), "{error}");
    let moved: Arc<dyn Objective> = Arc::new(Moved::default());
    let model = ObjectiveModel::new(regression(), moved).unwrap();
    let error = model.logits([0.0; 4][..].into(), &mut vec![]).unwrap_err().to_string();
    assert!(error.contains("compares with the clean input"), "{error}");
    let labelled = labelled(&[0.0; 4], &[3]);
    let model = ObjectiveModel::new(regression(), above).unwrap();
    let run = |data: &Dataset| Evaluation::new(&model, data).run();
    assert!(run(&labelled).unwrap_err().to_string().contains("label"));
    assert!(run(&labelled.without_labels()).is_ok());
    // A model with raw outputs is no classifier.
    assert!(Evaluation::new(&regression(), &data(&[0.0; 4])).run().is_err());
}
