//! What the target counts, limits and keeps.

use std::sync::Arc;

use ironbound::attack::{
    AnyAttack, Apgd, ApgdT, Attack, AttackSpec, AutoAttack, Basis, FabT, Family, Fgsm, Gradient,
    Noise, NoiseKind, Outcome, Pgd, Sample, Session, Simba, Square, Target, Version,
};
use ironbound::{
    Aim, Batch, Bounds, Budget, Classifier, Error, Loss, LossGradient, LossKind, ModelInfo, Norm,
    Radius, Result, Threat, stream,
};
use rand::RngExt;
use serde::Serialize;

use crate::toy::Toy;

const FEATURES: usize = 12;
const NORMS: [Norm; 3] = [Norm::L1, Norm::L2, Norm::Linf];

/// A model of images of 3 x 4 pixels: what some attacks need, and no other minds.
fn image() -> Toy {
    Toy::curved(FEATURES, 4).shaped(&[3, 4])
}

fn cleans(count: usize) -> Vec<Vec<f32>> {
    let mut draw = stream(3, "cleans", 0, 0);
    (0..count).map(|_| (0..FEATURES).map(|_| draw.random_range(0.0..1.0)).collect()).collect()
}

fn samples(cleans: &[Vec<f32>]) -> Vec<Sample<'_>> {
    let aim = |i: usize| {
        if i.is_multiple_of(3) { Aim::targeted(i % 4, (i + 1) % 4) } else { Aim::untargeted(i % 4) }
    };
    cleans.iter().enumerate().map(|(i, clean)| Sample { id: 10 * i, clean, aim: aim(i) }).collect()
}

fn attacks() -> Vec<Box<dyn AnyAttack>> {
    let pgd = Pgd { steps: 6, restarts: 3, ..Pgd::default() };
    // A tenth of the steps shows the same.
    let shorter = |attack: AttackSpec| match attack.params()["steps"].as_u64() {
        Some(steps @ 200..) => format!("{}:steps={}", attack.id(), steps / 10).parse().unwrap(),
        _ => attack,
    };
    let mut all: Vec<Box<dyn AnyAttack>> =
        AttackSpec::all().into_iter().map(|attack| Box::new(shorter(attack)) as _).collect();
    all.push(Box::new("fab:restarts=2,steps=5".parse::<AttackSpec>().unwrap()));
    all.push(Box::new("fab-t:restarts=2,steps=5,targets=2".parse::<AttackSpec>().unwrap()));
    all.push(Box::new("minimal:inner=noise".parse::<AttackSpec>().unwrap()));
    all.push(Box::new(Fgsm { random_start: true, rel_step: 1.25, ..Fgsm::default() }));
    all.push(Box::new(Pgd { momentum: 0.9, random_start: false, ..pgd.clone() }));
    all.push(Box::new(Pgd { early_stop: false, ..pgd }));
    for text in [
        "pgd:steps=4,losses=cross-entropy+margin+dlr,odi=2",
        "pgd:steps=4,restarts=2,eot=2",
        "pgd-t:steps=4,restarts=2,classes=2,odi=1,momentum=0.5",
        "mi-fgsm:nesterov=true,kernel=linear,kernel_size=3",
        "mi-fgsm:diversity=0.7,resize=0.5,early_stop=false",
        "mi-fgsm:neighbours=3,nesterov=true",
    ] {
        all.push(Box::new(text.parse::<AttackSpec>().unwrap()));
    }
    for version in [Version::Plus, Version::Rand, Version::Quick] {
        all.push(Box::new(AutoAttack { version }));
    }
    let apgd = Apgd { steps: 30, restarts: 2, ..Apgd::default() };
    all.push(Box::new(Apgd { loss: LossKind::Dlr, eot: 2, ..apgd.clone() }));
    all.push(Box::new(Apgd { loss: LossKind::Kl, ..apgd }));
    all.push(Box::new(Square { queries: 20, restarts: 2, ..Square::default() }));
    all.push(Box::new(Simba { steps: 20, basis: Basis::Dct, ..Simba::default() }));
    let kinds =
        [NoiseKind::Gaussian, NoiseKind::Laplace, NoiseKind::Sign, NoiseKind::SaltAndPepper];
    for kind in kinds {
        all.push(Box::new(Noise { kind, ..Noise::default() }));
    }
    all
}

fn attacks_in(norm: Norm) -> impl Iterator<Item = Box<dyn AnyAttack>> {
    attacks().into_iter().filter(move |attack| attack.norms().contains(&norm))
}

fn within_a_budget() -> impl Iterator<Item = Box<dyn AnyAttack>> {
    attacks().into_iter().filter(|attack| attack.family() == Family::FixedBudget)
}

fn budget(norm: Norm) -> f64 {
    match norm {
        Norm::L1 => 0.6,
        Norm::L2 => 0.25,
        _ => 0.08,
    }
}

#[test]
fn outcomes_do_not_depend_on_the_batch() {
    let model = image();
    let cleans = cleans(9);
    let samples = samples(&cleans);
    for norm in NORMS {
        let threat = Threat::new(norm, budget(norm));
        let session = model.session(&threat);
        for attack in attacks_in(norm) {
            let together = attack.run(&session, &samples).unwrap();
            let broken = together.iter().filter(|outcome| outcome.success).count();
            println!("{norm} {attack:?}: {broken} of {} broken", samples.len());
            let mut order: Vec<usize> = (0..samples.len()).collect();
            order.reverse();
            order.swap(1, 5);
            let shuffled: Vec<Sample<'_>> = order.iter().map(|&i| samples[i]).collect();
            let shuffled = attack.run(&session, &shuffled).unwrap();
            for (position, &i) in order.iter().enumerate() {
                assert_eq!(shuffled[position], together[i], "{norm} {attack:?}");
                let alone = attack.run(&session, &samples[i..=i]).unwrap();
                assert_eq!(alone[0], together[i], "{norm} {attack:?}");
            }
        }
    }
}

#[test]
fn every_point_asked_about_is_feasible_and_the_input_is_left_alone() {
    let cleans = cleans(4);
    let before = cleans.clone();
    let mask: Vec<bool> = (0..FEATURES).map(|i| i % 3 != 1).collect();
    for norm in NORMS {
        let threat = Threat::new(norm, budget(norm)).with_mask(mask.clone());
        for (attack, sample) in attacks_in(norm)
            // An input that is resized is no point that the attacker could choose.
            .filter(|attack| attack.params()["diversity"].as_f64().unwrap_or(0.0) <= 0.0)
            .collect::<Vec<_>>()
            .iter()
            .flat_map(|a| samples(&cleans).into_iter().map(move |s| (a, s)))
        {
            let model = image();
            let outcome = attack.run(&model.session(&threat), &[sample]).unwrap().remove(0);
            let asked = asked_region(&**attack, &threat);
            let mut region = asked.region(sample.id, sample.clean);
            // AutoAttack has a member of that family.
            if attack.family() != Family::FixedBudget || attack.id() == "autoattack" {
                region.radius = Radius::Scalar(f64::INFINITY);
            }
            for row in model.calls().iter().flat_map(|call| call.inputs.chunks(FEATURES)) {
                assert!(region.check(row).is_ok(), "{norm} {attack:?}: {:?}", region.check(row));
                assert!(
                    row.iter().zip(sample.clean).zip(&mask).all(|((x, c), free)| *free || x == c)
                );
            }
            assert_eq!(outcome.forward as usize, model.rows(), "{norm} {attack:?}");
        }
    }
    assert_eq!(cleans, before);
}

/// Where the points lie that an attack asks about: APGD begins in larger L1 balls, and variance is tuned by points around
/// the iterates.
fn asked_region(attack: &dyn AnyAttack, threat: &Threat) -> Threat {
    let enlarges = ["apgd", "apgd-t"].contains(&attack.id());
    let Budget::Scalar(eps) = threat.budget else { panic!("{threat:?}") };
    let factor = if enlarges && threat.norm == Norm::L1 { 3.0 } else { 1.0 };
    let nearby = attack.params()["neighbours"].as_u64().unwrap_or(0) > 0;
    let factor = if nearby { 2.5 * (1.0 + 1e-6) } else { factor };
    Threat { budget: Budget::Scalar(factor * eps), ..threat.clone() }
}

#[test]
fn no_budget_leaves_the_clean_input() {
    let model = image();
    let cleans = cleans(3);
    for norm in NORMS {
        let threat = Threat::new(norm, 0.0);
        for attack in within_a_budget().filter(|a| a.norms().contains(&norm)) {
            for (outcome, clean) in
                attack.run(&model.session(&threat), &samples(&cleans)).unwrap().iter().zip(&cleans)
            {
                assert_eq!(outcome.point.as_ref(), Some(clean), "{norm} {attack:?}");
            }
        }
    }
}

#[test]
fn query_limits_hold_and_stop_nothing() {
    let cleans = cleans(5);
    let threat = Threat::new(Norm::Linf, 0.02);
    for limit in 0..16 {
        for attack in attacks_in(Norm::Linf) {
            let model = image();
            let session = Session { query_limit: Some(limit), ..model.session(&threat) };
            let outcomes = attack.run(&session, &samples(&cleans)).unwrap();
            assert!(
                outcomes.iter().all(|outcome| outcome.queries() <= limit),
                "{limit} {attack:?}"
            );
            let used = outcomes.iter().map(|outcome| outcome.queries()).max();
            // A step takes two queries and is not taken without a third one for the point that it leads to.
            let odd = |limit: u64| limit.saturating_sub(u64::from(limit.is_multiple_of(2)));
            let params = attack.params();
            let averages = params["version"] == "rand" || params["eot"].as_u64() > Some(1);
            let wanted = match attack.id() {
                // A gradient of many queries is not begun: a forward query for each of two starts is all.
                _ if averages => limit.min(2),
                _ if params["neighbours"].as_u64() > Some(0) => limit.min(1),
                _ if attack.family() == Family::MinimalNorm => u64::from(limit > 1),
                "fgsm" => odd(limit.min(3)),
                "apgd" | "apgd-t" | "mi-fgsm" | "nes" | "pgd" | "pgd-t" | "spsa" | "universal" => {
                    odd(limit.min(10))
                }
                _ => limit.min(10),
            };
            assert!(
                used >= Some(wanted) || outcomes.iter().all(|o| o.success),
                "{limit} {attack:?}: {used:?}"
            );
        }
    }
}

#[test]
fn a_broken_sample_is_not_asked_about_again() {
    // Sample 0 is on the wrong side from the start; sample 1 is out of reach.
    let cleans = [vec![0.0], vec![1.0]];
    let samples: Vec<Sample<'_>> =
        (0..2).map(|id| Sample { id, clean: &cleans[id], aim: Aim::untargeted(0) }).collect();
    let threat = Threat::new(Norm::Linf, 0.01);
    for attack in [&Pgd { restarts: 2, ..Pgd::default() } as &dyn AnyAttack, &Noise::default()] {
        let model = Toy::linear(vec![1.0], -0.5, 2);
        let outcomes = attack.run(&model.session(&threat), &samples).unwrap();
        assert!(outcomes[0].success && !outcomes[1].success);
        assert_eq!(outcomes[0].forward, 1, "{attack:?}");
        let calls = model.calls();
        assert_eq!(calls[0].inputs.len(), 2);
        assert!(calls[1..].iter().all(|call| call.inputs.len() == 1), "{attack:?}");
    }
}

#[test]
fn a_success_at_the_random_start_is_kept() {
    // Broken everywhere but near the clean input, and the gradient leads back there.
    let margin = |x: &[f32]| 0.1 - (x[0] - 0.5).abs();
    let back = |x: &[f32], c: &[f32]| vec![(c[1] - c[0]) * -(x[0] - 0.5).signum()];
    let model = Toy::new(1, 2, move |x| vec![margin(x), 0.0], back);
    let threat = Threat::new(Norm::Linf, 0.4);
    let attack = Pgd { early_stop: false, ..Pgd::default() };
    let aim = Aim::untargeted(0);
    let mut found = 0;
    for id in 0..20 {
        let samples = [Sample { id, clean: &[0.5], aim }];
        let outcome = AnyAttack::run(&attack, &model.session(&threat), &samples).unwrap().remove(0);
        let calls = model.calls();
        let run = &calls[calls.len() - 41..];
        assert!(margin(&run[40].inputs) >= 0.0, "the last iterate is not a success");
        assert_eq!(outcome.success, run.iter().any(|call| margin(&call.inputs) < 0.0));
        if outcome.success {
            let successes = run.iter().map(|call| call.inputs[0]).filter(|&x| margin(&[x]) < 0.0);
            let closest = successes.map(|x| (x - 0.5).abs()).fold(f32::INFINITY, f32::min);
            assert!(((outcome.point.unwrap()[0] - 0.5).abs() - closest).abs() < 1e-7);
            found += 1;
        }
    }
    assert!(found > 10, "{found} random starts were successes");
}

#[test]
fn a_logit_that_is_not_finite_closes_its_slot_only() {
    let forward = |x: &[f32]| vec![1.0, if x[0] > 0.6 { f32::NAN } else { 0.0 }, -1.0, -2.0];
    let cleans = [vec![0.2], vec![0.9], vec![0.3]];
    let samples: Vec<Sample<'_>> =
        (0..3).map(|id| Sample { id, clean: &cleans[id], aim: Aim::untargeted(0) }).collect();
    let threat = Threat::new(Norm::Linf, 0.1);
    for attack in within_a_budget() {
        let model = Toy::new(1, 4, forward, |_, c| vec![c[0]]);
        let outcomes = attack.run(&model.session(&threat), &samples).unwrap();
        let (class, value) = outcomes[1].non_finite.unwrap();
        assert!(class == 1 && value.is_nan() && outcomes[1].point.is_none());
        // The first query: one point, or the pairs that estimate a gradient.
        let first = attack.params()["pairs"].as_u64().map_or(1, |pairs| 2 * pairs);
        assert_eq!(outcomes[1].forward, first, "{attack:?}");
        assert!(outcomes[0].forward > 1 && outcomes[0].non_finite.is_none());
        assert_eq!(outcomes[0].forward, outcomes[2].forward);
    }
}

#[test]
fn zero_gradients_are_counted_and_the_point_still_moves() {
    let cleans = cleans(3);
    for norm in NORMS {
        let model = Toy::constant(FEATURES, vec![1.0, 0.0, 0.0, 0.0]);
        let threat = Threat::new(norm, budget(norm));
        let samples: Vec<Sample<'_>> = cleans
            .iter()
            .enumerate()
            .map(|(id, clean)| Sample { id, clean, aim: Aim::untargeted(0) })
            .collect();
        let attack = Pgd { random_start: false, ..Pgd::default() };
        let outcomes = AnyAttack::run(&attack, &model.session(&threat), &samples).unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.zero_gradients == 40));
        let last = model.calls().pop().unwrap();
        for ((sample, point), other) in samples
            .iter()
            .zip(last.inputs.chunks(FEATURES))
            .zip(last.inputs.chunks(FEATURES).skip(1))
        {
            let size = threat.region(sample.id, sample.clean).check(point).unwrap();
            assert!(size > 0.1 * budget(norm), "{norm}: moved by {size}");
            assert_ne!(point, other);
        }
    }
}

#[test]
fn gradients_that_overflowed_still_give_a_step() {
    let model = Toy::new(3, 2, |_| vec![1.0, 0.0], |_, _| vec![f32::NAN, f32::INFINITY, -1.0]);
    for (norm, expected) in [
        (Norm::Linf, [0.5, 0.75, 0.25]),
        (Norm::L2, [0.5, 0.75, 0.5]),
        (Norm::L1, [0.5, 0.75, 0.5]),
    ] {
        let threat = Threat::new(norm, 0.25);
        let samples = [Sample { id: 0, clean: &[0.5; 3], aim: Aim::untargeted(0) }];
        AnyAttack::run(&Fgsm::default(), &model.session(&threat), &samples).unwrap();
        assert_eq!(model.calls().pop().unwrap().inputs, expected);
    }
}

/// Asks in ways that an attack should not.
#[derive(Debug, Serialize)]
struct Careless {
    slots: Vec<usize>,
    values: usize,
}

impl Attack for Careless {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "careless"
    }

    fn validate(&self) -> Result<()> {
        Ok(())
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        target.submit(&self.slots, &vec![0.5; self.values])
    }
}

#[test]
fn a_target_refuses_what_it_cannot_count() {
    let model = Toy::constant(2, vec![1.0, 0.0]);
    let threat = Threat::new(Norm::Linf, 1.0).with_bounds(Bounds::NONE);
    let session = Session { query_limit: Some(2), ..model.session(&threat) };
    let samples = [Sample { id: 8, clean: &[0.0; 2], aim: Aim::untargeted(0) }];
    let ask = |slots: &[usize], values| {
        AnyAttack::run(&Careless { slots: slots.to_vec(), values }, &session, &samples)
    };
    assert_eq!(ask(&[0, 0], 4).unwrap()[0].forward, 2, "a slot may occur twice in a query");
    let refused = ask(&[0, 0, 0], 6).unwrap_err();
    assert!(matches!(refused, Error::QueryLimit { sample: 8, limit: 2 }), "{refused}");
    let refused = ask(&[0], 3).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`points` is 3 long: expected slots x features, that is 2 values"
    );
    assert_eq!(ask(&[], 0).unwrap(), vec![Outcome::default()]);
    session.cancel.cancel();
    assert!(matches!(ask(&[0], 2), Err(Error::Cancelled)));
    assert!(matches!(AnyAttack::run(&Pgd::default(), &session, &samples), Err(Error::Cancelled)));
}

/// In a batch, its logits say success everywhere; alone, nowhere.
#[derive(Debug)]
struct Fickle(Toy);

impl Classifier for Fickle {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        batch.inputs.chunks(self.features()).for_each(|_| logits.extend([0.0, 1.0]));
        Ok(())
    }

    fn logits_alone(&self, _: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        *logits = vec![1.0, 0.0];
        Ok(())
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.0.loss_and_gradient(batch, aims, loss, out)?;
        self.logits(batch, &mut out.logits)
    }
}

#[test]
fn a_success_that_does_not_hold_alone_ends_no_attack() {
    let model = Fickle(Toy::constant(3, vec![1.0, 0.0]));
    let threat = Threat::new(Norm::Linf, 0.1);
    let session = Session { model: &model, ..model.0.session(&threat) };
    let clean = [0.5; 3];
    let sample = Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) };
    let attack = Noise { draws: 7, ..Noise::default() };
    let outcome = AnyAttack::run(&attack, &session, &[sample]).unwrap().remove(0);
    assert!(!outcome.success);
    assert_eq!(outcome.forward, 7);
}

/// A loss that its attack gives a model of two classes.
#[test]
fn a_loss_that_needs_more_classes_is_an_error() {
    let model = Toy::linear(vec![1.0], 0.5, 2);
    let threat = Threat::new(Norm::Linf, 0.1);
    let samples = [Sample { id: 0, clean: &[0.5], aim: Aim::untargeted(0) }];
    let attacks: [Box<dyn AnyAttack>; 4] = [
        Box::new(Apgd { loss: LossKind::Dlr, ..Apgd::default() }),
        Box::new(ApgdT::default()),
        Box::new(Pgd { loss: LossKind::DlrTargeted, ..Pgd::default() }),
        Box::new(Fgsm { loss: LossKind::Dlr, ..Fgsm::default() }),
    ];
    for attack in attacks {
        let (checked, run) = (
            attack.check_model(model.info()).unwrap_err().to_string(),
            attack.run(&model.session(&threat), &samples).unwrap_err().to_string(),
        );
        assert_eq!(checked, run, "{attack:?}");
        assert!(checked.starts_with("`loss` is dlr") && checked.ends_with("the model has 2"));
    }
}

/// The members of an ensemble share the samples' limits, and what they find is one outcome.
#[test]
fn members_go_on_where_others_stopped() {
    let model = image();
    let cleans = cleans(6);
    let threat = Threat::new(Norm::Linf, 0.02);
    let samples = samples(&cleans);
    let alone = |attack: &dyn AnyAttack| attack.run(&model.session(&threat), &samples).unwrap();
    let (ensemble, first) = (alone(&AutoAttack::default()), alone(&Apgd::default()));
    let mut survivors = 0;
    for (both, first) in ensemble.iter().zip(&first).filter(|(_, first)| !first.success) {
        survivors += 1;
        assert!(both.forward > first.forward && both.backward > first.backward);
    }
    assert!(survivors > 0 && survivors < samples.len(), "{survivors} survive the first member");
    let limit = Session { query_limit: Some(250), ..model.session(&threat) };
    for outcome in AnyAttack::run(&AutoAttack::default(), &limit, &samples).unwrap() {
        assert!(outcome.success || outcome.queries() == 250, "{}", outcome.queries());
    }
}

/// FAB-T breaks every sample somewhere; beyond the budget that is nothing, and the point is one within it.
#[test]
fn members_without_a_budget_are_held_to_it() {
    let cleans = cleans(6);
    let model = image();
    let untargeted = |(id, clean)| Sample { id, clean, aim: Aim::untargeted(0) };
    let mut samples: Vec<Sample<'_>> =
        cleans.iter().map(Vec::as_slice).enumerate().map(untargeted).collect();
    for sample in &mut samples {
        let mut logits = vec![];
        model.logits_alone(sample.clean.into(), &mut logits).unwrap();
        sample.aim = Aim::untargeted(ironbound::argmax(&logits));
    }
    for norm in NORMS {
        let threat = Threat::new(norm, 1e-3 * budget(norm));
        let session = model.session(&threat);
        let fab = AnyAttack::run(&FabT::default(), &session, &samples).unwrap();
        let ensemble = AnyAttack::run(&AutoAttack::default(), &session, &samples).unwrap();
        for ((sample, both), fab) in samples.iter().zip(&ensemble).zip(&fab) {
            let region = threat.region(sample.id, sample.clean);
            assert!(fab.success && region.check(fab.point.as_ref().unwrap()).is_err());
            assert!(!both.success && region.check(both.point.as_ref().unwrap()).is_ok());
            assert!(both.queries() > fab.queries());
        }
    }
}

/// KL is asked for row by row, and its clean logits cost the attacker nothing.
#[test]
fn a_loss_that_compares_with_the_clean_input_moves_away_from_it() {
    let cleans = cleans(5);
    let threat = Threat::new(Norm::Linf, 0.02);
    let samples: Vec<Sample<'_>> = cleans
        .iter()
        .enumerate()
        .map(|(id, clean)| Sample { id, clean, aim: Aim::untargeted(3) })
        .collect();
    let loss = LossKind::Kl.loss();
    let apgd = Apgd { steps: 10, loss: LossKind::Kl, ..Apgd::default() };
    let model = image();
    let outcomes = AnyAttack::run(&apgd, &model.session(&threat), &samples).unwrap();
    for (sample, outcome) in samples.iter().zip(outcomes).filter(|(_, o)| !o.success) {
        assert_eq!((outcome.forward, outcome.backward), (11, 10));
        let divergence = |point: &[f32]| {
            let (mut before, mut now) = (vec![], vec![]);
            model.logits_alone(sample.clean.into(), &mut before).unwrap();
            model.logits_alone(point.into(), &mut now).unwrap();
            loss.at_clean(&before).unwrap().value_and_gradient(&now, sample.aim, &mut [0.0; 4])
        };
        let asked = model.calls();
        let all = asked.iter().filter(|call| call.gradient);
        let rows: Vec<&[f32]> = all
            .flat_map(|call| call.inputs.chunks(FEATURES))
            .filter(|row| threat.region(sample.id, sample.clean).check(row).is_ok())
            .collect();
        assert!(divergence(rows[rows.len() - 1]) > divergence(rows[0]), "sample {}", sample.id);
    }
}
