//! Corruptions as an attack, on a model whose answer to them is known.

use ironbound::attack::{AnyAttack, AttackSpec, Corruption, Sample};
use ironbound::corruption::{Kind, Kinds, Severity};
use ironbound::report::WorstCase;
use ironbound::{Aim, Dataset, Evaluation, Norm, Report, Threat};
use ndarray::Array3;
use serde_json::{Value, json};

use crate::toy::Toy;

/// Class 0 up to a mean of 0.57 over 8 x 8 pixels.
fn light() -> Toy {
    Toy::linear(vec![-1.0 / 64.0; 64], 0.57, 2).shaped(&[8, 8])
}

fn attack(text: &str) -> AttackSpec {
    text.parse().unwrap()
}

/// By how much the attack brightens an even image of 0.5, and which corruption that was: none where it is not broken.
fn found(text: &str, threat: &Threat) -> Option<(f64, Value)> {
    let (model, clean) = (light(), [0.5; 64]);
    let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
    let outcome = attack(text).run(&model.session(threat), &samples).unwrap().remove(0);
    assert_eq!(outcome.forward as usize, model.rows());
    let size = |point: &[f32]| Norm::Linf.size(&clean, point);
    outcome.success.then(|| (size(&outcome.point.unwrap()), outcome.change.unwrap()))
}

#[test]
fn the_first_corruption_that_breaks_counts() {
    // Brightness adds 0.05, 0.1, 0.15, 0.2, 0.3: from severity 2 on, 0.57 is passed. No budget plays a part.
    for norm in [Norm::Linf, Norm::L2, Norm::L1, Norm::L0] {
        let threat = Threat::new(norm, 0.0);
        assert_eq!(found("corruption:kind=brightness,severity=1", &threat), None, "{norm}");
        assert_eq!(found("corruption:kind=contrast,severity=5", &threat), None, "{norm}");
        for text in ["kind=brightness,severity=2", "kind=brightness,severity=1-5"] {
            let (size, change) = found(&format!("corruption:{text}"), &threat).unwrap();
            assert!((size - 0.1).abs() < 1e-6, "{norm} {text}: {size}");
            assert_eq!(change, json!({ "kind": "brightness", "severity": 2, "draw": 0 }));
        }
    }
}

#[test]
fn masked_features_stay() {
    let mask: Vec<bool> = (0..64).map(|feature| feature % 2 == 0).collect();
    let threat = Threat::new(Norm::Linf, 0.0).with_mask(mask);
    // Half of the image rises by 0.1 or 0.3: the mean comes to 0.55 or 0.65.
    assert_eq!(found("corruption:kind=brightness,severity=2", &threat), None);
    assert!(found("corruption:kind=brightness,severity=5", &threat).is_some());
}

#[test]
fn it_tries_what_it_is_told_to() {
    let threat = Threat::new(Norm::Linf, 1.0);
    let clean = [0.5; 64];
    let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
    for (text, count) in [
        ("corruption", 15),
        ("corruption:severity=1-5,draws=2", 150),
        ("corruption:kind=fog,severity=4,draws=3", 3),
    ] {
        let model = Toy::constant(64, vec![1.0, 0.0]).shaped(&[8, 8]);
        attack(text).run(&model.session(&threat), &samples).unwrap();
        assert_eq!(model.rows(), count, "{text}");
    }
    let model = Toy::constant(64, vec![1.0, 0.0]).shaped(&[8, 8]);
    attack("corruption:kind=fog,draws=2").run(&model.session(&threat), &samples).unwrap();
    let calls = model.calls();
    assert_ne!(calls[0].inputs, calls[1].inputs, "draws differ");
}

/// One run and one worst case, whatever norms and budgets other attacks are given.
#[test]
fn it_is_a_threat_of_its_own() {
    let x = Array3::from_elem((1, 8, 8), 0.5);
    let data = Dataset::from_arrays(x.view(), &[0]).unwrap();
    let bright = Corruption {
        kind: Kinds::One(Kind::Brightness),
        severity: Severity::new(3).unwrap().into(),
        ..Corruption::default()
    };
    let model = light();
    let run = Evaluation::new(&model, &data).attack(bright.clone()).attack(attack("noise"));
    let run = run.attack(Corruption { kind: Kinds::One(Kind::Contrast), ..bright });
    let threats = [(Norm::Linf, 0.01), (Norm::Linf, 0.02), (Norm::L2, 0.01)];
    let run = threats.into_iter().fold(run, |run, (norm, eps)| run.threat(Threat::new(norm, eps)));
    let report = Report::new(&run.run().unwrap());
    let rows: Vec<_> = report.attacks.iter().map(|row| (&row.id[..], row.eps, row.case)).collect();
    let noise = [("noise", Some(0.01), 0), ("noise", Some(0.02), 1), ("noise", Some(0.01), 2)];
    assert_eq!(rows, [&noise[..], &[("corruption", None, 3), ("corruption", None, 4)]].concat());
    let robust: Vec<_> = report.worst_case.iter().map(|case| case.robust[0]).collect();
    assert_eq!(robust, [true, true, true, false, true]);
    let names: Vec<_> = report.worst_case.iter().map(WorstCase::name).collect();
    assert_eq!(names, ["linf 0.01", "linf 0.02", "l2 0.01", "brightness 3", "contrast 3"]);
    let broken = &report.attacks[3].broken[0];
    assert_eq!(broken.change, Some(json!({ "kind": "brightness", "severity": 3, "draw": 0 })));
    assert_eq!((report.attacks[3].norm, broken.distance), (None, None));
    assert_eq!(report.curves.len(), 2, "a transformation has no curve");
    let text = report.to_text();
    assert!(text.contains("brightness 3"), "{text}");
    assert_eq!(Report::from_json(&report.to_json(), "report").unwrap(), report);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |text: &str| text.parse::<AttackSpec>().unwrap_err().to_string();
    let unknown = refused("corruption:kind=smog");
    assert!(
        unknown.contains("unknown corruption `smog`, expected one of `all`, `brightness`"),
        "{unknown}"
    );
    for (severity, part) in [
        ("6", "expected 1 to 5"),
        ("0-3", "expected 1 to 5"),
        ("4-2", "`severity` is 4-2: expected the mildest first"),
        ("mild", "expected 1 to 5, or such as 1-5"),
        ("0.5", "a severity from 1 to 5, or a range such as 1-5"),
    ] {
        let message = refused(&format!("corruption:severity={severity}"));
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(attack("corruption:severity=2").params()["severity"], "2");
    assert_eq!(attack("corruption:severity=2-4,kind=fog").params()["severity"], "2-4");
    let invalid = |text: &str| attack(text).validate().unwrap_err().to_string();
    assert_eq!(invalid("corruption:draws=0"), "`draws` is 0: expected 1 or more");
    let vector = Toy::linear(vec![1.0; 64], 0.5, 2);
    let fault = attack("corruption").check_model(ironbound::Classifier::info(&vector)).unwrap_err();
    assert!(fault.to_string().contains("it takes images"), "{fault}");
}
