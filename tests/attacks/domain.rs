//! Every attack of the table, held to what the data can be.

use ironbound::attack::{AnyAttack, AttackSpec, Family, Sample};
use ironbound::{Aim, Domain, Monotone, Norm, Threat, argmax, stream};
use rand::RngExt;

use crate::same_bits::shorter;
use crate::toy::Toy;

const FEATURES: usize = 12;

fn eps(norm: Norm) -> f64 {
    match norm {
        Norm::L0 => 3.0,
        Norm::L1 => 1.5,
        Norm::L2 => 0.6,
        _ => 0.2,
    }
}

fn domains() -> Vec<Domain> {
    use Monotone::{Decrease, Free, Increase};
    let ways = [Increase, Free, Decrease].into_iter().cycle().take(FEATURES).collect();
    vec![Domain { monotone: Some(ways) }]
}

fn clean(sample: usize) -> Vec<f32> {
    let mut draw = stream(4, "domain", sample, 0);
    (0..FEATURES).map(|_| draw.random_range(0.0..1.0)).collect()
}

#[test]
fn every_attack_keeps_to_the_domain() {
    let model = Toy::curved(FEATURES, 4).shaped(&[3, 4]);
    for domain in domains() {
        let clean: Vec<_> = (0..4).map(clean).collect();
        for attack in AttackSpec::all().into_iter().map(shorter) {
            for &norm in attack.norms() {
                let threat = Threat::new(norm, eps(norm)).with_domain(domain.clone());
                let samples: Vec<_> = (clean.iter().enumerate())
                    .map(|(id, clean)| {
                        let label = argmax(&model.scores(clean));
                        Sample { id, clean, aim: Aim::untargeted(label) }
                    })
                    .collect();
                let outcomes = attack.run(&model.session(&threat), &samples).unwrap();
                let reach = Threat::new(norm, f64::MAX).with_domain(domain.clone());
                let name = format!("{} {norm} {domain:?}", attack.id());
                for (sample, outcome) in samples.iter().zip(outcomes) {
                    let held =
                        if attack.family() == Family::MinimalNorm { &reach } else { &threat };
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
