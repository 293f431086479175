//! Adversarials of one model submitted to another.

use std::sync::Arc;

use ironbound::attack::{AnyAttack, AttackSpec, Sample, Transfer};
use ironbound::{Aim, Bounds, Classifier, Dataset, Evaluation, Norm, Report, Threat};

use crate::toy::Toy;

const WEIGHTS: [f32; 4] = [1.0, -0.5, 0.25, 2.0];
const CLEAN: [f32; 4] = [0.5, 0.4, 0.3, 0.2];

/// Class 0 leads by `lead` at `CLEAN`.
fn linear(lead: f32) -> Toy {
    let dot: f32 = WEIGHTS.iter().zip(CLEAN).map(|(w, x)| w * x).sum();
    Toy::linear(WEIGHTS.to_vec(), lead - dot, 3)
}

fn spec(text: &str) -> AttackSpec {
    text.parse().unwrap()
}

/// The surrogate falls before the model does: a point that just crosses its boundary would not do, the furthest one does.
#[test]
fn the_point_that_convinces_the_surrogate_most_is_submitted() {
    let model = linear(0.3);
    // All of the budget changes the lead by 0.1 times the sum of the weights' sizes.
    let threat = Threat::new(Norm::Linf, 0.1).with_bounds(Bounds::NONE);
    for aim in [Aim::untargeted(0), Aim::targeted(0, 1)] {
        let samples = [Sample { id: 7, clean: &CLEAN, aim }];
        for text in ["pgd", "apgd", "fgsm", "square", "autoattack", "mi-fgsm"] {
            let surrogate = Arc::new(linear(0.01));
            let attack = Transfer::new(Arc::clone(&surrogate) as _, spec(text));
            let before = model.rows();
            let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
            assert!(outcome.success, "{text}");
            assert_eq!((outcome.forward, outcome.backward), (1, 0), "{text}");
            assert_eq!(model.rows() - before, 1, "{text}");
            assert!(surrogate.rows() > 0);
        }
    }
    // The same attack as on the surrogate itself, where that is asked for its smallest perturbation.
    let surrogate = linear(0.2);
    let samples = [Sample { id: 7, clean: &CLEAN, aim: Aim::untargeted(0) }];
    let l2 = Threat { norm: Norm::L2, ..threat };
    let own = spec("ddn").run(&surrogate.session(&l2), &samples).unwrap().remove(0);
    let attack = Transfer::new(Arc::new(linear(0.2)), spec("ddn"));
    let there = attack.run(&linear(0.3).session(&l2), &samples).unwrap().remove(0);
    assert_eq!(own.point, there.point);
    assert!(own.success && !there.success);
}

#[test]
fn a_surrogate_of_another_shape_is_refused() {
    let model = linear(0.3);
    let info = model.info();
    let fault = |surrogate: Toy, text: &str| {
        let attack = Transfer::new(Arc::new(surrogate), spec(text));
        attack.check_model(info).map_err(|error| error.to_string())
    };
    fault(linear(0.1), "pgd").unwrap();
    fault(linear(0.1).shaped(&[1, 4]), "pgd").unwrap();
    let wide = fault(Toy::linear(vec![1.0; 5], 0.1, 3), "pgd").unwrap_err();
    assert!(wide.starts_with("`surrogate` is ") && wide.contains("shape [5]"), "{wide}");
    assert!(wide.contains("expected shape [4] and 3 classes"), "{wide}");
    let turned = fault(linear(0.1).shaped(&[2, 2]), "pgd").unwrap_err();
    assert!(turned.contains("shape [2, 2]"), "{turned}");
    let classes = fault(Toy::linear(WEIGHTS.to_vec(), 0.1, 4), "pgd").unwrap_err();
    assert!(classes.contains("has 4 classes"), "{classes}");
    // What the attack inside cannot work on.
    let two = |weights: &[f32]| Toy::linear(weights.to_vec(), 0.1, 2);
    let attack = Transfer::new(Arc::new(two(&WEIGHTS)), spec("pgd:losses=ce+dlr"));
    let few = attack.check_model(two(&WEIGHTS).info()).unwrap_err().to_string();
    assert!(few.starts_with("`loss` is dlr"), "{few}");
    let attack = Transfer::new(Arc::new(linear(0.1)), spec("pgd:steps=0"));
    assert!(attack.validate().unwrap_err().to_string().starts_with("`steps` is 0"));
}

/// Rows say whose adversarials they are; what the surrogate was asked is not counted, nor limited.
#[test]
fn the_report_names_attack_and_surrogate() {
    let model = linear(0.3);
    let view = ndarray::ArrayView2::from_shape((1, 4), &CLEAN).unwrap();
    let data = Dataset::from_arrays(view, &[0]).unwrap();
    let transfer = |text: &str| Transfer::new(Arc::new(linear(0.01)), spec(text));
    let results = Evaluation::new(&model, &data)
        .threat(Threat::new(Norm::L2, 0.05))
        .threat(Threat::new(Norm::L2, 0.2))
        .attack(transfer("pgd:steps=50"))
        .attack(transfer("ddn"))
        .query_limit(1)
        .run()
        .unwrap();
    let report = Report::new(&results);
    let rows: Vec<_> = report.attacks.iter().map(|row| (&row.id[..], row.robust[0])).collect();
    let expected =
        [("transfer", true), ("transfer", false), ("transfer", true), ("transfer", true)];
    assert_eq!(rows, expected, "what ddn finds crosses the surrogate's boundary only");
    let params = &report.attacks[0].params;
    assert_eq!(params["inner"]["attack"], "pgd");
    assert_eq!(params["inner"]["steps"], 50);
    assert!(params["surrogate"]["sha256"].is_string());
    let text = report.to_text();
    assert!(text.contains("transfer:attack=pgd") && text.contains("transfer:attack=ddn"), "{text}");
    assert!(results.rows.iter().all(|row| row.attempts[0].forward <= 1), "{results:?}");
}
