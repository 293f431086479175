//! Rotations and shifts: what they make of images, and which of them an attack tries.

use ironbound::attack::{AnyAttack, AttackSpec, Pose, Sample, Spatial, Subject};
use ironbound::{Aim, Bounds, Classifier, Dataset, Evaluation, Norm, Report, Threat, stream};
use rand::RngExt;
use serde_json::json;

use crate::toy::Toy;

const SIDE: usize = 7;
const LOWER: f32 = -1.0;
const UPPER: f32 = 3.0;

fn spec(text: &str) -> AttackSpec {
    text.parse().unwrap()
}

fn image(seed: u64, count: usize) -> Vec<f32> {
    let mut draw = stream(seed, "spatial", 0, 0);
    (0..count).map(|_| draw.random_range(LOWER..UPPER)).collect()
}

/// What a pose makes of an image, by an attack that allows everything.
fn posed(image: &[f32], shape: &[usize], rotation: f64, down: f64, right: f64) -> Vec<f32> {
    let all = Spatial { rotation: 180.0, shift: 1.0, ..Spatial::default() };
    let bounds = Bounds::Uniform(LOWER, UPPER);
    let subject = Subject { id: 0, clean: image, shape, bounds: &bounds, seed: 0 };
    let change = json!({ "rotation": rotation, "down": down, "right": right });
    all.transform().unwrap().render(&subject, &change).unwrap()
}

fn assert_close(found: &[f32], expected: impl Fn(usize, usize) -> f32, what: &str) {
    for (at, x) in found.iter().enumerate() {
        let wanted = expected(at / SIDE, at % SIDE);
        assert!((x - wanted).abs() < 1e-5, "{what}: {x} at {at}, expected {wanted}");
    }
}

#[test]
fn whole_turns_and_whole_pixels_move_values() {
    let (image, shape) = (image(1, SIDE * SIDE), [SIDE, SIDE]);
    let at = |row: usize, column: usize| image[row * SIDE + column];
    let last = SIDE - 1;
    assert_close(&posed(&image, &shape, 0.0, 0.0, 0.0), at, "nothing");
    // Counter-clockwise: the first row becomes the first column, from below.
    assert_close(&posed(&image, &shape, 90.0, 0.0, 0.0), |r, c| at(c, last - r), "90");
    assert_close(&posed(&image, &shape, -90.0, 0.0, 0.0), |r, c| at(last - c, r), "-90");
    assert_close(&posed(&image, &shape, 180.0, 0.0, 0.0), |r, c| at(last - r, last - c), "180");
    let shifted = |r: usize, c: usize| {
        if r >= 2 && c + 1 < SIDE { at(r - 2, c + 1) } else { LOWER }
    };
    assert_close(&posed(&image, &shape, 0.0, 2.0, -1.0), shifted, "shift");
    // Turned, then shifted.
    let both = |r: usize, c: usize| if r > 0 { at(c, last - (r - 1)) } else { LOWER };
    assert_close(&posed(&image, &shape, 90.0, 1.0, 0.0), both, "turn and shift");
}

#[test]
fn between_pixels_it_is_linear() {
    let (image, shape) = (image(2, SIDE * SIDE), [SIDE, SIDE]);
    let at = |row: usize, column: usize| image[row * SIDE + column];
    let half = |r: usize, c: usize| {
        let left = if c > 0 { at(r, c - 1) } else { LOWER };
        f32::midpoint(left, at(r, c))
    };
    assert_close(&posed(&image, &shape, 0.0, 0.0, 0.5), half, "half a pixel");
    // A plane stays one under any turn, where no black is near.
    let plane = |r: f64, c: f64| 0.9 + 0.11 * r - 0.07 * c;
    let flat: Vec<f32> =
        (0..SIDE * SIDE).map(|i| plane((i / SIDE) as f64, (i % SIDE) as f64) as f32).collect();
    for degrees in [10.0_f64, 33.0, -77.0] {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        let found = posed(&flat, &shape, degrees, 0.3, -0.2);
        let mut compared = 0;
        for (i, x) in found.iter().enumerate() {
            let (y, z) = ((i / SIDE) as f64 - 3.0 - 0.3, (i % SIDE) as f64 - 3.0 + 0.2);
            let (r, c) = (3.0 + y * cosine + z * sine, 3.0 + z * cosine - y * sine);
            if (0.0..=6.0).contains(&r) && (0.0..=6.0).contains(&c) {
                assert!((f64::from(*x) - plane(r, c)).abs() < 1e-5, "{degrees} {i}");
                compared += 1;
            }
        }
        assert!(compared > 20);
    }
}

#[test]
fn channels_turn_together() {
    let planes = [image(3, 36), image(4, 36)];
    let apart: Vec<f32> = planes.iter().flat_map(|p| posed(p, &[6, 6], 20.0, 1.0, 0.5)).collect();
    assert_eq!(posed(&planes.concat(), &[2, 6, 6], 20.0, 1.0, 0.5), apart);
    let last: Vec<f32> = (0..36).flat_map(|i| planes.iter().map(move |plane| plane[i])).collect();
    let found = posed(&last, &[6, 6, 2], 20.0, 1.0, 0.5);
    for (i, pixel) in found.chunks(2).enumerate() {
        assert_eq!(pixel, [apart[i], apart[36 + i]]);
    }
}

#[test]
fn what_is_out_of_range_is_not_rendered() {
    let (clean, bounds) = (image(1, SIDE * SIDE), Bounds::Uniform(LOWER, UPPER));
    let shape = [SIDE, SIDE];
    let subject = Subject { id: 0, clean: &clean, shape: &shape, bounds: &bounds, seed: 0 };
    let attack = spec("spatial:rotation=10,shift=2/7");
    let render = |rotation: f64, down: f64, right: f64| {
        let change = json!({ "rotation": rotation, "down": down, "right": right });
        attack.transform().unwrap().render(&subject, &change).is_some()
    };
    assert!(render(10.0, 2.0, -2.0) && render(-10.0, 0.0, 0.0));
    assert!(!render(10.1, 0.0, 0.0) && !render(0.0, 2.1, 0.0) && !render(0.0, 0.0, -2.1));
    assert!(!render(f64::NAN, 0.0, 0.0));
    let other = attack.transform().unwrap().render(&subject, &json!({ "rotation": 1 }));
    assert!(other.is_none(), "a change that lacks a shift");
}

/// Class 1 where the pixel right of the middle is bright: it is dark unless the image turns by 45 degrees or more, or shifts.
fn bright(from: f32) -> Toy {
    let forward = move |x: &[f32]| vec![from, x[3 * SIDE + 4]];
    Toy::new(SIDE * SIDE, 2, forward, |_, _| panic!("no gradients")).shaped(&[SIDE, SIDE])
}

#[test]
fn the_grid_is_tried_from_the_smallest_change_on() {
    let mut clean = vec![LOWER; SIDE * SIDE];
    clean[2 * SIDE + 3] = UPPER;
    let threat = Threat::new(Norm::L2, 0.0).with_bounds(Bounds::Uniform(LOWER, UPPER));
    let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
    // Turned by -90 degrees, the bright pixel above the middle is right of it.
    let turns = spec("spatial:rotation=90,rotations=3,shift=0,shifts=1");
    let outcome = turns.run(&bright(2.9).session(&threat), &samples).unwrap().remove(0);
    assert!(outcome.success);
    assert_eq!(
        outcome.forward,
        2 + u64::from(
            outcome.change == Some(json!(Pose { rotation: 90.0, down: 0.0, right: 0.0 }))
        )
    );
    let pose: Pose = serde_json::from_value(outcome.change.unwrap()).unwrap();
    assert_eq!((pose.rotation.abs(), pose.down, pose.right), (90.0, 0.0, 0.0));
    // Shifts by a pixel down and right do as well.
    let shifts = spec("spatial:rotation=0,rotations=1,shift=1/7,shifts=3");
    let outcome = shifts.run(&bright(2.9).session(&threat), &samples).unwrap().remove(0);
    let pose: Pose = serde_json::from_value(outcome.change.unwrap()).unwrap();
    assert_eq!((pose.rotation, pose.down, pose.right), (0.0, 1.0, 1.0));
    // Nothing does: the whole grid, and each random try.
    for (text, count) in [("spatial", 775), ("spatial:tries=20", 20)] {
        let model = bright(3.5);
        let outcome = spec(text).run(&model.session(&threat), &samples).unwrap().remove(0);
        assert_eq!((outcome.success, outcome.forward), (false, count), "{text}");
        let distinct: std::collections::BTreeSet<_> = model
            .calls()
            .iter()
            .map(|call| call.inputs.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
            .collect();
        assert!(distinct.len() > 15, "{text}");
    }
}

#[test]
fn a_report_says_which_pose_broke_a_sample() {
    let mut clean = vec![LOWER; SIDE * SIDE];
    clean[2 * SIDE + 3] = UPPER;
    let view = ndarray::ArrayView3::from_shape((1, SIDE, SIDE), &clean).unwrap();
    let data = Dataset::from_arrays(view, &[0]).unwrap();
    let model = bright(2.9);
    let bounds = Bounds::Uniform(LOWER, UPPER);
    let threat = |eps| Threat::new(Norm::Linf, eps).with_bounds(bounds.clone());
    let run = Evaluation::new(&model, &data).preflight(false).threat(threat(0.1));
    let run = run.threat(threat(0.2)).attack(spec("spatial:rotation=90,rotations=3,shifts=1"));
    let run = run.attack(spec("spatial:rotation=90,tries=3"));
    let report = Report::new(&run.run().unwrap());
    assert_eq!(report.attacks.len(), 2, "one row each, whatever the budgets");
    let run = Evaluation::new(&model, &data).preflight(false).attack(spec("spatial"));
    let refused = run.run().unwrap_err().to_string();
    assert!(refused.starts_with("`threat` is not there for spatial"), "{refused}");
    assert_eq!(report.worst_case.len(), 1, "the same ranges are one threat");
    assert_eq!(report.worst_case[0].name(), "rotation 90 and shift 0.1071");
    let change = report.attacks[0].broken[0].change.as_ref().unwrap();
    let pose: Pose = serde_json::from_value(change.clone()).unwrap();
    let shape = model.info().shape.clone();
    let subject = Subject { id: 0, clean: &clean, shape: &shape, bounds: &bounds, seed: 0 };
    let point =
        spec("spatial:rotation=90").transform().unwrap().render(&subject, &json!(pose)).unwrap();
    assert!(point[3 * SIDE + 4] > 2.9, "the pose breaks the sample again");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |text: &str| spec(text).validate().unwrap_err().to_string();
    assert!(refused("spatial:rotation=200").starts_with("`rotation` is 200: expected degrees"));
    assert!(refused("spatial:shift=2").starts_with("`shift` is 2"));
    assert!(refused("spatial:shifts=0").starts_with("`shifts` is 0"));
    assert!(refused("spatial:tries=0").starts_with("`tries` is 0"));
    let vector = Toy::constant(49, vec![1.0, 0.0]);
    let fault = spec("spatial").check_model(vector.info()).unwrap_err().to_string();
    assert!(fault.contains("it takes images"), "{fault}");
}
