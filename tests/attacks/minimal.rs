//! Minimal-norm attacks where the smallest perturbation is known: margins that are affine in the input.

use ironbound::attack::{
    AnyAttack, AttackSpec, Family, Fgsm, Minimal, Outcome, Sample, Session, Starts,
};
use ironbound::{Aim, Bounds, LossKind, Norm, Threat, stream};
use rand::RngExt;

use crate::path::PATHS;
use crate::toy::Toy;

const SLACK: f64 = 1.05;

/// The multiple of the optimum that an attack is held to.
fn slack(attack: &AttackSpec, norm: Norm) -> f64 {
    match (norm, attack.id()) {
        // It keeps the features that change most, not those that matter most.
        (Norm::L0, "fmn") => 1.3,
        // It takes those of the steepest slope, however far they can go.
        (_, "jsma") => 1.6,
        // Features at their bounds tell half as much.
        (Norm::L1, "geoda") => 1.4,
        _ if attack.access() == "decision" => 1.25,
        _ => SLACK,
    }
}

fn attacks() -> Vec<AttackSpec> {
    let mut all = AttackSpec::all();
    // By default it only raises features, and few of them, which need not be enough.
    let tuned = "jsma:direction=both,max_share=1";
    let jsma = all.iter_mut().find(|attack| attack.id() == "jsma");
    *jsma.unwrap() = tuned.parse().unwrap();
    all.retain(|attack| attack.family() == Family::MinimalNorm && !PATHS.contains(&attack.id()));
    assert!(all.len() >= 9, "{all:?}");
    all
}

fn row(seed: u64, features: usize, low: f32, high: f32) -> Vec<f32> {
    let mut draw = stream(seed, "minimal", features, 0);
    (0..features).map(|_| draw.random_range(low..high)).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Two classes (the others far away) whose difference is `weights.x + bias` under a common offset that is anything but affine.
fn affine_margin(weights: Vec<f32>, bias: f64, classes: usize) -> Toy {
    let (w, features) = (weights.clone(), weights.len());
    let forward = move |x: &[f32]| {
        let (margin, offset) = (dot(x, &w) + bias, (3.0 * f64::from(x[0])).sin());
        let mut logits = vec![-50.0; classes];
        (logits[0], logits[1]) = ((margin / 2.0 + offset) as f32, (offset - margin / 2.0) as f32);
        logits
    };
    let backward = move |x: &[f32], c: &[f32]| {
        let mut gradient: Vec<f32> = weights.iter().map(|w| w * (c[0] - c[1]) / 2.0).collect();
        gradient[0] += (c[0] + c[1]) * 3.0 * (3.0 * x[0]).cos();
        gradient
    };
    Toy::new(features, classes, forward, backward)
}

/// The smallest size at which `weights.x` can fall by `gap` from `clean` within [0, 1], or without bounds.
fn optimum(norm: Norm, weights: &[f32], clean: &[f32], gap: f64, boxed: bool) -> f64 {
    let room = |i: usize| match (boxed, weights[i] > 0.0) {
        (false, _) => f64::INFINITY,
        (true, true) => f64::from(clean[i]),
        (true, false) => 1.0 - f64::from(clean[i]),
    };
    let slope = |i: usize| f64::from(weights[i].abs());
    let all = 0..weights.len();
    if matches!(norm, Norm::L0 | Norm::L1) {
        let gain = |i: usize| if norm == Norm::L0 { slope(i) * room(i) } else { slope(i) };
        let mut order: Vec<usize> = all.collect();
        order.sort_by(|&a, &b| gain(b).total_cmp(&gain(a)));
        let (mut left, mut size) = (gap, 0.0);
        for i in order {
            let moved = room(i).min(left / slope(i));
            size += if norm == Norm::L0 { 1.0 } else { moved };
            left -= moved * slope(i);
            if left <= 1e-12 {
                return size;
            }
        }
        panic!("out of reach");
    }
    let moved = |t: f64, i: usize| room(i).min(if norm == Norm::L2 { t * slope(i) } else { t });
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let t = f64::midpoint(low, high);
        let fallen: f64 = all.clone().map(|i| slope(i) * moved(t, i)).sum();
        if fallen < gap { low = t } else { high = t }
    }
    if norm == Norm::L2 { all.map(|i| moved(high, i).powi(2)).sum::<f64>().sqrt() } else { high }
}

fn assert_near(case: &str, outcome: &Outcome, size: f64, best: f64, slack: f64) {
    assert!(outcome.success, "{case}: not broken");
    let ratio = size / best;
    println!("{case}: {ratio:.4} of {best:.4}, {} queries", outcome.queries());
    assert!(ratio > 0.999, "{case}: {ratio}, the optimum is wrong");
    assert!(ratio <= slack, "{case}: {ratio}");
}

#[test]
fn within_a_twentieth_of_the_optimum() {
    for (features, boxed) in
        [8, 50, 500].into_iter().flat_map(|features| [(features, false), (features, true)])
    {
        let weights = row(1, features, -1.0, 1.0);
        let clean = row(2, features, 0.1, 0.9);
        // In a box, reaching the boundary takes a quarter of all that can be gained.
        let most: f64 = (0..features)
            .map(|i| {
                let room = if weights[i] > 0.0 { clean[i] } else { 1.0 - clean[i] };
                f64::from(weights[i].abs() * room)
            })
            .sum();
        // A sample of the other class, where no random one is: every second feature at the bound that helps.
        let mut other = row(4, features, 0.0, 1.0);
        for (x, w) in other.iter_mut().zip(&weights).step_by(2) {
            *x = f32::from(u8::from(*w < 0.0));
        }
        let starts = Starts { points: &other, labels: &[1], ids: &[0] };
        let gaps = if boxed { vec![0.05, 0.25 * most] } else { vec![0.7] };
        for gap in gaps {
            let model = affine_margin(weights.clone(), gap - dot(&weights, &clean), 3);
            for attack in attacks() {
                // A million queries of 500 features take long.
                if features > 50 && attack.access() == "score" {
                    continue;
                }
                for &norm in attack.norms() {
                    let bounds = if boxed { Bounds::default() } else { Bounds::NONE };
                    // The budget plays no part.
                    let threat = Threat::new(norm, 0.0).with_bounds(bounds);
                    let aims = [Aim::untargeted(0), Aim::targeted(0, 1)];
                    let samples = aims.map(|aim| Sample { id: 3, clean: &clean, aim });
                    let session = Session { starts, ..model.session(&threat) };
                    let outcomes = attack.run(&session, &samples).unwrap();
                    let best = optimum(norm, &weights, &clean, gap, boxed);
                    let slack = slack(&attack, norm);
                    for (outcome, aim) in outcomes.iter().zip(aims) {
                        let size = norm.size(&clean, outcome.point.as_ref().unwrap());
                        let id = attack.id();
                        let case = format!(
                            "{id} {norm}, {features} features, boxed {boxed}, gap {gap:.2}, target {:?}",
                            aim.target
                        );
                        assert_near(&case, outcome, size, best, slack);
                    }
                }
            }
        }
    }
}

/// Of several classes' boundaries, that which is nearest in the norm, not that to the largest logit.
#[test]
fn the_nearest_of_many_classes_is_found() {
    for features in [8, 50, 500] {
        let classes = 7;
        let weights: Vec<Vec<f32>> =
            (0..classes).map(|class| row(10 + class, features, -1.0, 1.0)).collect();
        let clean = row(20, features, -1.0, 1.0);
        // Class 0 leads by amounts that the slopes put in another order.
        let bias: Vec<f64> = (0..7)
            .map(|class| if class == 0 { 0.0 } else { -0.3 - 0.1 * f64::from(class) })
            .zip(&weights)
            .map(|(lead, w)| lead - dot(w, &clean))
            .collect();
        let forward = {
            let weights = weights.clone();
            move |x: &[f32]| -> Vec<f32> {
                weights.iter().zip(&bias).map(|(w, b)| (dot(w, x) + b) as f32).collect()
            }
        };
        let backward = {
            let weights = weights.clone();
            move |_: &[f32], c: &[f32]| -> Vec<f32> {
                (0..features).map(|i| weights.iter().zip(c).map(|(w, c)| w[i] * c).sum()).collect()
            }
        };
        let model = Toy::new(features, 7, forward, backward);
        for text in ["fab", "fab-t", "deepfool"] {
            let attack: AttackSpec = text.parse().unwrap();
            for &norm in attack.norms() {
                let distance = |class: usize| {
                    let w: Vec<f32> =
                        weights[0].iter().zip(&weights[class]).map(|(a, b)| a - b).collect();
                    optimum(norm, &w, &clean, 0.3 + 0.1 * class as f64, false)
                };
                let best = (1..7).map(distance).fold(f64::INFINITY, f64::min);
                let threat = Threat::new(norm, 0.0).with_bounds(Bounds::NONE);
                let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
                let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
                let size = norm.size(&clean, outcome.point.as_ref().unwrap());
                let case = format!("{text} {norm}, {features} features, 7 classes");
                assert_near(&case, &outcome, size, best, SLACK);
            }
        }
    }
}

/// The optimum over the features that may change.
#[test]
fn masked_features_are_left_alone() {
    let features = 20;
    let (weights, clean) = (row(1, features, -1.0, 1.0), row(2, features, 0.1, 0.9));
    let mask: Vec<bool> = (0..features).map(|i| i % 3 != 0).collect();
    let free = |values: &[f32]| -> Vec<f32> {
        values.iter().zip(&mask).filter(|(_, free)| **free).map(|(x, _)| *x).collect()
    };
    let model = affine_margin(weights.clone(), 0.2 - dot(&weights, &clean), 2);
    for attack in attacks() {
        for &norm in attack.norms() {
            let threat = Threat::new(norm, 0.0).with_mask(mask.clone());
            let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
            let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
            let point = outcome.point.as_ref().unwrap();
            for ((x, c), free) in point.iter().zip(&clean).zip(&mask) {
                assert!(*free || x == c, "{} {norm}", attack.id());
            }
            let best = optimum(norm, &free(&weights), &free(&clean), 0.2, true);
            let case = format!("{} {norm} masked", attack.id());
            let (size, slack) = (norm.size(&clean, point), slack(&attack, norm));
            assert_near(&case, &outcome, size, best, slack);
        }
    }
}

/// A margin that no point within the bounds brings down to zero.
#[test]
fn what_cannot_be_broken_is_not_broken() {
    let (weights, clean) = (row(1, 9, -1.0, 1.0), row(2, 9, 0.0, 1.0));
    let model = affine_margin(weights, 20.0, 3);
    for attack in attacks() {
        for &norm in attack.norms() {
            let threat = Threat::new(norm, 0.0);
            let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
            let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
            assert!(!outcome.success && outcome.queries() > 0, "{} {norm}", attack.id());
        }
    }
}

#[test]
fn a_clean_input_that_succeeds_is_the_smallest_perturbation() {
    let (weights, clean) = (row(1, 9, -1.0, 1.0), row(2, 9, 0.0, 1.0));
    let model = affine_margin(weights.clone(), -0.3 - dot(&weights, &clean), 3);
    for attack in attacks() {
        for &norm in attack.norms() {
            let threat = Threat::new(norm, 0.0);
            let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
            let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
            assert!(outcome.success, "{} {norm}", attack.id());
            let size = norm.size(&clean, &outcome.point.unwrap());
            assert!(size < 1e-6, "{} {norm}: {size}", attack.id());
        }
    }
}

#[test]
fn logits_that_are_not_finite_close_their_slot_only() {
    let forward = |x: &[f32]| vec![x[0], if x[0] > 0.9 { f32::NAN } else { 0.8 - x[0] }];
    let cleans = [vec![0.5], vec![1.0], vec![0.45]];
    let samples: Vec<Sample<'_>> =
        (0..3).map(|id| Sample { id, clean: &cleans[id], aim: Aim::untargeted(0) }).collect();
    for attack in attacks() {
        for &norm in attack.norms() {
            let model = Toy::new(1, 2, forward, |_, c| vec![c[0] - c[1]]);
            let threat = Threat::new(norm, 0.0);
            // From there, none of the others needs a point that has no finite logits.
            let starts = Starts { points: &[0.2], labels: &[1], ids: &[0] };
            let session = Session { starts, ..model.session(&threat) };
            let outcomes = attack.run(&session, &samples).unwrap();
            assert!(outcomes[1].non_finite.is_some_and(|(class, _)| class == 1));
            assert!(outcomes[0].success && outcomes[2].success, "{} {norm}", attack.id());
        }
    }
}

#[test]
fn flat_models_end_every_attack() {
    let clean = row(2, 9, 0.0, 1.0);
    let model = Toy::constant(9, vec![1.0, 0.0, 0.5]);
    for attack in attacks() {
        for &norm in attack.norms() {
            let threat = Threat::new(norm, 0.0);
            let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
            let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
            let sees = attack.access() != "decision";
            assert_eq!(outcome.zero_gradients > 0, sees, "{} {norm}", attack.id());
            assert!(!outcome.success, "{} {norm}", attack.id());
        }
    }
}

#[test]
fn a_norm_that_an_attack_does_not_work_in_is_refused() {
    let model = Toy::constant(2, vec![1.0, 0.0]);
    let samples = [Sample { id: 0, clean: &[0.5; 2], aim: Aim::untargeted(0) }];
    for (text, norm, expected) in [
        ("ddn", Norm::Linf, "`norm` is linf: ddn works in l2"),
        ("deepfool", Norm::L1, "`norm` is l1: deepfool works in l2, linf"),
        ("pgd", Norm::L0, "`norm` is l0: pgd works in l1, l2, linf"),
        ("minimal", Norm::L0, "`norm` is l0: minimal works in l1, l2, linf"),
    ] {
        let attack: AttackSpec = text.parse().unwrap();
        let threat = Threat::new(norm, 1.0);
        let refused = attack.run(&model.session(&threat), &samples).unwrap_err();
        assert_eq!(refused.to_string(), expected);
        assert!(model.calls().is_empty());
    }
}

#[test]
fn bisection_takes_any_attack_with_a_budget() {
    let attack: AttackSpec = "minimal:inner=pgd:steps=7;loss=margin,tolerance=0.1".parse().unwrap();
    let AttackSpec::Minimal(minimal) = &attack else { panic!("{attack:?}") };
    assert!(matches!(&*minimal.inner, AttackSpec::Pgd(pgd) if pgd.steps == 7));
    assert_eq!(attack.params()["inner"]["attack"], "pgd");
    let again: AttackSpec = serde_json::from_value(serde_json::to_value(&attack).unwrap()).unwrap();
    assert_eq!(again.params(), attack.params());
    assert_eq!("minimal:inner=noise".parse::<AttackSpec>().unwrap().access(), "blind");
    let own = Minimal::new(Fgsm::default());
    assert_eq!((own.id(), own.access()), ("minimal", "gradient"));
    let twice: AttackSpec = "minimal:inner=fab".parse().unwrap();
    assert_eq!(
        twice.validate().unwrap_err().to_string(),
        "`inner` is fab: expected an attack that takes a budget"
    );
    let typo = "minimal:inner=pgd:stepz=7".parse::<AttackSpec>().unwrap_err().to_string();
    assert!(typo.contains("unknown field `stepz`"), "{typo}");
}

/// Bisection on a model that one step solves exactly.
#[test]
fn bisection_finds_the_budget_of_a_single_step() {
    let (weights, clean) = (row(1, 30, -1.0, 1.0), row(2, 30, -1.0, 1.0));
    let model = affine_margin(weights.clone(), 0.7 - dot(&weights, &clean), 2);
    for norm in [Norm::L1, Norm::L2, Norm::Linf] {
        let threat = Threat::new(norm, 0.0).with_bounds(Bounds::NONE);
        let samples = [Sample { id: 5, clean: &clean, aim: Aim::untargeted(0) }];
        let attack = Minimal::new(Fgsm { loss: LossKind::Margin, ..Fgsm::default() });
        let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
        let size = norm.size(&clean, outcome.point.as_ref().unwrap());
        let best = optimum(norm, &weights, &clean, 0.7, false);
        assert_near(&format!("minimal fgsm {norm}"), &outcome, size, best, 1.011);
    }
}

/// Features with two bounds, one, none, and no room at all; some start on a bound.
#[test]
fn bounds_of_every_kind_hold() {
    let features = 24;
    let (weights, clean) = (row(1, features, 0.2, 1.0), row(2, features, 0.2, 0.8));
    let bounds = Bounds::PerFeature(
        (0..features)
            .map(|i| match i % 6 {
                0 => (0.0, 1.0),
                1 => (f32::NEG_INFINITY, clean[i]),
                2 => (clean[i], f32::INFINITY),
                3 => (f32::NEG_INFINITY, f32::INFINITY),
                4 => (clean[i], clean[i]),
                _ => (0.1, clean[i]),
            })
            .collect(),
    );
    let far_model = affine_margin(weights.clone(), 0.9 - dot(&weights, &clean), 2);
    for attack in attacks() {
        for &norm in attack.norms() {
            let threat = Threat::new(norm, f64::MAX).with_bounds(bounds.clone());
            let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
            let model = affine_margin(weights.clone(), 0.9 - dot(&weights, &clean), 2);
            let outcome = attack.run(&model.session(&threat), &samples).unwrap().remove(0);
            let region = threat.region(0, &clean);
            let id = attack.id();
            for point in model.calls().iter().flat_map(|call| call.inputs.chunks(features)) {
                assert!(region.check(point).is_ok(), "{id} {norm}: {:?}", region.check(point));
            }
            let size = region.distance(outcome.point.as_ref().unwrap());
            // FAB projects within the same bounds: nothing is much smaller than what it finds.
            let fab: AttackSpec = "fab".parse().unwrap();
            let Some(norm) = fab.norms().iter().find(|other| **other == norm) else {
                assert!(outcome.success, "{id} {norm}");
                continue;
            };
            let best = fab.run(&far_model.session(&threat), &samples).unwrap().remove(0);
            let best = norm.size(&clean, best.point.as_ref().unwrap());
            let slack = slack(&attack, *norm);
            assert!(outcome.success && size < slack * best, "{id} {norm}: {size} {best}");
        }
    }
}
