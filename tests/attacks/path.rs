//! Attacks along a path, on models where the first success on it is known.

use ironbound::attack::{AnyAttack, AttackSpec, Outcome, Sample};
use ironbound::{Aim, Bounds, Norm, Threat, stream};
use rand::RngExt;

use crate::toy::Toy;

/// They look for the first success on a path, whatever the model says, not for the smallest of all perturbations.
pub(crate) const PATHS: [&str; 7] = [
    "blended-noise",
    "contrast-reduction",
    "corruption",
    "inversion",
    "patch",
    "salt-and-pepper",
    "spatial",
];

const PIXELS: usize = 12;
const LOWER: f32 = -1.0;
const UPPER: f32 = 3.0;

fn draw(seed: u64, low: f32, high: f32) -> Vec<f32> {
    let mut draw = stream(seed, "path", 0, 0);
    (0..PIXELS).map(|_| draw.random_range(low..high)).collect()
}

fn threat(norm: Norm) -> Threat {
    Threat::new(norm, 0.0).with_bounds(Bounds::Uniform(LOWER, UPPER))
}

fn attack(model: &Toy, text: &str, threat: &Threat, clean: &[f32]) -> Outcome {
    let attack: AttackSpec = text.parse().unwrap();
    let samples = [Sample { id: 4, clean, aim: Aim::untargeted(0) }];
    attack.run(&model.session(threat), &samples).unwrap().remove(0)
}

/// A linear model that changes its mind at `share` of the line from `clean` to `end`; the share that an attack found.
fn found(text: &str, share: f64, clean: &[f32], end: &[f32]) -> f64 {
    let moved: Vec<f32> = end.iter().zip(clean).map(|(end, clean)| end - clean).collect();
    let weights: Vec<f32> = moved.iter().map(|moved| -moved).collect();
    let along = |x: &[f32]| -> f64 {
        x.iter().zip(&moved).map(|(x, m)| f64::from(*x) * f64::from(*m)).sum()
    };
    let bias = along(clean) + share * (along(end) - along(clean));
    let model = Toy::linear(weights, bias as f32, 2);
    let outcome = attack(&model, text, &threat(Norm::L2), clean);
    assert!(outcome.success, "{text} {share}");
    let point = outcome.point.unwrap();
    let found = (along(&point) - along(clean)) / (along(end) - along(clean));
    for ((x, c), moved) in point.iter().zip(clean).zip(&moved) {
        assert!(
            (f64::from(x - c) - found * f64::from(*moved)).abs() < 1e-5,
            "{text}: off the line"
        );
    }
    found
}

#[test]
fn the_first_success_on_a_line_is_found() {
    let clean = draw(1, LOWER, UPPER);
    let level = |share: f32| vec![LOWER + share * (UPPER - LOWER); PIXELS];
    for share in [0.004, 0.3, 0.777, 0.999] {
        for (text, end) in
            [("contrast-reduction", level(0.5)), ("contrast-reduction:level=0.9", level(0.9))]
        {
            let ratio = found(text, share, &clean, &end) - share;
            assert!((-1e-6..2e-5).contains(&ratio), "{text} {share}: {ratio}");
        }
        let coarse = found("contrast-reduction:steps=10,halvings=0", share, &clean, &level(0.5));
        assert!((coarse - (share * 10.0).ceil() / 10.0).abs() < 1e-6, "{share}: {coarse}");
    }
}

/// Broken between 20 and 30 % of the way, and again at its end.
#[test]
fn a_success_before_another_one_counts() {
    let clean = vec![UPPER; PIXELS];
    let forward = |x: &[f32]| {
        let way = (UPPER - x[0]) / (UPPER - 1.0);
        vec![0.5, if (0.2..0.3).contains(&way) || way > 0.9 { 1.0 } else { 0.0 }]
    };
    let model = Toy::new(PIXELS, 2, forward, |_, _| vec![0.0; PIXELS]);
    let outcome = attack(&model, "contrast-reduction", &threat(Norm::Linf), &clean);
    let size = Norm::Linf.size(&clean, &outcome.point.unwrap());
    assert!((size - 0.4).abs() < 1e-3, "{size}");
    // 0 to 20 %, then ten halvings of a hundredth.
    assert!((30..=32).contains(&outcome.forward), "{}", outcome.forward);
}

#[test]
fn noise_is_blended_as_far_as_it_takes() {
    let clean = draw(1, LOWER, UPPER);
    let mut stream = stream(0, "blended-noise", 4, 0);
    let end: Vec<f32> =
        (0..PIXELS).map(|_| LOWER + stream.random::<f32>() * (UPPER - LOWER)).collect();
    for share in [0.1, 0.62] {
        let ratio = found("blended-noise", share, &clean, &end) - share;
        assert!((-1e-6..2e-5).contains(&ratio), "{share}: {ratio}");
    }
    let hopeless = Toy::constant(PIXELS, vec![1.0, 0.0]);
    let outcome = attack(&hopeless, "blended-noise:draws=7,steps=5", &threat(Norm::L1), &clean);
    assert!(!outcome.success && outcome.forward == 7 + 6);
}

#[test]
fn inversion_is_the_negative() {
    let clean = draw(1, LOWER, UPPER);
    let model = Toy::new(PIXELS, 2, |_| vec![0.0, 1.0], |_, _| vec![0.0; PIXELS]);
    let outcome = attack(&model, "inversion", &threat(Norm::Linf), &clean);
    assert_eq!(outcome.forward, 1);
    for (x, c) in outcome.point.unwrap().iter().zip(&clean) {
        assert!((x - (LOWER + UPPER - c)).abs() < 1e-6);
    }
}

/// Broken once five features, or pixels, are black or white.
#[test]
fn salt_and_pepper_falls_until_it_succeeds() {
    let clean = draw(1, 0.0, 1.0);
    for (text, shape, size) in [
        ("salt-and-pepper", &[PIXELS][..], 5),
        ("salt-and-pepper:steps=3", &[PIXELS], 5),
        ("salt-and-pepper:whole_pixels=false", &[3, 2, 2], 5),
        ("salt-and-pepper", &[3, 2, 2], 6),
    ] {
        let grains = |x: &[f32]| x.iter().filter(|x| **x == LOWER || **x == UPPER).count();
        let forward = move |x: &[f32]| vec![0.5, if grains(x) >= 5 { 1.0 } else { 0.0 }];
        let model = Toy::new(PIXELS, 2, forward, |_, _| vec![0.0; PIXELS]).shaped(shape);
        let outcome = attack(&model, text, &threat(Norm::L0), &clean);
        let point = outcome.point.unwrap();
        assert!(outcome.success);
        assert_eq!(grains(&point), size, "{text} {shape:?}");
        assert!((Norm::L0.size(&clean, &point) - size as f64).abs() < 1e-9, "{text} {shape:?}");
        if size == 6 {
            // The last axis is the shorter one: its two values are a pixel.
            assert!(point.chunks(2).all(|pixel| grains(pixel) == 0 || pixel[0] == pixel[1]));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = Toy::constant(PIXELS, vec![1.0, 0.0]);
    let threat = Threat::new(Norm::L2, 0.0).with_bounds(Bounds::NONE);
    let samples = [Sample { id: 0, clean: &[0.5; PIXELS], aim: Aim::untargeted(0) }];
    for text in ["blended-noise", "contrast-reduction", "inversion", "salt-and-pepper"] {
        let attack: AttackSpec = text.parse().unwrap();
        let refused = attack.run(&model.session(&threat), &samples).unwrap_err().to_string();
        assert!(refused.starts_with("`bounds` is infinite: the attack moves towards"), "{refused}");
    }
    for (text, field) in [
        ("blended-noise:draws=0", "`draws` is 0"),
        ("contrast-reduction:level=1.5", "`level` is 1.5"),
        ("contrast-reduction:steps=0", "`steps` is 0"),
        ("contrast-reduction:halvings=60", "`halvings` is 60 of 100 steps"),
        ("salt-and-pepper:draws=0", "`draws` is 0"),
        ("salt-and-pepper:steps=0", "`steps` is 0"),
    ] {
        let refused = text.parse::<AttackSpec>().unwrap().validate().unwrap_err().to_string();
        assert!(refused.starts_with(field), "{refused}");
    }
}
