//! APGD's path against the algorithm of the paper, written down once more in f64.

use std::sync::Arc;

use ironbound::attack::{AnyAttack, Apgd, Sample};
use ironbound::{Aim, Bounds, Budget, Classifier, CrossEntropy, Loss, LossGradient, Norm, Threat};

use crate::toy::{Call, Toy};

const FEATURES: usize = 6;
const CLEAN: [f32; FEATURES] = [0.3, 0.8, 0.1, 0.6, 0.5, 0.9];
/// For 100 steps, as `vectors.json` states them.
const CHECKPOINTS: [usize; 8] = [22, 41, 57, 70, 80, 87, 93, 99];

/// A model that no perturbation breaks, so that runs go to their end: its last class leads by far everywhere.
fn unbreakable() -> Toy {
    let curved = Toy::curved(FEATURES, 4);
    let inner = Arc::new(Toy::curved(FEATURES, 4));
    let forward = move |x: &[f32]| {
        let mut logits = vec![];
        curved.logits_alone(x.into(), &mut logits).unwrap();
        logits[3] += 100.0;
        logits
    };
    let backward = move |x: &[f32], c: &[f32]| {
        let loss: Arc<dyn Loss> = Arc::new(Cotangent(c.to_vec()));
        let mut out = LossGradient::default();
        inner.loss_and_gradient(x.into(), &[Aim::untargeted(3)], &loss, &mut out).unwrap();
        out.gradient
    };
    Toy::new(FEATURES, 4, forward, backward)
}

/// A loss with this gradient.
#[derive(Debug)]
struct Cotangent(Vec<f32>);

impl Loss for Cotangent {
    fn name(&self) -> &'static str {
        "cotangent"
    }

    fn value_and_gradient(&self, _: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        gradient.copy_from_slice(&self.0);
        0.0
    }
}

/// The calls of one run.
fn calls(threat: &Threat, steps: usize) -> Vec<Call> {
    let model = unbreakable();
    let samples = [Sample { id: 2, clean: &CLEAN, aim: Aim::untargeted(3) }];
    let attack = Apgd { steps, ..Apgd::default() };
    let outcome = AnyAttack::run(&attack, &model.session(threat), &samples).unwrap().remove(0);
    assert!(!outcome.success);
    model.calls()
}

fn project(norm: Norm, point: [f64; FEATURES], eps: f64) -> [f64; FEATURES] {
    let clean = CLEAN.map(f64::from);
    let change = std::array::from_fn::<_, FEATURES, _>(|i| point[i] - clean[i]);
    let size = change.iter().map(|d| d * d).sum::<f64>().sqrt();
    std::array::from_fn(|i| {
        let d = if norm == Norm::Linf {
            change[i].clamp(-eps, eps)
        } else {
            change[i] * (eps / size).min(1.0)
        };
        (clean[i] + d).clamp(0.0, 1.0)
    })
}

#[test]
fn apgd_follows_the_papers_algorithm() {
    for (norm, eps) in [(Norm::Linf, 0.15), (Norm::Linf, 0.4), (Norm::L2, 0.3), (Norm::L2, 0.9)] {
        let asked = calls(&Threat::new(norm, eps), 100);
        assert_eq!(asked.len(), 101);
        let (model, loss): (_, Arc<dyn Loss>) = (unbreakable(), Arc::new(CrossEntropy));
        // The oracle is asked at the attack's own points: a rounding must not send the two apart.
        let query = |point: &[f32]| {
            let mut out = LossGradient::default();
            model.loss_and_gradient(point.into(), &[Aim::untargeted(3)], &loss, &mut out).unwrap();
            let gradient = std::array::from_fn::<_, FEATURES, _>(|i| f64::from(out.gradient[i]));
            (out.loss[0], gradient)
        };
        let seen =
            |call: &Call| std::array::from_fn::<_, FEATURES, _>(|i| f64::from(call.inputs[i]));
        let (mut x, mut before) = (seen(&asked[0]), seen(&asked[0]));
        let (mut f, mut gradient) = query(&asked[0].inputs);
        let mut best = (f, x, gradient);
        let (mut eta, mut rises, mut last, mut best_before, mut halved) =
            (2.0 * eps, 0, 0, f, false);
        let mut halvings = 0;
        for (at, call) in asked.iter().enumerate().skip(1) {
            let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let step = |g: f64| if norm == Norm::Linf { g.signum() } else { g / length };
            let z = project(norm, std::array::from_fn(|i| x[i] + eta * step(gradient[i])), eps);
            let blended =
                std::array::from_fn(|i| x[i] + 0.75 * (z[i] - x[i]) + 0.25 * (x[i] - before[i]));
            let next = if at == 1 { z } else { project(norm, blended, eps) };
            for (i, (expected, found)) in next.iter().zip(seen(call)).enumerate() {
                assert!((expected - found).abs() < 1e-6, "{norm} {eps} step {at} feature {i}");
            }
            (before, x) = (x, seen(call));
            let (value, slope) = query(&call.inputs);
            rises += usize::from(value > f);
            (f, gradient) = (value, slope);
            if f > best.0 {
                best = (f, x, gradient);
            }
            if CHECKPOINTS.contains(&at) {
                let few = (rises as f64) < 0.75 * (at - last) as f64;
                let stands = !halved && best_before == best.0;
                halved = few || stands;
                if halved {
                    eta /= 2.0;
                    (f, x, gradient) = best;
                    halvings += 1;
                }
                (rises, last, best_before) = (0, at, best.0);
            }
        }
        assert!(halvings > 2, "{norm} {eps}: {halvings} halvings");
    }
}

/// 30 % of the steps in the ball of three eps, 30 % in that of two, the rest in that of one; each phase asks once more.
#[test]
fn sparse_runs_come_in_from_larger_balls() {
    for bounds in [Bounds::default(), Bounds::NONE] {
        let threat = Threat::new(Norm::L1, 0.2).with_bounds(bounds);
        let asked = calls(&threat, 100);
        assert_eq!(asked.len(), 103);
        assert_eq!(asked.iter().filter(|call| call.gradient).count(), 100);
        let mut from = 0;
        for (factor, steps) in [(3.0, 30), (2.0, 30), (1.0, 40)] {
            let ball = Threat { budget: Budget::Scalar(0.2 * factor), ..threat.clone() };
            let phase = &asked[from..=from + steps];
            let sizes: Vec<f64> = phase
                .iter()
                .map(|call| ball.region(2, &CLEAN).check(&call.inputs).unwrap())
                .collect();
            let largest = sizes.iter().copied().fold(0.0, f64::max);
            assert!(largest > 0.2 * factor * 0.99, "{factor}: {largest}");
            from += steps + 1;
        }
    }
}
