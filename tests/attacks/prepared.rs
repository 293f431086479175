//! Attacks that are made from the data set: one perturbation, one patch.

use ironbound::attack::{AnyAttack, AttackSpec, Starts};
use ironbound::evaluate::{Fate, Row};
use ironbound::{Bounds, Dataset, Evaluation, Goal, Norm, Report, Threat, stream};
use rand::RngExt;

use crate::toy::Toy;

const FEATURES: usize = 16;
const COUNT: usize = 24;

fn spec(text: &str) -> AttackSpec {
    text.parse().unwrap()
}

fn weights() -> Vec<f32> {
    let mut draw = stream(1, "prepared", 0, 0);
    (0..FEATURES).map(|_| draw.random_range(-1.0..1.0)).collect()
}

/// Class 0 leads by `weights · x + 1`, a margin between 0.1 and 3.
fn samples() -> (Vec<f32>, Vec<f64>) {
    let (weights, mut draw) = (weights(), stream(2, "prepared", 0, 0));
    let (mut inputs, mut margins) = (vec![], vec![]);
    while margins.len() < COUNT {
        let x: Vec<f32> = (0..FEATURES).map(|_| draw.random_range(0.0..1.0)).collect();
        let margin = 1.0 + x.iter().zip(&weights).map(|(x, w)| f64::from(x * w)).sum::<f64>();
        if (0.1..3.0).contains(&margin) {
            inputs.extend(x);
            margins.push(margin);
        }
    }
    (inputs, margins)
}

fn model() -> Toy {
    Toy::linear(weights(), 1.0, 2).shaped(&[4, 4])
}

fn data(inputs: &[f32]) -> Dataset {
    let count = inputs.len() / FEATURES;
    let view = ndarray::ArrayView3::from_shape((count, 4, 4), inputs).unwrap();
    Dataset::from_arrays(view, &vec![0; count]).unwrap()
}

fn fates(row: &Row) -> Vec<Fate> {
    row.fates()
}

/// All samples share the direction that is best for each of them: those with a smaller margin than it gains are broken.
#[test]
fn a_universal_perturbation_breaks_all_that_it_can() {
    let (inputs, margins) = samples();
    let (model, data) = (model(), data(&inputs));
    for (norm, eps) in [(Norm::Linf, 0.15), (Norm::L2, 0.5)] {
        for goal in [Goal::Untargeted, Goal::Class(1)] {
            let threat = Threat::new(norm, eps).with_bounds(Bounds::NONE).with_goal(goal);
            let run = Evaluation::new(&model, &data).preflight(false).threat(threat);
            let row = run.attack(spec("universal:train=10,batch=4")).run().unwrap().rows.remove(0);
            // The dual norm of the weights.
            let dual = if norm == Norm::L2 { Norm::L2 } else { Norm::L1 };
            let gain = eps * dual.size(&[0.0; FEATURES], &weights());
            let close = |margin: f64| (margin / gain - 1.0).abs() < 0.01;
            for (attempt, margin) in row.attempts.iter().zip(&margins) {
                let expected = if *margin < gain { Fate::Broken } else { Fate::Robust };
                assert!(close(*margin) || attempt.fate == expected, "{norm}: {margin} of {gain}");
                assert!((attempt.forward, attempt.backward) == (1, 0));
            }
            let broken: Vec<_> = row.attempts.iter().zip(inputs.chunks(FEATURES)).collect();
            let moves = broken.iter().filter_map(|(attempt, clean)| {
                let point = &attempt.adversarial.as_ref()?.point;
                Some(point.iter().zip(*clean).map(|(x, c)| x - c).collect::<Vec<_>>())
            });
            let moves: Vec<Vec<f32>> = moves.collect();
            assert!(moves.len() > 3 && moves.len() < COUNT, "{norm}: {}", moves.len());
            for other in &moves {
                assert!(other.iter().zip(&moves[0]).all(|(a, b)| (a - b).abs() < 1e-6), "{norm}");
            }
            assert_eq!((row.preparation.forward, row.preparation.backward), (200, 200));
        }
    }
}

/// It is made from the first samples of the data set, whichever are evaluated, and however.
#[test]
fn what_is_prepared_does_not_depend_on_the_part() {
    let (inputs, _) = samples();
    let (model, data) = (model(), data(&inputs));
    for text in ["universal:train=10,batch=4", "patch:share=0.3,epochs=10,batch=5"] {
        let run = |offset, batch, threads| {
            let threat = Threat::new(Norm::Linf, 0.15);
            let run = Evaluation::new(&model, &data).preflight(false).threat(threat);
            let run = run.attack(spec(text)).range(offset, None).batch(batch).threads(threads);
            run.run().unwrap().rows.remove(0)
        };
        let whole = run(0, 8, 1);
        assert!(whole.broken() > 0, "{text}");
        assert_eq!(run(0, 3, 2).attempts, whole.attempts, "{text}");
        assert_eq!(run(11, 5, 2).attempts, whole.attempts[11..], "{text}");
    }
}

/// A patch over all of the image is the brightest where that helps and the darkest elsewhere, and breaks what that breaks.
#[test]
fn a_patch_over_everything_is_the_best_image() {
    let (inputs, margins) = samples();
    let data = data(&inputs);
    let least: f64 = weights().iter().map(|w| f64::from(w.min(0.0))).sum::<f64>();
    for (lead, all) in [(-least - 0.02, true), (-least + 0.02, false)] {
        // Class 0 leads wherever the margin's constant is 1; the best image's margin is `lead + least`.
        let model = Toy::linear(weights(), lead as f32, 2).shaped(&[4, 4]);
        let threat = Threat::new(Norm::L1, 0.0);
        let run = Evaluation::new(&model, &data).preflight(false).threat(threat);
        let attack = spec("patch:share=1,scale=1,rotation=0,places=2");
        let results = run.attack(attack).run().unwrap();
        for (index, fate) in fates(&results.rows[0]).into_iter().enumerate() {
            let is_right = margins[index] - 1.0 + lead > 0.0;
            let expected = if is_right { (all, Fate::Broken) } else { (true, Fate::Wrong) };
            assert_eq!(fate == expected.1, expected.0, "{lead} {index}: {fate:?}");
        }
        let report = Report::new(&results);
        assert_eq!(report.worst_case[0].name(), "patch of 1, scale 1, rotation 0, 2 places");
        let preparation = report.attacks[0].preparation.unwrap();
        assert!((preparation.forward - 40.0 * COUNT as f64).abs() < 1e-9, "{preparation:?}");
        for broken in &report.attacks[0].broken {
            let place = broken.change.as_ref().unwrap();
            assert_eq!((&place["row"], &place["column"]), (&1.5.into(), &1.5.into()));
        }
    }
}

/// A goal of one class per sample is none for one perturbation: an error on every sample, and the other rows are there.
#[test]
fn a_goal_per_sample_is_an_error() {
    let (inputs, _) = samples();
    let (model, data) = (Toy::linear(weights(), 1.0, 3).shaped(&[4, 4]), data(&inputs));
    for text in ["universal", "patch"] {
        let threat = Threat::new(Norm::Linf, 0.1).with_goal(Goal::Random);
        let run = Evaluation::new(&model, &data).preflight(false).threat(threat);
        let rows = run.attack(spec(text)).attack(spec("noise")).run().unwrap().rows;
        let failed = rows.iter().find(|row| row.attack == text).unwrap();
        let attacked: Vec<_> = failed.attempts.iter().filter(|attempt| attempt.attacked).collect();
        assert!(!attacked.is_empty());
        for attempt in attacked {
            let message = attempt.error.as_ref().unwrap();
            assert!(message.starts_with("`goal` is one per sample"), "{message}");
        }
        assert!(rows.iter().any(|row| row.attack == "noise"));
    }
}

#[test]
fn nothing_to_learn_from_is_an_error() {
    let model = model();
    let threat = Threat::new(Norm::Linf, 0.1);
    let session = ironbound::attack::Session {
        starts: Starts { points: &[], labels: &[], ids: &[] },
        ..model.session(&threat)
    };
    for text in ["universal", "patch"] {
        let refused = spec(text).prepare(&session).unwrap_err().to_string();
        assert!(refused.contains("needs samples of the data set"), "{refused}");
    }
}
