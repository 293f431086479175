//! The JSON Schemas under `docs/` and the files that they are about.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "../closed/mod.rs"]
mod closed;
mod validator;

use std::sync::atomic::{AtomicUsize, Ordering};

use closed::{Linear, dataset, samples};
use ironbound::attack::AttackSpec;
use ironbound::evaluate::UnitDone;
use ironbound::report::{Comparison, Report};
use ironbound::{
    Bounds, Budget, Cancel, Dataset, Domain, Evaluation, Goal, Levels, Model, ModelOptions,
    Monotone, Norm, ObjectiveKind, ObjectiveModel, Observer, Spacing, Threat,
};
use serde_json::{Value, json};
use validator::Schema;

const REPORT: &str = include_str!("../../docs/report.schema.json");
const COMPARISON: &str = include_str!("../../docs/comparison.schema.json");

fn valid(schema: &Schema, what: &str, text: &str) {
    let faults = schema.faults(&serde_json::from_str(text).unwrap());
    assert!(faults.is_empty(), "{what}: {}", faults.join("\n"));
}

fn with<'a>(run: Evaluation<'a>, attacks: &[&str]) -> Evaluation<'a> {
    let attack =
        |run: Evaluation<'a>, attack: &&str| run.attack(attack.parse::<AttackSpec>().unwrap());
    attacks.iter().fold(run, attack)
}

fn report(run: &Evaluation<'_>) -> Report {
    Report::new(&run.run().unwrap())
}

/// A model of 16 features whose logits are NaN for some samples, and samples of which a fifth is misclassified.
fn toy() -> (Linear, Dataset) {
    let mut model = Linear::random(2, 16, 3);
    let (inputs, labels) = samples(&model, 2, 20);
    model.nan_above = 0.8;
    model.info.shape = vec![1, 4, 4];
    (model, dataset(inputs, labels, 16))
}

fn digits() -> (Model, Dataset) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/");
    let model = Model::load(format!("{root}digits_cnn.onnx")).unwrap();
    (model, Dataset::from_npz(format!("{root}digits_test.npz")).unwrap())
}

/// Errors, every norm, minimal-norm attacks, preparation, transformations.
fn of_attacks() -> Report {
    let (model, data) = toy();
    let groups: Vec<String> = (0..20).map(|sample| (sample % 3).to_string()).collect();
    let data = data.with_class_names(["a", "b", "c"]).unwrap();
    let data = data.with_groups("third", &groups).unwrap().with_groups("one", &[""; 20]).unwrap();
    let run = Evaluation::new(&model, &data).seed(u64::MAX).range(2, None);
    let run = run.threat(Threat::new(Norm::Linf, 0.05)).threat(Threat::new(Norm::L2, 0.3));
    report(&with(
        run,
        &["noise", "pgd:steps=3", "fmn:steps=5", "universal", "spatial", "corruption:severity=2"],
    ))
}

/// Every kind of goal, budget and bounds.
fn of_goals() -> Report {
    let (model, data) = toy();
    let goals = [
        Goal::Class(1),
        Goal::PerSample(vec![2; 20]),
        Goal::Random,
        Goal::LeastLikely,
        Goal::KthLikely(1),
        Goal::EveryOther,
    ];
    let threat = Threat::new(Norm::Linf, 0.1);
    let threats = goals.map(|goal| threat.clone().with_goal(goal));
    let budgets = [Budget::PerSample(vec![0.1; 20]), Budget::PerFeature(vec![0.2; 16])];
    let budgets = budgets.map(|budget| Threat { budget, ..threat.clone() });
    let bounds = [Bounds::NONE, Bounds::PerFeature(vec![(f32::NEG_INFINITY, 1.0); 16])];
    let bounds = bounds.map(|bounds| threat.clone().with_bounds(bounds));
    let run = Evaluation::new(&model, &data).range(0, Some(5));
    let run = threats.into_iter().chain(budgets).chain(bounds).fold(run, Evaluation::threat);
    report(&with(run, &["fgsm"]))
}

/// Data that have levels, groups and ways.
fn of_domains() -> Report {
    let (model, _) = toy();
    let x: Vec<f32> = (0..32).map(|at| f32::from(u8::from(at % 16 == 4))).collect();
    let data = dataset(x, vec![0, 1], 16);
    let mut spacings = vec![Some(Spacing::INTEGER); 16];
    spacings[4] = None;
    spacings[5] = None;
    let mut ways = vec![Monotone::Free; 16];
    ways[..2].copy_from_slice(&[Monotone::Increase, Monotone::Decrease]);
    let domain = Domain {
        grid: Some(Levels::PerFeature(spacings)),
        one_hot: vec![vec![4, 5]],
        monotone: Some(ways),
    };
    let grid = Domain { grid: Some(Levels::Uniform("1/255".parse().unwrap())), ..Domain::ANY };
    let mask = (0..16).map(|feature| feature != 7).collect();
    let threat = Threat::new(Norm::L1, 2.0);
    let run = Evaluation::new(&model, &data).threat(threat.clone().with_domain(grid));
    let run = run.threat(threat.with_domain(domain).with_mask(mask));
    report(&with(run, &["noise"]))
}

/// A model that is no classifier.
fn of_objectives() -> Report {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_cnn.onnx");
    let options = ModelOptions { outputs: Some(vec![]), ..ModelOptions::default() };
    let model = Model::load_with(root, &options).unwrap();
    let kind: ObjectiveKind = "moved:by=3".parse().unwrap();
    let model = ObjectiveModel::new(model, kind.objective()).unwrap();
    let data = digits().1.without_labels();
    let run = Evaluation::new(&model, &data).range(0, Some(3)).threat(Threat::new(Norm::Linf, 0.1));
    report(&with(run, &["noise:draws=2"]))
}

/// Cancels after so many units.
struct Impatient(AtomicUsize, Cancel);

impl Observer for Impatient {
    fn unit_done(&self, _unit: UnitDone<'_>) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.1.cancel();
        }
    }
}

fn interrupted(units: usize) -> Report {
    let (model, data) = toy();
    let watcher = Impatient(AtomicUsize::new(units), Cancel::default());
    let run =
        Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.1)).threads(1).batch(1);
    let run = run.observer(&watcher).cancel(watcher.1.clone());
    let report = report(&with(run, &["noise", "fgsm"]));
    assert!(report.partial);
    report
}

#[test]
fn reports_are_what_the_schema_says() {
    let schema = Schema::new(REPORT);
    let (model, data) = digits();
    let run = Evaluation::new(&model, &data).range(0, Some(8));
    let clean = report(&run);
    let run = run.threat(Threat::new(Norm::Linf, 0.1)).threat(Threat::new(Norm::Linf, 0.2));
    let digits = report(&with(run, &["fgsm", "fmn:steps=3"]));
    for (what, report) in [
        ("clean pass", clean),
        ("digits", digits),
        ("attacks", of_attacks()),
        ("goals", of_goals()),
        ("domains", of_domains()),
        ("objectives", of_objectives()),
        ("interrupted", interrupted(2)),
        ("interrupted at once", interrupted(1)),
    ] {
        valid(&schema, what, &report.to_json());
    }
}

#[test]
fn comparisons_are_what_the_schema_says() {
    let schema = Schema::new(COMPARISON);
    let (whole, part) = (of_attacks(), interrupted(3));
    valid(&schema, "itself", &Comparison::new(&whole, &whole).unwrap().to_json());
    valid(&schema, "partial", &Comparison::new(&part, &part).unwrap().to_json());
    // Nothing in common but the clean pass.
    let (mut clean, mut other) = (whole.clone(), whole);
    clean.worst_case.clear();
    clean.attacks.clear();
    other.clean.unreached = (2..20).collect();
    valid(&schema, "nothing finished", &Comparison::new(&clean, &other).unwrap().to_json());
}

/// Files of earlier versions lack what has been added since.
#[test]
fn what_was_added_may_be_absent() {
    let schema = Schema::new(REPORT);
    let mut old: Value = serde_json::from_str(&of_attacks().to_json()).unwrap();
    for (at, name) in [
        ("", "curves"),
        ("/data", "offset"),
        ("/clean", "labels"),
        ("/clean", "groups"),
        ("/attacks/0", "broken"),
        ("/attacks/0", "goal"),
        ("/attacks/1/broken/0", "queries"),
        ("/attacks/1", "perturbations"),
        ("/attacks/1", "success_queries"),
        ("/worst_case/0", "confusion"),
        ("/worst_case/0", "groups"),
        ("/data", "class_names"),
        ("/worst_case/0", "agreement"),
        ("/worst_case/0", "threat"),
        ("/worst_case/1/threat", "mask"),
        ("/warnings/0", "severity"),
    ] {
        let object = old.pointer_mut(at).unwrap().as_object_mut().unwrap();
        assert!(object.remove(name).is_some(), "{at}/{name}");
    }
    valid(&schema, "old", &old.to_string());
}

#[test]
fn what_is_wrong_is_refused() {
    let schema = Schema::new(REPORT);
    let report: Value = serde_json::from_str(&of_attacks().to_json()).unwrap();
    for (at, value) in [
        ("/schema", json!("ironbound/report/2")),
        ("/seed", json!(-1)),
        ("/seed", json!(1.5)),
        ("/partial", json!("no")),
        ("/model", json!(null)),
        ("/model/classes", json!("3")),
        ("/clean/accuracy", json!(1.1)),
        ("/clean/interval", json!([0.5])),
        ("/clean/interval", json!([0.5, 0.6, 0.7])),
        ("/clean/correct/0", json!(1)),
        ("/clean/predictions/1", json!("cat")),
        ("/attacks/0/norm", json!("l3")),
        ("/attacks/1/eps", json!(-0.5)),
        ("/attacks/0/queries/forward", json!(null)),
        ("/attacks/1/broken/0/sample", json!(0.5)),
        ("/attacks/1/broken/0/queries/forward", json!(0.5)),
        ("/clean/groups/0/of/0", json!("red")),
        ("/worst_case/0/threat/budget", json!({ "scalar": 0.1, "per-sample": [] })),
        ("/worst_case/0/threat/bounds", json!({ "uniform": [0.0] })),
        ("/worst_case/0/threat/goal", json!("luck")),
        ("/warnings/0/severity", json!("fatal")),
    ] {
        let mut wrong = report.clone();
        *wrong.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = value;
        let faults = schema.faults(&wrong);
        assert!(
            faults.iter().any(|fault| at.starts_with(fault.split(':').next().unwrap())),
            "{at}: {faults:?}"
        );
    }
    for (at, name) in
        [("", "schema"), ("/model", "sha256"), ("/clean", "accuracy"), ("/attacks/0", "robust")]
    {
        let mut wrong = report.clone();
        wrong.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(name);
        assert_eq!(schema.faults(&wrong), [format!("{at}: `{name}` is missing")]);
    }
}

/// A reader passes over what it does not know; here it is a field that the schema forgot.
#[test]
fn fields_that_are_not_described_are_told() {
    let schema = Schema::new(REPORT);
    let mut report: Value = serde_json::from_str(&of_attacks().to_json()).unwrap();
    report["attacks"][0]["broken"] = json!([]);
    report["worst_case"][0]["threat"]["domain"] = json!({ "colour": 1 });
    report["attacks"][1]["speed"] = json!(3);
    let told = schema.faults(&report);
    assert_eq!(
        told,
        [
            "/attacks/1: `speed` is not described",
            "/worst_case/0/threat/domain: `colour` is not described"
        ]
    );
    report["attacks"][1].as_object_mut().unwrap().remove("speed");
}
