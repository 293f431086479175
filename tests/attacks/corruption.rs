//! Corruptions as an attack, on a model whose answer to them is known.

use ironbound::attack::{AnyAttack, AttackSpec, Corruption, Sample};
use ironbound::corruption::{Kind, Kinds, Severity};
use ironbound::{Aim, Dataset, Evaluation, Norm, Threat};
use ndarray::Array3;

use crate::toy::Toy;

/// Class 0 up to a mean of 0.57 over 8 x 8 pixels.
fn light() -> Toy {
    Toy::linear(vec![-1.0 / 64.0; 64], 0.57, 2).shaped(&[8, 8])
}

fn attack(text: &str) -> AttackSpec {
    text.parse().unwrap()
}

/// What the attack's outcome on an even image of 0.5 measures: none where it is not broken.
fn size(text: &str, threat: &Threat) -> Option<f64> {
    let (model, clean) = (light(), [0.5; 64]);
    let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
    let outcome = attack(text).run(&model.session(threat), &samples).unwrap().remove(0);
    assert_eq!(outcome.forward as usize, model.rows());
    outcome.success.then(|| threat.norm.size(&clean, &outcome.point.unwrap()))
}

#[test]
fn the_closest_corruption_that_breaks_counts() {
    // Brightness adds 0.05, 0.1, 0.15, 0.2, 0.3: from severity 2 on, 0.57 is passed.
    for (norm, expected) in [(Norm::Linf, 0.1), (Norm::L2, 0.8), (Norm::L1, 6.4), (Norm::L0, 64.0)]
    {
        let threat = Threat::new(norm, 0.0);
        assert_eq!(size("corruption:kind=brightness,severity=1", &threat), None, "{norm}");
        assert_eq!(size("corruption:kind=contrast,severity=5", &threat), None, "{norm}");
        for text in ["kind=brightness,severity=2", "kind=brightness,severity=1-5"] {
            let found = size(&format!("corruption:{text}"), &threat).unwrap();
            assert!((found - expected).abs() < 1e-5 * expected, "{norm} {text}: {found}");
        }
    }
}

#[test]
fn masked_features_stay() {
    let mask: Vec<bool> = (0..64).map(|feature| feature % 2 == 0).collect();
    let threat = Threat::new(Norm::Linf, 0.0).with_mask(mask);
    // Half of the image rises by 0.1 or 0.3: the mean comes to 0.55 or 0.65.
    assert_eq!(size("corruption:kind=brightness,severity=2", &threat), None);
    assert!(size("corruption:kind=brightness,severity=5", &threat).is_some());
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
        let model = light();
        attack(text).run(&model.session(&threat), &samples).unwrap();
        assert_eq!(model.rows(), count, "{text}");
    }
    let model = light();
    attack("corruption:kind=fog,draws=2").run(&model.session(&threat), &samples).unwrap();
    let calls = model.calls();
    assert_ne!(calls[0].inputs, calls[1].inputs, "draws differ");
}

#[test]
fn it_is_judged_at_every_budget() {
    let x = Array3::from_elem((1, 8, 8), 0.5);
    let data = Dataset::from_arrays(x.view(), &[0]).unwrap();
    let bright = Corruption {
        kind: Kinds::One(Kind::Brightness),
        severity: Severity::new(3).unwrap().into(),
        ..Corruption::default()
    };
    let (model, threat) = (light(), |eps| Threat::new(Norm::Linf, eps));
    let run = Evaluation::new(&model, &data).attack(bright).threat(threat(0.14));
    let rows = run.threat(threat(0.16)).threat(threat(1.0)).run().unwrap().rows;
    let found = rows.iter().map(|row| row.attempts[0].adversarial.is_some());
    assert_eq!(found.collect::<Vec<_>>(), [false, true, true]);
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
    assert!(fault.to_string().contains("corruptions are of images"), "{fault}");
}
