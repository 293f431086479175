#![expect(clippy::float_cmp, reason = "the values are exact")]

use super::*;

const LOSSES: [&dyn Loss; 6] = [&CrossEntropy, &Dlr, &DlrTargeted, &Kl, &Logit, &Margin];

/// The losses that a model of `classes` classes can be attacked with.
fn losses(classes: usize) -> impl Iterator<Item = &'static dyn Loss> {
    LOSSES.into_iter().filter(move |loss| loss.min_classes() <= classes)
}

fn evaluate(loss: &dyn Loss, logits: &[f32], aim: Aim) -> (f32, Vec<f32>) {
    let mut gradient = vec![f32::NAN; logits.len()];
    let value = loss.value_and_gradient(logits, aim, &mut gradient);
    (value, gradient)
}

fn aims(classes: usize) -> impl Iterator<Item = Aim> {
    (0..classes).flat_map(move |label| {
        let others = (0..classes).filter(move |&target| target != label);
        others.map(move |target| Aim::targeted(label, target)).chain([Aim::untargeted(label)])
    })
}

#[test]
fn gradients_agree_with_differences() {
    let cases = [
        vec![0.3, -1.2],
        vec![1.5, 0.2, -0.7, 0.9],
        vec![-5.0, -4.0, -4.5],
        vec![0.5, -2.0, 3.0, 1.25, -0.75, 2.25],
    ];
    for logits in cases {
        for (loss, aim) in
            losses(logits.len()).flat_map(|loss| aims(logits.len()).map(move |aim| (loss, aim)))
        {
            let (_, gradient) = evaluate(loss, &logits, aim);
            for (class, g) in gradient.iter().enumerate() {
                let moved = |by: f32| {
                    let mut logits = logits.clone();
                    logits[class] += by;
                    evaluate(loss, &logits, aim).0
                };
                let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!(
                    (g - difference).abs() < 1e-3,
                    "{} {aim:?} {class}: {g} {difference}",
                    loss.name()
                );
            }
            let shifted = gradient.iter().sum::<f32>().abs();
            assert!(
                shifted < 1e-6 || loss.name() == "logit",
                "{}: shifting all logits changes nothing",
                loss.name()
            );
        }
    }
}

#[test]
fn huge_logits_do_not_overflow() {
    for logits in [[1e4, -1e4, 0.0, 0.0], [f32::MAX, f32::MIN, 0.0, 1.0], [-1e4, -1e4, -1e4, -1e4]]
    {
        for (loss, aim) in losses(4).flat_map(|loss| aims(4).map(move |aim| (loss, aim))) {
            let (value, gradient) = evaluate(loss, &logits, aim);
            assert!(
                !value.is_nan() && gradient.iter().all(|g| g.is_finite()),
                "{} {logits:?} {aim:?}",
                loss.name()
            );
        }
    }
    assert_eq!(evaluate(&CrossEntropy, &[1e4, -1e4, 0.0], Aim::untargeted(1)).0, 2e4);
}

#[test]
fn a_confident_model_keeps_its_gradient() {
    let (value, gradient) = evaluate(&CrossEntropy, &[50.0, 0.0, 0.0], Aim::untargeted(0));
    let share = 2.0 * (-50.0_f32).exp();
    assert!((value / share - 1.0).abs() < 1e-5, "{value}");
    assert!((gradient[0] / -share - 1.0).abs() < 1e-5, "{gradient:?}");
    assert!((gradient[1] / share - 0.5).abs() < 1e-5, "{gradient:?}");
}

#[test]
fn a_loss_rises_towards_its_aim() {
    let (before, after) = ([2.0, 1.0, 0.0, -1.0], [1.0, 2.0, 0.0, -1.0]);
    for loss in LOSSES {
        let away = [
            evaluate(loss, &before, Aim::untargeted(0)).0,
            evaluate(loss, &after, Aim::untargeted(0)).0,
        ];
        let towards = [
            evaluate(loss, &before, Aim::targeted(0, 1)).0,
            evaluate(loss, &after, Aim::targeted(0, 1)).0,
        ];
        assert!(away[0] < away[1] && towards[0] < towards[1], "{}", loss.name());
    }
}

#[test]
fn the_first_of_equal_rivals_takes_the_margins_gradient() {
    assert_eq!(
        evaluate(&Margin, &[1.0, -3.0, -3.0], Aim::untargeted(0)),
        (-4.0, vec![-1.0, 1.0, 0.0])
    );
    assert_eq!(
        evaluate(&Margin, &[1.0, 1.0, -3.0], Aim::targeted(0, 2)),
        (-4.0, vec![-1.0, 0.0, 1.0])
    );
    assert_eq!(evaluate(&Margin, &[2.0, 2.0], Aim::untargeted(1)), (0.0, vec![1.0, -1.0]));
}

#[test]
fn names_are_what_configuration_files_say() {
    let kinds = [
        LossKind::CrossEntropy,
        LossKind::Dlr,
        LossKind::DlrTargeted,
        LossKind::Kl,
        LossKind::Logit,
        LossKind::Margin,
    ];
    for kind in kinds {
        let name = serde_json::to_value(&kind).unwrap();
        let read: LossKind = serde_json::from_value(name.clone()).unwrap();
        assert_eq!(name, read.loss().name());
    }
    let short: LossKind = serde_json::from_value("ce".into()).unwrap();
    assert_eq!(short.loss().name(), "cross-entropy");
    let own = LossKind::Custom(Arc::new(Margin));
    assert_eq!(serde_json::to_value(own).unwrap(), "margin");
}

/// Where the ratio's logits are equal, the first counts as the larger and 1e-12 stands under the ratio.
#[test]
fn ties_of_the_logits_ratio() {
    let (value, gradient) = evaluate(&Dlr, &[1.0, 1.0, 0.0], Aim::untargeted(1));
    assert_eq!((value, gradient), (0.0, vec![1.0, -1.0, 0.0]));
    // The label is the third of three equal logits.
    let (value, gradient) = evaluate(&Dlr, &[1.0, 1.0, 1.0, 0.0], Aim::untargeted(2));
    assert_eq!((value, gradient), (0.0, vec![1e12, 0.0, -1e12, 0.0]));
    // z_(3) is the first of the equal logits, z_(4) the next.
    let (value, gradient) = evaluate(&DlrTargeted, &[4.0, 2.0, 0.0, 0.0], Aim::targeted(0, 1));
    assert_eq!((value, gradient), (-0.5, vec![-0.125, 0.25, -0.0625, -0.0625]));
}

#[test]
fn the_logits_ratio_ignores_scale_and_shift() {
    let logits = [0.5, -2.0, 3.0, 1.25, -0.75];
    let moved = logits.map(|z| 8.0 * z - 2.0);
    for (loss, aim) in [&Dlr as &dyn Loss, &DlrTargeted]
        .into_iter()
        .flat_map(|loss| aims(5).map(move |aim| (loss, aim)))
    {
        assert_eq!(evaluate(loss, &logits, aim).0, evaluate(loss, &moved, aim).0, "{aim:?}");
    }
}

#[test]
fn the_divergence_is_from_the_clean_prediction() {
    let (clean, logits) = ([0.5_f32, -1.0, 2.0], [1.5_f32, 0.25, -0.5]);
    let softmax = |z: &[f32]| -> Vec<f64> {
        let all: Vec<f64> = z.iter().map(|&z| f64::from(z).exp()).collect();
        all.iter().map(|e| e / all.iter().sum::<f64>()).collect()
    };
    let expected = |z: &[f32]| -> f64 {
        let pairs = softmax(&clean).into_iter().zip(softmax(z));
        pairs.map(|(before, now)| before * (before / now).ln()).sum()
    };
    let loss = Kl.at_clean(&clean).unwrap();
    let (value, gradient) = evaluate(&*loss, &logits, Aim::untargeted(2));
    assert!((f64::from(value) - expected(&logits)).abs() < 1e-6);
    for (class, g) in gradient.iter().enumerate() {
        let moved = |by: f32| {
            let mut logits = logits;
            logits[class] += by;
            expected(&logits)
        };
        let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((f64::from(*g) - difference).abs() < 1e-4, "{class}: {g} {difference}");
    }
    assert_eq!(evaluate(&*loss, &clean, Aim::untargeted(2)), (0.0, vec![0.0; 3]));
    let towards = evaluate(&*loss, &logits, Aim::targeted(2, 0));
    assert_eq!(towards, evaluate(&CrossEntropy, &logits, Aim::targeted(2, 0)));
    let sure = Kl.at_clean(&[1e4, -1e4, 0.0]).unwrap();
    assert_eq!(evaluate(&*sure, &[-1e4, 1e4, 0.0], Aim::untargeted(0)).0, 2e4);
}

#[test]
fn too_few_classes_are_refused() {
    let refused = check_classes(&DlrTargeted, 3).unwrap_err().to_string();
    assert_eq!(refused, "`loss` is dlr-t: it needs 4 classes or more, the model has 3");
    assert!(check_classes(&Dlr, 2).is_err() && check_classes(&Dlr, 3).is_ok());
    assert!(check_classes(&Margin, 2).is_ok());
}
