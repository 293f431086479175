//! Signs of masked gradients: each on a model that deserves it, none on the same model with its true gradient.

use ironbound::attack::AttackSpec;
use ironbound::{Dataset, Evaluation, Norm, Results, Threat};

use crate::toy::Toy;

const FEATURES: usize = 24;
const EPS: f64 = 0.1;
const SIGNS: [&str; 6] = [
    "black-box-beats-white-box",
    "fgsm-beats-pgd",
    "flat-along-gradient",
    "more-steps-do-worse",
    "noise-beats-fgsm",
    "unbounded-attack-fails",
];

/// The true direction: down in two features of three, up in the third.
fn slope(feature: usize) -> f32 {
    if feature.is_multiple_of(3) { -1.0 } else { 1.0 }
}

/// Class 0 leads by `lead` at samples whose features are all 0.5; `round` is applied to the lead, and `factor` to its
/// gradient, given the largest distance of a feature from 0.5.
fn model(lead: f32, round: fn(f32) -> f32, factor: fn(f32) -> f32) -> Toy {
    let forward = move |x: &[f32]| {
        let sum: f32 = x.iter().enumerate().map(|(i, x)| slope(i) * (x - 0.5)).sum();
        vec![round(lead + sum), 0.0]
    };
    let backward = move |x: &[f32], c: &[f32]| {
        let far = x.iter().map(|x| (x - 0.5).abs()).fold(0.0, f32::max);
        (0..FEATURES).map(|i| factor(far) * slope(i) * c[0]).collect()
    };
    Toy::new(FEATURES, 2, forward, backward)
}

fn results(model: &Toy, attacks: &[&str], preflight: bool) -> Results {
    let values = vec![0.5; 20 * FEATURES];
    let view = ndarray::ArrayView2::from_shape((20, FEATURES), &values).unwrap();
    let data = Dataset::from_arrays(view, &[0; 20]).unwrap();
    let threat = Threat::new(Norm::Linf, EPS);
    let evaluation = Evaluation::new(model, &data).threat(threat).preflight(preflight);
    let attacks = attacks.iter().map(|attack| attack.parse::<AttackSpec>().unwrap());
    attacks.fold(evaluation, Evaluation::attack).run().unwrap()
}

fn signs(model: &Toy, attacks: &[&str]) -> Vec<String> {
    let found = results(model, attacks, true).warnings;
    assert!(found.iter().all(|f| !SIGNS.contains(&&f.code[..]) || !f.remedy.is_empty()));
    let mut codes: Vec<String> = found.into_iter().map(|finding| finding.code).collect();
    codes.retain(|code| SIGNS.contains(&&code[..]));
    codes.sort();
    codes.dedup();
    codes
}

const NONE: [&str; 0] = [];
const ALL: [&str; 6] =
    ["noise", "fgsm", "pgd", "pgd:steps=5,rel_step=0.5", "square:queries=400", "autoattack"];

#[test]
fn true_gradients_show_nothing() {
    // Out of reach, and within it: 24 features of 0.1 each are worth 2.4.
    for lead in [2.5, 2.3, 0.6] {
        assert_eq!(signs(&model(lead, |z| z, |_| 1.0), &ALL), NONE, "{lead}");
    }
}

#[test]
fn scores_that_beat_gradients() {
    // Steps of the logits without a slope, which scores tell apart.
    let stairs = || model(1.5, |z| (z * 20.0).floor() / 20.0, |_| 0.0);
    let code = "black-box-beats-white-box";
    assert!(signs(&stairs(), &["pgd", "square:queries=1000"]).contains(&code.into()));
    // The last member of an ensemble counts as what it is.
    let found = results(&stairs(), &["autoattack"], true).warnings;
    let found = found.into_iter().find(|finding| finding.code == code).unwrap();
    assert!(found.message.starts_with("square broke 20 of 20 samples"), "{found}");
    assert!(found.message.contains("autoattack only 0"), "{found}");
    assert_eq!(signs(&model(1.5, |z| z, |_| 1.0), &["pgd", "square:queries=1000"]), NONE);
    let alone = signs(&stairs(), &["pgd"]);
    assert_eq!(alone, ["unbounded-attack-fails"], "a random walk does not get down");
}

#[test]
fn noise_that_beats_a_gradient_that_points_away() {
    let away = model(0.6, |z| z, |_| -1.0);
    let found = signs(&away, &["noise:draws=40", "fgsm"]);
    assert!(found.contains(&"noise-beats-fgsm".into()), "{found:?}");
    assert_eq!(signs(&model(0.6, |z| z, |_| 1.0), &["noise:draws=40", "fgsm"]), NONE);
}

/// A gradient that is right at the clean input only.
fn right_at_the_start(lead: f32) -> Toy {
    model(lead, |z| z, |far| if far == 0.0 { 1.0 } else { -1.0 })
}

#[test]
fn one_step_that_beats_many() {
    let found = signs(&right_at_the_start(2.0), &["fgsm", "pgd"]);
    assert_eq!(found, ["fgsm-beats-pgd"], "two steps of the range lead back and forth");
    assert_eq!(signs(&model(2.0, |z| z, |_| 1.0), &["fgsm", "pgd"]), NONE);
}

#[test]
fn more_steps_that_do_worse() {
    let attacks = [
        "pgd:steps=2,rel_step=0.5,random_start=false",
        "pgd:steps=40,rel_step=0.025,random_start=false",
    ];
    let found = signs(&right_at_the_start(1.0), &attacks);
    assert!(found.contains(&"more-steps-do-worse".into()), "{found:?}");
    assert_eq!(signs(&model(1.0, |z| z, |_| 1.0), &attacks), NONE);
    // Another loss is another attack.
    let other = ["pgd:steps=40,rel_step=0.025,random_start=false,loss=margin", attacks[0]];
    assert_eq!(signs(&right_at_the_start(1.0), &other), NONE);
}

#[test]
fn attacks_without_a_budget_that_fail() {
    // Right at the start, and one step of a twentieth of the range gains 1.2.
    let found = signs(&right_at_the_start(3.0), &["pgd"]);
    assert_eq!(found, ["unbounded-attack-fails"]);
    assert_eq!(signs(&model(3.0, |z| z, |_| 1.0), &["pgd"]), NONE);
    // Nothing is asked without a preflight, nor of what was broken.
    let quiet = results(&right_at_the_start(3.0), &["pgd"], false).warnings;
    assert!(quiet.is_empty(), "{quiet:?}");
}

#[test]
fn gradients_along_which_the_margin_does_not_fall() {
    let found = signs(&model(3.0, |z| z, |_| -1.0), &["fgsm"]);
    assert_eq!(found, ["flat-along-gradient", "unbounded-attack-fails"]);
    let plateau = model(3.0, |z| if z > 2.8 && z < 3.2 { 3.0 } else { z }, |_| 1.0);
    assert_eq!(signs(&plateau, &["fgsm"]), NONE, "the whole budget leads off the plateau");
}

/// The backward passes that the builder documents, beyond those of the preflight and the attack.
#[test]
fn the_probe_costs_what_is_documented() {
    let gradients = |preflight| {
        let model = right_at_the_start(3.0);
        results(&model, &["fgsm"], preflight);
        let calls = model.calls().into_iter().filter(|call| call.gradient);
        calls.map(|call| call.inputs.len() / FEATURES).sum::<usize>()
    };
    // The preflight looks at the gradients of all 20 samples, after one to see whether there are any.
    assert_eq!(gradients(true) - gradients(false), 21 + 8 * 51);
}
