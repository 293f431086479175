//! The settings of the loop behind PGD and MI-FGSM, by the formulas of their papers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ironbound::attack::{AnyAttack, AttackSpec, Kernel, MiFgsm, Outcome, Pgd, PgdT, Sample};
use ironbound::{Aim, Bounds, Loss, LossKind, Norm, Threat, stream};
use rand::RngExt;

use crate::toy::Toy;

fn parse(text: &str) -> AttackSpec {
    text.parse().unwrap()
}

fn unbounded(norm: Norm, eps: f64) -> Threat {
    Threat::new(norm, eps).with_bounds(Bounds::NONE)
}

fn run(attack: &dyn AnyAttack, model: &Toy, threat: &Threat, clean: &[f32]) -> Outcome {
    let samples = [Sample { id: 4, clean, aim: Aim::untargeted(0) }];
    attack.run(&model.session(threat), &samples).unwrap().remove(0)
}

fn assert_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (x, e) in found.iter().zip(expected) {
        assert!((f64::from(*x) - e).abs() < 1e-5, "{what}: {found:?}, expected {expected:?}");
    }
}

/// The margin falls along (3, 1), too far from zero to be reached.
fn slope() -> Toy {
    Toy::linear(vec![-3.0, -1.0], 1000.0, 2)
}

/// Gradients over their L1 norm are (0.75, 0.25); with `momentum` 0.5 they add up to 1 and 1.5 of that.
#[test]
fn the_look_ahead_is_that_of_the_paper() {
    let root = 10.0_f64.sqrt();
    for (norm, step, unit) in [
        // The authors divide by the mean of two: twice as much.
        (Norm::Linf, [0.1, 0.1], 2.0),
        (Norm::L2, [0.3 / root, 0.1 / root], 2.0_f64.sqrt()),
        (Norm::L1, [0.1, 0.0], 1.0),
    ] {
        let model = slope();
        let attack = MiFgsm {
            steps: 3,
            step: Some(0.1),
            momentum: 0.5,
            nesterov: true,
            loss: LossKind::Margin,
            ..MiFgsm::default()
        };
        run(&attack, &model, &unbounded(norm, 1.0), &[0.0, 0.0]);
        let at = |steps: f64, ahead: f64| {
            let ahead = 0.5 * 0.1 * unit * ahead;
            [steps * step[0] + 0.75 * ahead, steps * step[1] + 0.25 * ahead]
        };
        let expected = [at(0.0, 0.0), at(1.0, 1.0), at(2.0, 1.5), at(3.0, 0.0)];
        let calls = model.calls();
        assert_eq!(calls.len(), 4);
        for (call, expected) in calls.iter().zip(expected) {
            assert_near(&call.inputs, &expected, &format!("{norm}"));
        }
    }
}

/// 50 - x0^2 - 2 x1^2 - x0 x1 / 2, whose slope is the fall's negative.
fn bowl() -> Toy {
    let forward = |x: &[f32]| {
        let (a, b) = (f64::from(x[0]), f64::from(x[1]));
        vec![(50.0 - a * a - 2.0 * b * b - 0.5 * a * b) as f32, 0.0]
    };
    Toy::new(2, 2, forward, |x, c| fall(x).map(|d| -(d as f32) * c[0]).to_vec())
}

fn fall(x: &[f32]) -> [f64; 2] {
    let (a, b) = (f64::from(x[0]), f64::from(x[1]));
    [2.0 * a + 0.5 * b, 4.0 * b + 0.5 * a]
}

#[test]
fn variance_tuning_is_that_of_the_paper() {
    let clean = [0.4, 0.3];
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        let model = bowl();
        let attack = MiFgsm {
            steps: 3,
            step: Some(0.05),
            momentum,
            nesterov,
            neighbours: 2,
            loss: LossKind::Margin,
            ..MiFgsm::default()
        };
        let eps = 0.2;
        let threat = unbounded(Norm::L2, eps);
        let outcome = run(&attack, &model, &threat, &clean);
        // Two steps with two points nearby each, one without, the last point.
        assert_eq!((outcome.forward, outcome.backward), (8, 7));
        let points: Vec<Vec<f32>> = model.calls().into_iter().map(|call| call.inputs).collect();
        let (mut x, mut variance, mut velocity) = (clean.map(f64::from), [0.0; 2], [0.0; 2]);
        for step in 0..3 {
            let at = &points[3 * step];
            let scale = if nesterov { 0.9 * 0.05 * 2.0_f64.sqrt() } else { 0.0 };
            let ahead = [0, 1].map(|i| x[i] + scale * velocity[i]);
            assert_near(at, &ahead, "the look-ahead");
            let here = fall(at);
            let tuned = [0, 1].map(|i| here[i] + variance[i]);
            if step < 2 {
                let nearby = [1, 2].map(|n| &points[3 * step + n]);
                for point in nearby {
                    let away = (0..2).map(|i| (f64::from(point[i]) - x[i]).powi(2)).sum::<f64>();
                    assert!(away.sqrt() <= 1.5 * eps + 1e-6 && away > 0.0, "{away}");
                }
                let [a, b] = nearby.map(|point| fall(point));
                variance = [0, 1].map(|i| (a[i] + b[i]) / 2.0 - here[i]);
            }
            let size = tuned[0].abs() + tuned[1].abs();
            velocity = [0, 1].map(|i| momentum * velocity[i] + tuned[i] / size);
            let length = velocity[0].hypot(velocity[1]);
            x = [0, 1].map(|i| x[i] + 0.05 * velocity[i] / length);
        }
        assert_near(&points[7], &x, &format!("momentum {momentum}, nesterov {nesterov}"));
    }
}

/// What is asked about is linear in the clean input, T x, and the step is along the gradient of w.T x.
#[test]
fn diversity_steps_along_the_gradient_of_the_resized_input() {
    let features = 2 * 6 * 5;
    let mut draw = stream(8, "diversity", 0, 0);
    let mut row = || -> Vec<f32> { (0..features).map(|_| draw.random_range(-1.0..1.0)).collect() };
    let (weights, clean) = (row(), row());
    let attack = MiFgsm {
        steps: 1,
        rel_step: Some(1.0),
        diversity: 1.0,
        resize: 0.5,
        loss: LossKind::Margin,
        ..MiFgsm::default()
    };
    let threat = unbounded(Norm::L2, 0.5);
    let asked = |clean: &[f32]| {
        let model = Toy::linear(weights.clone(), 1000.0, 2).shaped(&[2, 6, 5]);
        run(&attack, &model, &threat, clean);
        model.calls().into_iter().map(|call| call.inputs).collect::<Vec<_>>()
    };
    let base = asked(&clean);
    assert!(base[0].iter().filter(|x| **x == 0.0).count() >= 10, "padding");
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let minus =
        |a: &[f32], b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
    let step = minus(&base[1], &clean);
    // The step is of length 0.5 against T'w: every change d has w.Td = -|T'w| / 0.5 step.d.
    let mut factors = vec![];
    for _ in 0..6 {
        let change = row();
        let moved: Vec<f32> = clean.iter().zip(&change).map(|(x, d)| x + d).collect();
        let mapped = minus(&asked(&moved)[0], &base[0]);
        factors.push(dot(&weights, &mapped) / dot(&step, &change));
    }
    let (low, high) = factors.iter().fold((f64::MAX, f64::MIN), |(l, h), &f| (l.min(f), h.max(f)));
    assert!(high < 0.0 && (low - high).abs() < 1e-3 * low.abs(), "{factors:?}");
}

#[test]
fn kernels_smooth_the_direction() {
    let (rows, columns) = (5_i32, 4_i32);
    let mut draw = stream(9, "kernel", 0, 0);
    let weights: Vec<f32> = (0..20).map(|_| draw.random_range(-1.0..1.0)).collect();
    let model = Toy::linear(weights.clone(), 1000.0, 2).shaped(&[5, 4]);
    let attack = MiFgsm {
        steps: 1,
        kernel: Kernel::Uniform,
        kernel_size: 3,
        loss: LossKind::Margin,
        ..MiFgsm::default()
    };
    run(&attack, &model, &unbounded(Norm::L2, 1.0), &[0.0; 20]);
    let at = |r: i32, c: i32| {
        let inside = (0..rows).contains(&r) && (0..columns).contains(&c);
        if inside { f64::from(weights[(r * columns + c) as usize]) } else { 0.0 }
    };
    let smooth = |i: i32| -> f64 {
        let (r, c) = (i / columns, i % columns);
        (-1..=1).flat_map(|d| (-1..=1).map(move |a| (d, a))).map(|(d, a)| at(r + d, c + a)).sum()
    };
    let direction: Vec<f64> = (0..20).map(|i| -smooth(i)).collect();
    let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    let expected: Vec<f64> = direction.iter().map(|d| d / length).collect();
    assert_near(&model.calls()[1].inputs, &expected, "a smoothed step");
}

/// A gradient that swings from query to query, around (1, 0).
#[test]
fn averages_over_queries_still_a_random_model() {
    let count = Arc::new(AtomicUsize::new(0));
    let backward = move |_: &[f32], c: &[f32]| {
        let swing =
            if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { 5.0 } else { -5.0 };
        vec![-c[0], -c[0] * swing]
    };
    let model = Toy::new(2, 2, |_| vec![1.0, 0.0], backward);
    let attack =
        Pgd { steps: 3, rel_step: Some(0.2), random_start: false, eot: 2, ..Pgd::default() };
    let outcome = run(&attack, &model, &unbounded(Norm::L2, 1.0), &[0.0, 0.0]);
    assert_eq!((outcome.forward, outcome.backward), (7, 6));
    assert_near(&model.calls().pop().unwrap().inputs, &[0.6, 0.0], "three steps");
}

/// The logit of one class.
#[derive(Debug)]
struct Class(usize);

impl Loss for Class {
    fn name(&self) -> &'static str {
        "class"
    }

    fn value_and_gradient(&self, logits: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        gradient.fill(0.0);
        gradient[self.0] = 1.0;
        logits[self.0]
    }
}

/// The logits are the features.
fn identity(classes: usize) -> Toy {
    Toy::new(classes, classes, <[f32]>::to_vec, |_, c| c.to_vec())
}

#[test]
fn the_next_loss_goes_to_the_samples_that_are_left() {
    let losses = [1, 2].map(|class| LossKind::Custom(Arc::new(Class(class)))).to_vec();
    let attack =
        Pgd { steps: 5, rel_step: Some(0.25), losses, random_start: false, ..Pgd::default() };
    let cleans = [[0.5, 0.4, 0.0], [0.5, 0.0, 0.4], [0.5, 0.0, 0.0]];
    let samples: Vec<Sample<'_>> = cleans
        .iter()
        .enumerate()
        .map(|(id, clean)| Sample { id, clean, aim: Aim::untargeted(0) })
        .collect();
    let model = identity(3);
    let threat = Threat::new(Norm::Linf, 0.2);
    let outcomes = AnyAttack::run(&attack, &model.session(&threat), &samples).unwrap();
    let told: Vec<_> = outcomes.iter().map(|o| (o.success, o.forward, o.backward)).collect();
    // Three steps of 0.05 lead over the boundary; the query at that point is the fourth.
    assert_eq!(told, [(true, 4, 4), (true, 10, 9), (false, 12, 10)]);
}

/// On logits that are the features, the weights of the sum are the gradient.
#[test]
fn diverse_starts_are_steps_of_eps_along_random_logits() {
    let (model, clean) = (identity(6), [0.9, 0.5, 0.5, 0.5, 0.5, 0.5]);
    let threat = Threat::new(Norm::Linf, 0.03);
    let attack = Pgd { steps: 2, odi: 2, restarts: 2, random_start: false, ..Pgd::default() };
    let outcome = run(&attack, &model, &threat, &clean);
    assert_eq!((outcome.forward, outcome.backward), (10, 8));
    let calls = model.calls();
    // From a random start it takes both steps to be sure of the corner.
    let starts = [&calls[1].inputs, &calls[7].inputs];
    let signs = starts
        .map(|point| point.iter().zip(&clean).map(|(x, c)| (x - c).signum()).collect::<Vec<f32>>());
    for (point, signs) in starts.iter().zip(&signs) {
        let corner: Vec<f64> =
            clean.iter().zip(signs).map(|(c, s)| f64::from(*c) + 0.03 * f64::from(*s)).collect();
        assert_near(point, &corner, "a corner of the ball");
    }
    assert_eq!(calls[0].inputs, clean, "the first restart begins at the clean input");
    assert_ne!(calls[5].inputs, clean);
    assert_ne!(signs[0], signs[1], "each restart has its own sum");
}

/// The margin to the nearest class leads nowhere; the farther class is in reach.
#[test]
fn every_class_has_its_run() {
    let forward = |x: &[f32]| vec![0.0, -0.05 - 0.1 * x[1] * x[1], x[0] - 0.3];
    let backward = |x: &[f32], c: &[f32]| vec![c[2], -0.2 * x[1] * c[1]];
    let model = || Toy::new(2, 3, forward, backward);
    let clean = [0.0, 0.1];
    let threat = unbounded(Norm::Linf, 0.35);
    let margin = Pgd { loss: LossKind::Margin, random_start: false, ..Pgd::default() };
    assert!(!run(&margin, &model(), &threat, &clean).success);
    assert!(run(&PgdT::default(), &model(), &threat, &clean).success);
    // Only the class that is not in reach.
    let nearest = PgdT { classes: 1, rel_step: Some(1e-3), ..PgdT::default() };
    let outcome = run(&nearest, &model(), &unbounded(Norm::Linf, 0.2), &clean);
    assert_eq!((outcome.success, outcome.forward, outcome.backward), (false, 42, 40));
    let cases = [("pgd-t", 83, 80), ("pgd-t:restarts=3,steps=5,eot=2,odi=1,classes=1", 37, 33)];
    for (text, forward, backward) in cases {
        let flat = Toy::constant(2, vec![1.0, 0.0, 0.0]);
        let outcome = run(&parse(text), &flat, &threat, &clean);
        assert_eq!((outcome.forward, outcome.backward), (forward, backward), "{text}");
    }
}
