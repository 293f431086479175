//! Score-based attacks: linear models, query counts, shapes, and models that hide their gradients.

use ironbound::attack::{
    AnyAttack, AutoAttack, Basis, Nes, Pgd, Sample, Simba, Spsa, Square, Version,
};
use ironbound::{Aim, Bounds, LossKind, Norm, Threat, stream};
use rand::RngExt;

use crate::toy::Toy;

const NORMS: [Norm; 3] = [Norm::L1, Norm::L2, Norm::Linf];

fn dual(norm: Norm, weights: &[f32]) -> f64 {
    let sizes = weights.iter().map(|w| f64::from(w.abs()));
    match norm {
        Norm::L1 => sizes.fold(0.0, f64::max),
        Norm::L2 => sizes.map(|w| w * w).sum::<f64>().sqrt(),
        _ => sizes.sum(),
    }
}

/// The multiple of the optimum at which each succeeds, by norm: l1, l2, linf.
fn attacks() -> Vec<(&'static str, Box<dyn AnyAttack>, [f64; 3])> {
    let margin = || LossKind::Margin;
    let simba = Simba { loss: margin(), ..Simba::default() };
    let short = Simba { step: 0.02, ..simba.clone() };
    let waves = Simba { basis: Basis::Dct, frequencies: 1.0, ..simba.clone() };
    let nes = Nes { loss: margin(), ..Nes::default() };
    vec![
        ("square", Box::new(Square::default()), [1.3, 1.3, 1.01]),
        ("simba", Box::new(simba), [1.01, 4.0, 1.01]),
        ("simba, short steps", Box::new(short), [1.01, 1.3, 1.01]),
        ("simba dct", Box::new(waves), [4.0, 4.0, 4.0]),
        ("nes", Box::new(nes), [1.1, 1.1, 2.0]),
        ("spsa", Box::new(Spsa { step: 0.05, ..Spsa::default() }), [1.5, 1.5, 1.5]),
    ]
}

#[test]
fn linear_models_fall_above_the_optimum_and_stand_below() {
    for features in [1, 2, 8, 50, 200] {
        let mut draw = stream(1, "linear", features, 0);
        let weights: Vec<f32> = (0..features).map(|_| draw.random_range(-1.0..1.0)).collect();
        let clean: Vec<f32> = (0..features).map(|_| draw.random_range(-1.0..1.0)).collect();
        let dot: f32 = clean.iter().zip(&weights).map(|(x, w)| x * w).sum();
        let model = Toy::linear(weights.clone(), 0.7 - dot, 4);
        for (name, attack, multiples) in attacks() {
            for (norm, multiple) in NORMS.into_iter().zip(multiples) {
                let optimum = 0.7 / dual(norm, &weights);
                for (share, expected) in [(multiple, true), (0.99, false)] {
                    let threat = Threat::new(norm, optimum * share).with_bounds(Bounds::NONE);
                    for aim in [Aim::untargeted(0), Aim::targeted(0, 1)] {
                        let samples = [Sample { id: 3, clean: &clean, aim }];
                        let session = model.session(&threat);
                        let outcome = attack.run(&session, &samples).unwrap().remove(0);
                        let case = format!("{name} {norm} {features} features, {share} {aim:?}");
                        assert_eq!(outcome.success, expected, "{case}");
                        threat.region(3, &clean).check(&outcome.point.unwrap()).unwrap();
                    }
                }
            }
        }
    }
}

/// No point changes these logits: attacks run to their end.
#[test]
fn the_queries_are_those_of_the_documentation() {
    let clean = [0.5; 24];
    let samples = [Sample { id: 1, clean: &clean, aim: Aim::untargeted(0) }];
    let square = Square { queries: 70, restarts: 3, ..Square::default() };
    let cases: [(Box<dyn AnyAttack>, u64); 8] = [
        (Box::new(Square::default()), 5000),
        (Box::new(square), 210),
        (Box::new(Simba::default()), 10_001),
        (Box::new(Simba { steps: 30, basis: Basis::Dct, ..Simba::default() }), 61),
        (Box::new(Nes::default()), 5001),
        (Box::new(Nes { steps: 3, pairs: 4, ..Nes::default() }), 25),
        (Box::new(Spsa::default()), 12_801),
        (Box::new(Spsa { steps: 3, pairs: 4, ..Spsa::default() }), 25),
    ];
    for (attack, expected) in cases {
        for norm in NORMS {
            let model = Toy::constant(24, vec![1.0, 0.0, 0.0]).shaped(&[2, 3, 4]);
            let threat = Threat::new(norm, 0.3);
            let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
            assert_eq!((outcome.forward, outcome.backward), (expected, 0), "{norm} {attack:?}");
        }
    }
}

/// What `AutoAttack` documents for ten classes.
#[test]
fn the_ensemble_asks_what_it_documents() {
    let clean = [0.5; 6];
    let samples = [Sample { id: 1, clean: &clean, aim: Aim::untargeted(0) }];
    let threat = Threat::new(Norm::Linf, 0.1);
    for (version, forward, backward) in [
        (Version::Standard, 7815, 1900),
        (Version::Plus, 13_728, 7300),
        (Version::Rand, 4002, 4000),
        (Version::Quick, 85, 80),
    ] {
        // FAB finds the boundary, beyond the budget.
        let model = Toy::linear(vec![0.5; 6], -1.0, 10);
        let attack = AutoAttack { version };
        let outcome = AnyAttack::run(&attack, &model.session(&threat), &samples).unwrap().remove(0);
        assert_eq!((outcome.forward, outcome.backward), (forward, backward), "{version:?}");
    }
}

/// Images, volumes and vectors, in a box, with a mask: every point asked about is feasible, and every free feature moves.
#[test]
fn squares_have_any_shape() {
    for shape in
        [&[3, 8, 6][..], &[8, 6, 3], &[1, 9, 4], &[4, 9], &[2, 3, 4, 5], &[40], &[1], &[2, 2]]
    {
        let features: usize = shape.iter().product();
        let mut draw = stream(4, "shapes", features, 0);
        let clean: Vec<f32> = (0..features).map(|_| draw.random_range(0.0..1.0)).collect();
        let mask: Vec<bool> = (0..features).map(|i| features < 3 || i % 3 == 0).collect();
        let weights: Vec<f32> = (0..features).map(|_| draw.random_range(-1.0..1.0)).collect();
        for norm in NORMS {
            let model = Toy::linear(weights.clone(), 1000.0, 3).shaped(shape);
            let threat = Threat::new(norm, 0.1).with_mask(mask.clone());
            let region = threat.region(0, &clean);
            let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
            let attack = Square { queries: 400, ..Square::default() };
            AnyAttack::run(&attack, &model.session(&threat), &samples).unwrap();
            let mut moved = vec![false; features];
            for call in model.calls() {
                region.check(&call.inputs).unwrap();
                for (moved, (x, c)) in moved.iter_mut().zip(call.inputs.iter().zip(&clean)) {
                    *moved |= x != c;
                }
            }
            assert_eq!(moved, mask, "{norm} {shape:?}");
        }
    }
}

/// A staircase has no slope, but scores that tell steps apart.
#[test]
fn hidden_gradients_do_not_stop_scores() {
    let forward = |x: &[f32]| {
        let sum: f32 = x.iter().enumerate().map(|(i, x)| if i % 3 == 0 { -x } else { *x }).sum();
        vec![((sum - 3.0) * 20.0).floor() / 20.0, 0.0]
    };
    let model = || Toy::new(24, 2, forward, |_, _| vec![0.0; 24]).shaped(&[2, 3, 4]);
    let clean = [0.5; 24];
    let samples = [Sample { id: 1, clean: &clean, aim: Aim::untargeted(0) }];
    // The lead is 1.0 and 24 features can lower it by 0.05 each, to -0.2.
    let threat = Threat::new(Norm::Linf, 0.05);
    let run = |attack: &dyn AnyAttack| {
        attack.run(&model().session(&threat), &samples).unwrap().remove(0).success
    };
    assert!(!run(&Pgd::default()));
    assert!(!run(&AutoAttack { version: Version::Quick }));
    assert!(run(&AutoAttack::default()));
    assert!(run(&Square::default()));
    assert!(run(&Simba::default()));
    assert!(run(&Spsa::default()));
    assert!(run(&Nes { sigma: 0.02, ..Nes::default() }));
}
