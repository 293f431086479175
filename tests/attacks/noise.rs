//! Noise spends its budget sensibly in every norm.

use ironbound::attack::{AnyAttack, Noise, NoiseKind, Sample};
use ironbound::{Aim, Bounds, Budget, Norm, Threat};

use crate::toy::Toy;

const FEATURES: usize = 300;
const DRAWS: usize = 20;

/// The changes that the noise makes to a sample of 0.5 everywhere.
fn changes(kind: NoiseKind, threat: &Threat) -> Vec<Vec<f32>> {
    let model = Toy::constant(FEATURES, vec![1.0, 0.0]);
    let samples = [Sample { id: 0, clean: &[0.5; FEATURES], aim: Aim::untargeted(0) }];
    let attack = Noise { kind, draws: DRAWS, ..Noise::default() };
    AnyAttack::run(&attack, &model.session(threat), &samples).unwrap();
    let calls = model.calls();
    assert_eq!(calls.len(), DRAWS);
    calls.iter().map(|call| call.inputs.iter().map(|x| x - 0.5).collect()).collect()
}

#[test]
fn every_kind_uses_most_of_the_budget() {
    let zeros = [0.0; FEATURES];
    for (norm, eps) in [(Norm::L1, 6.0), (Norm::L2, 1.5), (Norm::Linf, 0.25)] {
        let threat = Threat::new(norm, eps);
        for (kind, least) in [
            (NoiseKind::Uniform, 0.95),
            (NoiseKind::Gaussian, 0.65),
            (NoiseKind::Laplace, 0.55),
            (NoiseKind::Sign, 0.9999),
            (NoiseKind::SaltAndPepper, 0.85),
        ] {
            let changes = changes(kind, &threat);
            for change in &changes {
                let used = norm.size(&zeros, change) / eps;
                assert!((least..1.0001).contains(&used), "{norm} {kind:?}: {used}");
            }
            assert_ne!(changes[0], changes[1], "draws differ");
            let rises = changes.concat().iter().filter(|d| **d > 0.0).count() as f64;
            let falls = changes.concat().iter().filter(|d| **d < 0.0).count() as f64;
            assert!((0.6..1.6).contains(&(rises / falls)), "{norm} {kind:?}: {rises} {falls}");
        }
    }
}

#[test]
fn salt_and_pepper_changes_as_many_features_as_the_budget_holds() {
    let count = |norm, eps| {
        let changed = |change: &Vec<f32>| change.iter().filter(|d| **d != 0.0).count();
        changes(NoiseKind::SaltAndPepper, &Threat::new(norm, eps)).iter().map(changed).max()
    };
    assert_eq!(count(Norm::L1, 6.0), Some(12), "twelve changes of a half");
    assert_eq!(count(Norm::L2, 1.5), Some(9), "nine changes of a half");
    assert_eq!(count(Norm::Linf, 0.25), Some(FEATURES));
}

#[test]
fn noise_works_without_bounds_and_with_budgets_per_feature() {
    let mut threat = Threat::new(Norm::Linf, 0.0).with_bounds(Bounds::NONE);
    let radii: Vec<f64> = (0..FEATURES).map(|i| (i % 3) as f64).collect();
    threat.budget = Budget::PerFeature(radii.clone());
    for kind in [NoiseKind::Sign, NoiseKind::SaltAndPepper] {
        for change in changes(kind, &threat) {
            assert!(change.iter().zip(&radii).all(|(d, r)| f64::from(d.abs()) == *r), "{kind:?}");
        }
    }
}

#[test]
fn unbounded_salt_and_pepper_moves_every_feature_in_linf() {
    let threat = Threat::new(Norm::Linf, 0.1).with_bounds(Bounds::NONE);
    for change in changes(NoiseKind::SaltAndPepper, &threat) {
        assert!(change.iter().all(|step| step.abs() > 0.099), "{change:?}");
    }
}

/// Near a bound, half of the noise is cut off; scaled, the rest makes up for it. A pixel in a corner of the box has only one
/// way to go.
#[test]
fn clipping_aware_noise_uses_the_whole_budget_near_the_bounds() {
    let clean = [0.001; FEATURES];
    let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
    for (norm, eps) in [(Norm::L1, 20.0), (Norm::L2, 3.0), (Norm::Linf, 0.25)] {
        let threat = Threat::new(norm, eps);
        for kind in [NoiseKind::Uniform, NoiseKind::Gaussian, NoiseKind::Laplace, NoiseKind::Sign] {
            let used = |clipping_aware| -> Vec<f64> {
                let model = Toy::constant(FEATURES, vec![1.0, 0.0]);
                let attack = Noise { kind, draws: DRAWS, clipping_aware };
                AnyAttack::run(&attack, &model.session(&threat), &samples).unwrap();
                let calls = model.calls();
                calls
                    .iter()
                    .map(|call| threat.region(0, &clean).check(&call.inputs).unwrap())
                    .collect()
            };
            assert!(used(true).iter().all(|size| *size > 0.9999 * eps), "{norm} {kind:?}");
            let plain = used(false);
            assert!(
                norm == Norm::Linf || plain.iter().all(|size| *size < 0.8 * eps),
                "{norm} {kind:?}"
            );
        }
    }
    // Nothing can move downwards from a lower bound: those that can move upwards share the budget.
    let clean = [0.0, 0.0];
    let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
    let model = Toy::constant(2, vec![1.0, 0.0]);
    let threat = Threat::new(Norm::L2, 0.5);
    let attack = Noise { kind: NoiseKind::Sign, draws: 40, clipping_aware: true };
    AnyAttack::run(&attack, &model.session(&threat), &samples).unwrap();
    let mut points: Vec<_> = model.calls().iter().map(|call| call.inputs.clone()).collect();
    points.sort_by(|a, b| a.partial_cmp(b).unwrap());
    points.dedup();
    let half = 0.125_f32.sqrt();
    let expected = [[0.0, 0.0], [0.0, 0.5], [half, half], [0.5, 0.0]];
    assert_eq!(points.len(), 4, "{points:?}");
    for (point, expected) in points.iter().zip(expected) {
        assert!(point.iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-6), "{point:?}");
    }
}
