//! Linear models: the smallest perturbation that reaches the boundary is (w.x + b) / |w|_dual, in every norm.

use ironbound::attack::{
    AnyAttack, Apgd, ApgdT, AttackSpec, AutoAttack, Fgsm, Pgd, Sample, Version,
};
use ironbound::{Aim, Bounds, Budget, LossKind, Norm, Threat, stream};
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

fn attacks() -> Vec<(&'static str, Box<dyn AnyAttack>)> {
    let pgd = Pgd::default();
    let mut all: Vec<(_, Box<dyn AnyAttack>)> = vec![
        ("fgsm", Box::new(Fgsm::default())),
        ("fgsm margin", Box::new(Fgsm { loss: LossKind::Margin, ..Fgsm::default() })),
        ("pgd", Box::new(pgd.clone())),
        ("pgd from the clean input", Box::new(Pgd { random_start: false, ..pgd.clone() })),
        ("pgd margin", Box::new(Pgd { loss: LossKind::Margin, ..pgd.clone() })),
        ("mi-fgsm of 40 steps", Box::new(Pgd { momentum: 1.0, random_start: false, ..pgd })),
    ];
    for text in [
        "mi-fgsm",
        "mi-fgsm:nesterov=true",
        "mi-fgsm:neighbours=2,nesterov=true",
        "pgd:losses=logit+margin,odi=2",
        "pgd:eot=2",
        "pgd-t",
        "pgd-t:odi=2,momentum=0.5",
    ] {
        all.push((text, Box::new(text.parse::<AttackSpec>().unwrap())));
    }
    all.extend(adaptive());
    all
}

/// The attacks that find their step size themselves.
fn adaptive() -> Vec<(&'static str, Box<dyn AnyAttack>)> {
    let targeted = ApgdT { loss: LossKind::Margin, ..ApgdT::default() };
    vec![
        ("apgd", Box::new(Apgd::default())),
        ("apgd margin", Box::new(Apgd { loss: LossKind::Margin, ..Apgd::default() })),
        ("apgd logit", Box::new(Apgd { loss: LossKind::Logit, ..Apgd::default() })),
        ("apgd-t margin", Box::new(targeted)),
        ("autoattack", Box::new(AutoAttack::default())),
    ]
}

/// Those whose losses need four classes.
fn with_ratios() -> Vec<(&'static str, Box<dyn AnyAttack>)> {
    vec![
        ("apgd dlr", Box::new(Apgd { loss: LossKind::Dlr, ..Apgd::default() })),
        ("apgd-t", Box::new(ApgdT::default())),
        ("autoattack quick", Box::new(AutoAttack { version: Version::Quick })),
    ]
}

#[test]
fn succeed_just_above_the_optimum_and_fail_just_below() {
    for features in [1, 2, 3, 7, 50, 200] {
        let mut draw = stream(1, "linear", features, 0);
        let weights: Vec<f32> = (0..features).map(|_| draw.random_range(-1.0..1.0)).collect();
        let clean: Vec<f32> = (0..features).map(|_| draw.random_range(-1.0..1.0)).collect();
        let dot: f32 = clean.iter().zip(&weights).map(|(x, w)| x * w).sum();
        let model = Toy::linear(weights.clone(), 0.7 - dot, 4);
        for (norm, aim) in
            NORMS.iter().flat_map(|&norm| [(norm, Aim::untargeted(0)), (norm, Aim::targeted(0, 1))])
        {
            let optimum = 0.7 / dual(norm, &weights);
            for (share, expected) in [(1.01, true), (0.99, false)] {
                let threat = Threat::new(norm, optimum * share).with_bounds(Bounds::NONE);
                let session = model.session(&threat);
                let samples = [Sample { id: 3, clean: &clean, aim }];
                for (name, attack) in attacks().into_iter().chain(with_ratios()) {
                    let outcome = attack.run(&session, &samples).unwrap().remove(0);
                    let case = format!("{name} {norm} {features} features, {share} of the optimum");
                    assert_eq!(outcome.success, expected, "{case}");
                    let point = outcome.point.unwrap();
                    let size = threat.region(3, &clean).check(&point).unwrap();
                    assert!(!expected || size >= optimum * 0.999, "{case}: size {size}");
                }
            }
        }
    }
}

/// In a box the L1 optimum fills the steepest coordinates one after the other.
#[test]
fn pgd_l1_fills_the_coordinates_that_the_box_leaves() {
    let weights = vec![1.0, 0.9, 0.8, 0.1];
    let clean = [0.9, 0.3, 0.5, 0.5];
    // Down from the clean input: 0.9 * 1 + 0.3 * 0.9 + 0.3 * 0.8 = 1.41 for a size of 1.5.
    for (bias, expected) in [(1.38, true), (1.42, false)] {
        let bias = bias - clean.iter().zip(&weights).map(|(x, w)| x * w).sum::<f32>();
        let model = Toy::linear(weights.clone(), bias, 2);
        let threat = Threat::new(Norm::L1, 1.5);
        let session = model.session(&threat);
        let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
        let attack = Pgd { random_start: false, ..Pgd::default() };
        let outcome = AnyAttack::run(&attack, &session, &samples).unwrap().remove(0);
        assert_eq!(outcome.success, expected, "bias {bias}");
    }
}

/// The size of the smallest perturbation in the box [0, 1] that lowers w.x by `lead`.
///
/// Of the perturbations of one size, that lowers it most which fills the steepest coordinates up (L1), moves all in
/// proportion to the weights (L2) or by the same amount (Linf), as far as the box lets each.
fn optimum_in_the_box(norm: Norm, weights: &[f32], clean: &[f32], lead: f64) -> f64 {
    let room = |i: usize| f64::from(if weights[i] > 0.0 { clean[i] } else { 1.0 - clean[i] });
    let steepness = |i: usize| f64::from(weights[i].abs());
    if norm == Norm::L1 {
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by(|&a, &b| steepness(b).total_cmp(&steepness(a)));
        let (mut left, mut size) = (lead, 0.0);
        for i in order {
            let moved = room(i).min(left / steepness(i));
            size += moved;
            left -= moved * steepness(i);
        }
        return size;
    }
    let moved = |t: f64| -> Vec<f64> {
        let pace = |i| if norm == Norm::L2 { steepness(i) } else { 1.0 };
        (0..weights.len()).map(|i| room(i).min(t * pace(i))).collect()
    };
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let t = f64::midpoint(low, high);
        let gain: f64 = moved(t).iter().enumerate().map(|(i, d)| d * steepness(i)).sum();
        if gain < lead { low = t } else { high = t }
    }
    let moved = moved(high);
    if norm == Norm::L2 {
        moved.iter().map(|d| d * d).sum::<f64>().sqrt()
    } else {
        moved.into_iter().fold(0.0, f64::max)
    }
}

#[test]
fn adaptive_steps_find_the_optimum_in_a_box() {
    for features in [1, 2, 8, 50, 500] {
        let mut draw = stream(2, "box", features, 0);
        let weights: Vec<f32> = (0..features).map(|_| draw.random_range(-1.0..1.0)).collect();
        let clean: Vec<f32> = (0..features).map(|_| draw.random_range(0.0..1.0)).collect();
        let dot: f32 = clean.iter().zip(&weights).map(|(x, w)| x * w).sum();
        // Far enough that the box cuts: half of what moving every feature to its bound gains.
        let reach: f32 = clean
            .iter()
            .zip(&weights)
            .map(|(x, w)| if *w > 0.0 { x * w } else { (x - 1.0) * w })
            .sum();
        let lead = reach / 2.0;
        let model = Toy::linear(weights.clone(), lead - dot, 4);
        for norm in NORMS {
            let optimum = optimum_in_the_box(norm, &weights, &clean, f64::from(lead));
            for (share, expected) in [(1.01, true), (0.99, false)] {
                let threat = Threat::new(norm, optimum * share);
                let session = model.session(&threat);
                let samples = [Sample { id: 3, clean: &clean, aim: Aim::untargeted(0) }];
                for (name, attack) in adaptive() {
                    let outcome = attack.run(&session, &samples).unwrap().remove(0);
                    let case = format!("{name} {norm} {features} features, {share} of the optimum");
                    assert_eq!(outcome.success, expected, "{case}");
                }
            }
        }
    }
}

/// With budgets per feature the optimum of the linear model is the sum of `|w_i| eps_i`.
#[test]
fn budgets_per_feature_and_per_sample_are_used_up() {
    let (weights, clean) = ([1.0, -2.0, 4.0], [0.5_f32; 3]);
    let reach = 0.1 + 2.0 * 0.2 + 4.0 * 0.05;
    for (share, expected) in [(0.99_f64, true), (1.01, false)] {
        let lead = reach * share;
        let model = Toy::linear(weights.to_vec(), lead as f32 - 1.5, 2);
        let mut per_feature = Threat::new(Norm::Linf, 0.0);
        per_feature.budget = Budget::PerFeature(vec![0.1, 0.2, 0.05]);
        let mut per_sample = Threat::new(Norm::Linf, 0.0);
        per_sample.budget = Budget::PerSample(vec![0.0, lead / 7.0 * 1.01, lead / 7.0 * 0.99]);
        let aim = Aim::untargeted(0);
        let samples = [0, 1, 2].map(|id| Sample { id, clean: &clean, aim });
        for (name, attack) in attacks() {
            let one = attack.run(&model.session(&per_feature), &samples[..1]).unwrap();
            assert_eq!(one[0].success, expected, "{name} {share}");
            let all = attack.run(&model.session(&per_sample), &samples).unwrap();
            let found: Vec<bool> = all.iter().map(|outcome| outcome.success).collect();
            assert_eq!(found, [false, true, false], "{name}");
        }
    }
}
