//! Every attack of the table, held to what data can be.

use ironbound::attack::{AnyAttack, AttackSpec, Family, Outcome, Sample};
use ironbound::{
    Aim, Bounds, Domain, Levels, Monotone, Norm, Spacing, Threat, Violation, argmax, stream,
};
use rand::RngExt;

use crate::path::PATHS;
use crate::same_bits::shorter;
use crate::toy::Toy;

const FEATURES: usize = 12;

fn eps(norm: Norm) -> f64 {
    match norm {
        Norm::L0 => 3.0,
        Norm::L1 => 2.5,
        Norm::L2 => 1.6,
        _ => 0.3,
    }
}

/// One of each kind, and all of them at once with a mask.
fn threats(norm: Norm) -> Vec<Threat> {
    use Monotone::{Decrease, Free, Increase};
    let threat = Threat::new(norm, eps(norm));
    let ways = |free: usize| {
        let ways = [Increase, Free, Decrease].into_iter().cycle();
        Some((0..FEATURES).zip(ways).map(|(i, way)| if i < free { Free } else { way }).collect())
    };
    let (fine, coarse) = (spacing("1/16"), spacing("1/4"));
    let groups = vec![vec![0, 1, 2], vec![3, 4]];
    let some =
        (0..FEATURES).map(|i| [None, Some(fine), Some(coarse)][if i < 5 { 0 } else { i % 3 }]);
    let mixed = Domain {
        grid: Some(Levels::PerFeature(some.collect())),
        one_hot: groups.clone(),
        monotone: ways(5),
    };
    let free = |i: usize| ![3, 4, 7].contains(&i);
    vec![
        threat.clone().with_domain(Domain { monotone: ways(0), ..Domain::ANY }),
        threat.clone().with_domain(Domain { grid: Some(Levels::Uniform(fine)), ..Domain::ANY }),
        threat.clone().with_domain(Domain { one_hot: groups, ..Domain::ANY }),
        threat.with_domain(mixed).with_mask((0..FEATURES).map(free).collect()),
    ]
}

fn spacing(text: &str) -> Spacing {
    text.parse().unwrap()
}

/// A sample that the domain allows.
fn clean(domain: &Domain, features: usize, sample: usize) -> Vec<f32> {
    let mut draw = stream(4, "domain", sample, 0);
    let mut values: Vec<f32> = (0..features).map(|_| draw.random_range(0.0..1.0)).collect();
    for (feature, value) in values.iter_mut().enumerate() {
        *value = domain.spacing_at(feature).map_or(*value, |spacing| spacing.nearest(*value));
    }
    for group in &domain.one_hot {
        let one = draw.random_range(0..group.len());
        group.iter().enumerate().for_each(|(at, &i)| values[i] = f32::from(u8::from(at == one)));
    }
    values
}

/// What is wrong with a point as data, whatever it is a perturbation of.
fn fault(domain: &Domain, point: &[f32]) -> Option<Violation> {
    let anywhere = Threat::new(Norm::Linf, 1.0).with_bounds(Bounds::NONE);
    let domain = Domain { monotone: None, ..domain.clone() };
    anywhere.with_domain(domain).region(0, point).check(point).err()
}

#[test]
fn every_attack_keeps_to_the_domain() {
    for attack in AttackSpec::all().into_iter().map(shorter) {
        for &norm in attack.norms() {
            for threat in threats(norm) {
                let model = Toy::curved(FEATURES, 4).shaped(&[3, 4]);
                threat.validate(4, FEATURES, 4).unwrap();
                let clean: Vec<_> =
                    (0..4).map(|sample| clean(&threat.domain, FEATURES, sample)).collect();
                let sample = |(id, clean)| {
                    let aim = Aim::untargeted(argmax(&model.scores(clean)));
                    Sample { id, clean, aim }
                };
                let samples: Vec<_> =
                    clean.iter().map(Vec::as_slice).enumerate().map(sample).collect();
                let outcomes = attack.run(&model.session(&threat), &samples).unwrap();
                let name = format!("{} {norm} {:?}", attack.id(), threat.domain);
                for call in model.calls() {
                    for asked in call.inputs.chunks(FEATURES) {
                        assert_eq!(fault(&threat.domain, asked), None, "{name}: {asked:?}");
                    }
                }
                let anywhere =
                    Threat { budget: ironbound::Budget::Scalar(f64::MAX), ..threat.clone() };
                let is_minimal = attack.family() != Family::FixedBudget;
                let held = if is_minimal { &anywhere } else { &threat };
                for (sample, outcome) in samples.iter().zip(outcomes) {
                    let point = outcome.point.expect(&name);
                    let checked = held.region(sample.id, sample.clean).check(&point);
                    assert!(checked.is_ok(), "{name}: {checked:?}");
                    let met = sample.aim.is_met(&model.scores(&point));
                    assert_eq!(met, outcome.success, "{name}");
                }
            }
        }
    }
}

/// A linear model of few features, and every point that data can be.
struct Small {
    model: Toy,
    threat: Threat,
    clean: Vec<f32>,
    /// The smallest perturbation that succeeds, if any does; none larger than the bounds are needed.
    optimum: Option<f64>,
}

impl Small {
    /// Up to two features with levels, and two or none of a group.
    fn new(norm: Norm, case: usize) -> Self {
        let mut draw = stream(8, "small", case, 0);
        let grouped = case % 2 == 1;
        let features = if grouped { 4 } else { 1 + case % 4 };
        let levels = ["1/2", "1/5", "1/16"].map(spacing)[case % 3];
        let own = |i: usize| (!grouped || i < 2).then_some(levels);
        let domain = Domain {
            grid: Some(Levels::PerFeature((0..features).map(own).collect())),
            one_hot: if grouped { vec![vec![2, 3]] } else { vec![] },
            monotone: None,
        };
        let clean = clean(&domain, features, case);
        let weights: Vec<f32> = (0..features).map(|_| draw.random_range(-1.0..1.0)).collect();
        let dot: f32 = clean.iter().zip(&weights).map(|(x, w)| x * w).sum();
        let lead: f32 = draw.random_range(0.02..0.5);
        let model = Toy::linear(weights, lead - dot, 4);
        let threat = Threat::new(norm, 0.0).with_domain(domain);
        let mut small = Self { model, threat, clean, optimum: None };
        let all = small.all_points();
        let sizes = all.iter().filter(|point| argmax(&small.model.scores(point)) != 0);
        let sizes = sizes.map(|point| norm.size(&small.clean, point));
        small.optimum = sizes.reduce(f64::min);
        small
    }

    fn all_points(&self) -> Vec<Vec<f32>> {
        let mut all = vec![vec![]];
        let domain = &self.threat.domain;
        for feature in 0..self.clean.len() {
            let values: Vec<f32> = match domain.spacing_at(feature) {
                Some(spacing) => {
                    let last = spacing.index(1.0) as usize;
                    (0..=last).map(|k| spacing.level(k as f64)).filter(|x| *x <= 1.0).collect()
                }
                None => vec![0.0, 1.0],
            };
            let longer = |point: &Vec<f32>| {
                let point = point.clone();
                values.iter().map(move |x| [&point[..], &[*x]].concat()).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(longer).collect();
        }
        all.retain(|point| fault(domain, point).is_none());
        all
    }

    fn run(&self, attack: &AttackSpec, eps: f64) -> Outcome {
        let budget = ironbound::Budget::Scalar(eps);
        let threat = Threat { budget, ..self.threat.clone() };
        let samples = [Sample { id: 0, clean: &self.clean, aim: Aim::untargeted(0) }];
        attack.run(&self.model.session(&threat), &samples).unwrap().remove(0)
    }
}

/// How many cases hold a success within the budget, and in how many of them an attack finds one. None finds one where there
/// is none, or a nearer one than the nearest.
fn found(attack: &AttackSpec, norm: Norm, cases: usize) -> (u32, u32) {
    let (mut exist, mut found) = (0, 0);
    for case in 0..cases {
        let small = Small::new(norm, case);
        let name = format!("{} {norm}, case {case}", attack.id());
        if attack.family() == Family::MinimalNorm {
            let outcome = small.run(attack, 0.0);
            exist += u32::from(small.optimum.is_some());
            if outcome.success {
                let size = norm.size(&small.clean, &outcome.point.unwrap());
                let optimum = small.optimum.expect(&name);
                assert!(size >= optimum, "{name}: {size} < {optimum}");
                found += 1;
            }
            continue;
        }
        for share in [0.99, 1.0, 1.3] {
            let eps = share * small.optimum.unwrap_or(1.0);
            let there = small.optimum.is_some_and(|optimum| optimum <= eps);
            let outcome = small.run(attack, eps);
            assert!(there || !outcome.success, "{name}, {share}: {outcome:?}");
            exist += u32::from(there);
            found += u32::from(there && outcome.success);
        }
    }
    (found, exist)
}

/// Every attack that looks for something, in each of its norms.
fn seeking() -> impl Iterator<Item = (AttackSpec, Norm)> {
    let all = AttackSpec::all().into_iter().filter(|attack| !PATHS.contains(&attack.id()));
    all.flat_map(|attack| attack.norms().iter().map(move |&norm| (attack.clone(), norm)))
}

/// The share of cases in which an attack, or one of this access class, finds what there is.
const LEAST: &[(&str, f64)] = &[
    ("fgsm", 0.5),
    ("jsma", 0.5),
    ("mi-fgsm", 0.7),
    ("noise", 0.4),
    ("simba", 0.75),
    ("universal", 0.6),
    ("zoo", 0.75),
    ("spsa", 0.75),
    ("square", 0.45),
    ("gradient", 0.85),
    ("score", 0.9),
    ("decision", 1.0),
];

#[test]
fn no_attack_beats_all_points_that_there_are() {
    for (attack, norm) in seeking() {
        let quick = if attack.access() == "score" { shorter(attack) } else { attack };
        let (found, exist) = found(&quick, norm, 24);
        let of = |(name, _): &&(&str, f64)| [quick.id(), quick.access()].contains(name);
        let least = LEAST.iter().find(of).map_or(0.0, |(_, least)| *least);
        let name = format!("{} {norm}: found {found} of {exist}", quick.id());
        assert!(f64::from(found) >= least * f64::from(exist), "{name}");
    }
}

/// Prints the table of `docs/strength.md`.
#[test]
#[ignore = "asserts no more than its quick twin: it prints the table of docs/strength.md, in minutes"]
fn what_is_found_of_all_that_there_is() {
    for (attack, norm) in seeking() {
        let (found, exist) = found(&attack, norm, 60);
        println!("| `{}` | {norm} | {found} of {exist} |", attack.id());
    }
}
