//! Attacks that only see decisions: curved boundaries, where they start, and what they say of it.

use ironbound::attack::{AnyAttack, AttackSpec, Sample, Session, Starts};
use ironbound::{Aim, Bounds, Dataset, Evaluation, Goal, Norm, Threat, stream};
use rand::RngExt;

use crate::path::PATHS;
use crate::toy::Toy;

fn attacks() -> Vec<AttackSpec> {
    let all = AttackSpec::all();
    let is_one = |a: &AttackSpec| a.access() == "decision" && !PATHS.contains(&a.id());
    let found: Vec<_> = all.into_iter().filter(is_one).collect();
    assert!(found.len() >= 3);
    found
}

fn row(seed: u64, features: usize) -> Vec<f32> {
    let mut draw = stream(seed, "decision", features, 0);
    (0..features).map(|_| draw.random_range(0.0..1.0)).collect()
}

/// Class 0 inside a ball around `centre`, class 1 outside of it.
fn ball(centre: Vec<f32>, radius: f64) -> Toy {
    let features = centre.len();
    let forward = move |x: &[f32]| vec![(radius - Norm::L2.size(&centre, x)) as f32, 0.0];
    Toy::new(features, 2, forward, |_, _| panic!("no gradients"))
}

/// Out of a ball, the shortest way leads away from its centre, and into it towards it.
#[test]
fn the_way_through_a_sphere_is_the_shortest() {
    for features in [8, 100] {
        let (centre, other) = (row(1, features), row(2, features));
        let gap = Norm::L2.size(&centre, &other);
        for (radius, label) in [(1.3 * gap, 0), (0.7 * gap, 1)] {
            let best = (radius - gap).abs();
            let model = ball(centre.clone(), radius);
            let threat = Threat::new(Norm::L2, 0.0).with_bounds(Bounds::NONE);
            // Of a ball in many dimensions, random points know nothing.
            let starts = Starts { points: &centre, labels: &[0], ids: &[0] };
            let session = Session { starts, ..model.session(&threat) };
            for aim in [Aim::untargeted(label), Aim::targeted(label, 1 - label)] {
                let samples = [Sample { id: 0, clean: &other, aim }];
                for attack in attacks() {
                    let outcome = attack.run(&session, &samples).unwrap().remove(0);
                    let name = format!("{} {features} {aim:?}", attack.id());
                    assert!(outcome.success && outcome.queries() <= 10_000, "{name}");
                    let ratio = Norm::L2.size(&other, &outcome.point.unwrap()) / best;
                    println!("{name}: {ratio}");
                    assert!(ratio > 0.999 && ratio < 1.25, "{name}: {ratio}");
                }
            }
        }
    }
}

/// Points whose labels are wrong are asked about, and not believed.
#[test]
fn starts_are_verified() {
    let (centre, other) = (row(1, 60), row(2, 60));
    let model = ball(centre.clone(), 0.5 * Norm::L2.size(&centre, &other));
    let threat = Threat::new(Norm::L2, 0.0);
    let samples = [Sample { id: 0, clean: &other, aim: Aim::untargeted(1) }];
    for attack in attacks() {
        let run = |points: &[f32], labels: &[usize], limit| {
            let starts = Starts { points, labels, ids: &[0] };
            let session = Session { starts, query_limit: limit, ..model.session(&threat) };
            attack.run(&session, &samples).unwrap().remove(0)
        };
        let (misled, alone) = (run(&row(3, 60), &[0], None), run(&row(3, 60), &[1], None));
        assert!(!misled.success && !alone.success, "{}", attack.id());
        // The clean input, the point that is offered, and a thousand random ones.
        assert_eq!((misled.queries(), alone.queries()), (1002, 1001), "{}", attack.id());
        assert!(run(&centre, &[0], Some(20)).success, "{}", attack.id());
        assert_eq!(run(&centre, &[0], Some(20)).queries(), 20, "{}", attack.id());
    }
}

/// Towards a class that no random point has, an evaluation starts from the data's samples of it, whichever are attacked.
#[test]
fn targeted_attacks_start_from_the_data() {
    const FEATURES: usize = 40;
    let islands: Vec<Vec<f32>> = (0..6).map(|seed| row(10 + seed, FEATURES)).collect();
    let middle = islands[5].clone();
    let forward = move |x: &[f32]| vec![0.5, (1.0 - Norm::L2.size(&middle, x)) as f32, 0.1];
    let model = Toy::new(FEATURES, 3, forward, |_, _| panic!("no gradients"));
    let labels = [0, 0, 0, 0, 0, 1];
    let values = islands.concat();
    let view = ndarray::ArrayView2::from_shape((6, FEATURES), &values).unwrap();
    let data = Dataset::from_arrays(view, &labels).unwrap();
    let threat = Threat::new(Norm::L2, 10.0).with_goal(Goal::Class(1));
    for attack in attacks() {
        let run = |batch, limit| {
            let run = Evaluation::new(&model, &data).preflight(false).attack(attack.clone());
            let run = run.threat(threat.clone()).batch(batch).range(0, limit);
            run.run().unwrap().rows.remove(0)
        };
        let whole = run(8, None);
        assert_eq!(whole.broken(), 5, "{}", attack.id());
        for (attempt, clean) in whole.attempts.iter().zip(&islands).take(5) {
            let found = attempt.adversarial.as_ref().unwrap();
            let ratio = found.distance / (Norm::L2.size(&islands[5], clean) - 0.5);
            assert!(ratio < 1.25, "{}: {ratio}", attack.id());
        }
        // The sample of the class is none of those that are attacked.
        for (batch, limit) in [(1, 5), (2, 3)] {
            let some = run(batch, Some(limit));
            assert_eq!(some.attempts, whole.attempts[..limit], "{}", attack.id());
        }
    }
}
