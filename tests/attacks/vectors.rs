//! Published and recomputed known answers.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use ironbound::attack::{AnyAttack, Fgsm, Pgd, Sample, Square};
use ironbound::{
    Aim, Bounds, Classifier, CrossEntropy, Dlr, DlrTargeted, Loss, LossGradient, Norm, StepSize,
    Threat,
};
use serde_json::Value;

use crate::toy::Toy;

/// The known answers, or none, said aloud, where they are not installed.
fn vectors() -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/vectors.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        // Past the test harness, which would swallow a print.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} is not there", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    list(value).iter().map(|v| number(v) as f32).collect()
}

fn norm(value: &Value) -> Norm {
    value.as_str().unwrap().parse().unwrap()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= tolerance;
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(close), "found {found:?}, expected {expected:?}");
}

/// sigmoid(x W1) W2, the test model of cleverhans.
fn simple_model(weights: &Value) -> Toy {
    let matrix = |value: &Value| -> Vec<Vec<f32>> { list(value).iter().map(floats).collect() };
    let (w1, w2) = (matrix(&weights["w1"]), matrix(&weights["w2"]));
    let hidden = {
        let w1 = w1.clone();
        move |x: &[f32]| -> [f32; 2] {
            [0, 1].map(|k| 1.0 / (1.0 + (-(x[0] * w1[0][k] + x[1] * w1[1][k])).exp()))
        }
    };
    let forward = {
        let (hidden, w2) = (hidden.clone(), w2.clone());
        move |x: &[f32]| {
            let h = hidden(x);
            vec![h[0] * w2[0][0] + h[1] * w2[1][0], h[0] * w2[0][1] + h[1] * w2[1][1]]
        }
    };
    let backward = move |x: &[f32], c: &[f32]| {
        let h = hidden(x);
        let above =
            [0, 1].map(|k: usize| (w2[k][0] * c[0] + w2[k][1] * c[1]) * h[k] * (1.0 - h[k]));
        vec![w1[0][0] * above[0] + w1[0][1] * above[1], w1[1][0] * above[0] + w1[1][1] * above[1]]
    };
    Toy::new(2, 2, forward, backward)
}

#[test]
fn cleverhans_simple_model() {
    let Some(vectors) = vectors() else { return };
    let vectors = &vectors["cleverhans_simple_model"];
    for case in list(&vectors["cases"]) {
        let model = simple_model(vectors);
        let clean = floats(&case["x"]);
        let aim = Aim::untargeted(case["y"].as_u64().unwrap() as usize);
        let (mut out, loss): (_, Arc<dyn Loss>) = (LossGradient::default(), Arc::new(CrossEntropy));
        model.loss_and_gradient(clean[..].into(), &[aim], &loss, &mut out).unwrap();
        assert_close(&out.logits, &floats(&case["logits"]), 1e-6);
        assert_close(&out.loss, &[number(&case["cross_entropy"]) as f32], 1e-6);
        assert_close(&out.gradient, &floats(&case["gradient"]), 1e-6);
        for (key, norm) in [("fgsm_linf_0.1", Norm::Linf), ("fgm_l2_0.1", Norm::L2)] {
            let threat = Threat::new(norm, 0.1);
            let samples = [Sample { id: 0, clean: &clean, aim }];
            if case[key].is_array() {
                AnyAttack::run(&Fgsm::default(), &model.session(&threat), &samples).unwrap();
                let last = model.calls().pop().unwrap();
                assert_close(&last.inputs, &floats(&case[key]), 1e-6);
            }
        }
    }
}

/// A scalar loop in f64, without the crate's geometry.
#[test]
fn pgd_follows_the_textbook_loop() {
    let Some(vectors) = vectors() else { return };
    let weights = &vectors["cleverhans_simple_model"];
    let loss: Arc<dyn Loss> = Arc::new(CrossEntropy);
    let (clean, aim) = ([0.25_f32, 0.5], Aim::untargeted(0));
    for (norm, momentum) in [(Norm::Linf, 0.0), (Norm::Linf, 0.9), (Norm::L2, 0.0), (Norm::L2, 1.0)]
    {
        let (eps, step, steps) = (0.3, 0.07, 9);
        let model = simple_model(weights);
        let mut out = LossGradient::default();
        let (mut x, mut velocity) = (clean.map(f64::from), [0.0; 2]);
        for _ in 0..steps {
            model
                .loss_and_gradient(x.map(|x| x as f32)[..].into(), &[aim], &loss, &mut out)
                .unwrap();
            let g = [0, 1].map(|i| f64::from(out.gradient[i]));
            velocity = if momentum > 0.0 {
                [0, 1].map(|i| momentum * velocity[i] + g[i] / (g[0].abs() + g[1].abs()))
            } else {
                g
            };
            let direction =
                if norm == Norm::Linf { velocity.map(f64::signum) } else { unit(velocity) };
            let mut delta = [0, 1].map(|i| x[i] + step * direction[i] - f64::from(clean[i]));
            if norm == Norm::Linf {
                delta = delta.map(|d| d.clamp(-eps, eps));
            } else if delta[0].hypot(delta[1]) > eps {
                delta = unit(delta).map(|d| d * eps);
            }
            x = [0, 1].map(|i| (f64::from(clean[i]) + delta[i]).clamp(0.0, 1.0));
        }
        let threat = Threat::new(norm, eps);
        let attack = Pgd {
            steps,
            step: Some(step),
            random_start: false,
            momentum,
            early_stop: false,
            ..Pgd::default()
        };
        let samples = [Sample { id: 0, clean: &clean, aim }];
        let outcome = AnyAttack::run(&attack, &model.session(&threat), &samples).unwrap().remove(0);
        assert_eq!((outcome.forward, outcome.backward), (10, 9));
        let last = model.calls().pop().unwrap();
        assert!(!last.gradient);
        assert_close(&last.inputs, &x.map(|x| x as f32), 1e-5);
    }
}

fn unit(v: [f64; 2]) -> [f64; 2] {
    v.map(|x| x / v[0].hypot(v[1]))
}

#[test]
fn steepest_ascent() {
    let Some(vectors) = vectors() else { return };
    for case in list(&vectors["steepest_ascent"]) {
        let (gradient, eps) = (floats(&case["gradient"]), number(&case["eps"]));
        let threat = Threat::new(norm(&case["norm"]), eps).with_bounds(Bounds::NONE);
        for size in [StepSize::Absolute(eps), StepSize::Relative(1.0)] {
            let mut point = [0.0; 2];
            threat.region(0, &[0.0; 2]).step(&mut point, &gradient, size);
            let objective: f32 = point.iter().zip(&gradient).map(|(x, g)| x * g).sum();
            assert_close(&[objective], &[number(&case["objective"]) as f32], 1e-6);
            assert!(threat.region(0, &[0.0; 2]).distance(&point) <= eps + 1e-6);
            if let Some(size) = case["l1_of_step"].as_f64() {
                assert_close(&[Norm::L1.size(&[0.0; 2], &point) as f32], &[size as f32], 1e-6);
            }
        }
    }
}

#[test]
fn projections() {
    let Some(vectors) = vectors() else { return };
    for case in list(&vectors["projection"]) {
        let radius = case["radius"].as_f64().or(case["k"].as_f64()).unwrap();
        let threat = Threat::new(norm(&case["norm"]), radius).with_bounds(Bounds::NONE);
        let mut point = floats(&case["x"]);
        let clean = vec![0.0; point.len()];
        threat.region(0, &clean).project(&mut point);
        assert_close(&point, &floats(&case["projected"]), 0.0);
    }
}

#[test]
fn logits_ratios() {
    let Some(vectors) = vectors() else { return };
    let value = |loss: &dyn Loss, case: &Value| {
        let logits = floats(&case["logits"]);
        let label = case["y"].as_u64().unwrap() as usize;
        let target = case["target"].as_u64().map(|target| target as usize);
        loss.value_and_gradient(&logits, Aim { label, target }, &mut vec![0.0; logits.len()])
    };
    for case in list(&vectors["losses"]["dlr"]) {
        assert_close(&[value(&Dlr, case)], &[number(&case["value"]) as f32], 1e-6);
    }
    for case in list(&vectors["losses"]["dlr_targeted"]) {
        assert_close(&[value(&DlrTargeted, case)], &[number(&case["value"]) as f32], 1e-6);
    }
}

#[test]
fn eight_bit_levels_stay_within_eight_levels() {
    let eps = (8.0 / 255.0) as f32;
    let (mut naive, mut levels) = (0, 0);
    for level in 0..=247_u8 {
        let clean = [f32::from(level) / 255.0];
        for budget in [8.0 / 255.0, f64::from(eps)] {
            let threat = Threat::new(Norm::Linf, budget);
            let region = threat.region(0, &clean);
            let mut point = [clean[0] + 2.0 * eps];
            region.project(&mut point);
            assert!(region.check(&point).is_ok(), "level {level}");
            assert!(region.check(&[point[0].next_up()]).is_err(), "level {level}: not the nearest");
        }
        let threat = Threat::new(Norm::Linf, f64::from(eps));
        naive += u64::from(threat.region(0, &clean).check(&[clean[0] + eps]).is_err());
        levels += 1;
    }
    let Some(vectors) = vectors() else { return };
    let boundary = &vectors["f32_boundary"];
    let expected = &boundary["eight_bit_levels_where_fl_x_plus_eps_minus_x_exceeds_eps"];
    assert_eq!((Some(naive), Some(levels)), (expected.as_u64(), boundary["of"].as_u64()));
}

#[test]
fn an_unblocked_step_needs_the_region_without_its_box() {
    let threat = Threat::new(Norm::L1, 1.0);
    let clean = [1.0_f32, 0.5];
    let region = threat.region(0, &clean);
    let gradient = [2.0, 1.0];
    let mut point = clean;
    region.step(&mut point, &gradient, StepSize::Absolute(0.25));
    assert_eq!(point, [1.0, 0.75], "the blocked coordinate is passed over");
    let mut point = clean;
    let free = region.without_box();
    free.step(&mut point, &gradient, StepSize::Absolute(0.25));
    assert_eq!(point, [1.25, 0.5]);
}

#[test]
fn squares_shrink_on_schedule() {
    let Some(vectors) = vectors() else { return };
    let schedule = &vectors["square"];
    let queries = schedule["steps"].as_u64().unwrap() as usize;
    let turns: Vec<(usize, f64)> = list(&schedule["p_divided_by"])
        .iter()
        .map(|turn| (turn[0].as_u64().unwrap() as usize, number(&turn[1])))
        .collect();
    let all = Square { queries, ..Square::default() };
    let half = Square { queries: queries / 2, ..Square::default() };
    for step in 1..queries {
        let divisor =
            turns.iter().rev().find(|(after, _)| step > *after).map_or(1.0, |turn| turn.1);
        assert_eq!(all.share(step), 0.8 / divisor, "step {step}");
        if step % 2 == 0 {
            assert_eq!(half.share(step / 2), 0.8 / divisor, "step {} of half", step / 2);
        }
    }
}
