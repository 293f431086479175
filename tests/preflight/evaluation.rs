//! The preflight inside an evaluation: it tells, and changes nothing.

use ironbound::attack::{AttackSpec, Fgsm, Noise, Pgd};
use ironbound::{Dataset, Evaluation, Finding, Model, Norm, Report, Results, Severity, Threat};

use crate::common::fixture::Fixture;
use crate::common::values;
use crate::toy::Toy;
use crate::{dataset, find, generic};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/");

fn binarised() -> Model {
    let fixture = Fixture::default()
        .input("x", &["N", "3"])
        .floats("w", &[3, 20], &values(60).iter().map(|v| v - 0.5).collect::<Vec<_>>())
        .floats("v", &[20, 2], &values(40).iter().map(|v| v - 0.5).collect::<Vec<_>>())
        .node("MatMul", &["x", "w"], "a", &[])
        .node("Sign", &["a"], "h", &[])
        .node("MatMul", &["h", "v"], "y", &[])
        .output("y", &["N", "2"]);
    Model::from_bytes(&fixture.bytes(), "binarised").unwrap()
}

fn codes(results: &Results) -> Vec<&str> {
    results.warnings.iter().map(|warning| &warning.code[..]).collect()
}

#[test]
fn attacks_find_the_same_with_and_without_it() {
    let digits = Dataset::from_npz(format!("{FOLDER}digits_test.npz")).unwrap();
    let run = |preflight: bool, threads: usize| {
        let model = Model::load(format!("{FOLDER}digits_cnn.onnx")).unwrap();
        let run = Evaluation::new(&model, &digits).range(10, Some(30)).preflight(preflight);
        let run = run.threat(Threat::new(Norm::Linf, 0.1)).attack(Noise::default());
        let run = run.attack(Fgsm::default()).attack(Pgd { steps: 5, ..Pgd::default() });
        Report::new(&run.threads(threads).run().unwrap()).to_json()
    };
    assert_eq!(run(true, 1), run(false, 2));

    let data = generic(&[3], 40, 2);
    let run = |preflight: bool| {
        let model = binarised();
        let run = Evaluation::new(&model, &data).preflight(preflight).attack(Noise::default());
        run.attack(Fgsm::default()).threat(Threat::new(Norm::Linf, 0.3)).run().unwrap()
    };
    let (with, without) = (run(true), run(false));
    let attempts = |results: &Results| -> Vec<_> {
        results.rows.iter().flat_map(|row| row.attempts.clone()).collect()
    };
    assert_eq!(attempts(&with), attempts(&without));
    assert_eq!(with.clean, without.clean);
    let dead = find(&with.warnings, "dead-gradient").unwrap();
    assert_eq!((dead.severity, &dead.nodes[..]), (Severity::Error, &["h_node".to_owned()][..]));
    assert!(!codes(&without).contains(&"dead-gradient"));
    assert_eq!(with.warnings, run(true).warnings);
    let own = ["dead-gradient", "chance-accuracy", "data-range", "unbounded-attack-fails"];
    let rest: Vec<&Finding> =
        with.warnings.iter().filter(|w| !own.contains(&&w.code[..])).collect();
    assert_eq!(rest, without.warnings.iter().collect::<Vec<_>>());
}

#[test]
fn the_report_prints_and_keeps_what_was_found() {
    let model = binarised();
    let data = generic(&[3], 40, 2);
    let run = Evaluation::new(&model, &data).attack(Fgsm::default());
    let report = Report::new(&run.threat(Threat::new(Norm::Linf, 0.3)).run().unwrap());
    let text = report.to_text();
    assert!(
        text.contains("error[dead-gradient]: ") && text.contains("\n    nodes: `h_node`\n"),
        "{text}"
    );
    assert!(text.contains("\n    remedy: "), "{text}");
    let json = report.to_json();
    assert_eq!(Report::from_json(&json, "report").unwrap(), report);
    // A report from before findings had a severity.
    let mut old: serde_json::Value = serde_json::from_str(&json).unwrap();
    for warning in old["warnings"].as_array_mut().unwrap() {
        let warning = warning.as_object_mut().unwrap();
        for field in ["severity", "nodes", "remedy"] {
            warning.remove(field).unwrap();
        }
    }
    let old = Report::from_json(&old.to_string(), "old").unwrap();
    assert!(old.warnings.iter().all(|w| w.severity == Severity::Warning && w.nodes.is_empty()));
    assert_eq!(old.attacks, report.attacks);
}

#[test]
fn without_gradient_attacks_gradients_are_not_looked_at() {
    let model = binarised();
    let data = generic(&[3], 40, 2);
    let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.3));
    let results = run.attack("noise".parse::<AttackSpec>().unwrap()).run().unwrap();
    assert!(!codes(&results).contains(&"dead-gradient"));
}

#[test]
fn non_finite_logits_are_told_once() {
    let nan = Toy::new(&[3], 2, |x| {
        x.chunks(3).flat_map(|x| [x[0], if x[1] > 0.9 { f32::NAN } else { x[1] }]).collect()
    });
    let data = dataset(&[3], &values(60), &[0, 1].repeat(10));
    let results = Evaluation::new(&nan, &data).run().unwrap();
    assert_eq!(codes(&results).iter().filter(|code| **code == "non-finite").count(), 1);
}
