//! The evaluator's promises, on classifiers in closed form.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use closed::{Linear, dataset, samples};
use ironbound::attack::{
    AnyAttack, Attack, AttackSpec, Blind, Family, Outcome, Sample, Session, Target,
};
use ironbound::evaluate::{Attempt, Fate, Row};
use ironbound::report::Report;
use ironbound::{
    Aim, Batch, Bounds, Budget, Classifier, Domain, Error, Evaluation, Goal, Levels, Loss,
    LossGradient, ModelInfo, Norm, Result, Results, Spacing, Threat, argmax,
};
use proptest::prelude::*;

fn attack(text: &str) -> AttackSpec {
    text.parse().unwrap()
}

fn evaluation<'a>(model: &'a Linear, data: &'a ironbound::Dataset) -> Evaluation<'a> {
    ["noise:draws=3", "fgsm", "pgd:steps=5,restarts=2", "fab:steps=5"]
        .into_iter()
        .fold(Evaluation::new(model, data), |run, text| run.attack(attack(text)))
}

/// Everything that must hold of any result.
fn assert_invariants(results: &Results, model: &Linear, inputs: &[f32]) {
    let features = model.features();
    for row in &results.rows {
        for (index, attempt) in row.attempts.iter().enumerate() {
            let clean = &inputs[index * features..][..features];
            let (id, label) = (results.ids[index], results.labels[index]);
            assert_eq!(attempt.fate == Fate::Broken, attempt.adversarial.is_some());
            if let Some(found) = &attempt.adversarial {
                let size = row.threat.norm.size(clean, &found.point);
                assert!(
                    size <= row.threat.budget.largest()
                        && size.to_bits() == found.distance.to_bits()
                );
                assert!(row.threat.region(id, clean).check(&found.point).is_ok());
                let prediction = argmax(&model.one(&found.point));
                assert_eq!(prediction, found.prediction);
                assert_ne!(prediction, label);
                assert!(results.clean[index].correct);
            }
            if !results.clean[index].correct {
                assert_ne!(attempt.fate, Fate::Robust);
                assert!(!attempt.attacked && attempt.forward == 0);
            }
        }
    }
    // Rows of one attack and norm follow each other, budgets ascending; those of lists need not be nested.
    let nested = |row: &Row| matches!(row.threat.budget, Budget::Scalar(_));
    for pair in results.rows.windows(2) {
        let same = nested(&pair[1])
            && pair[0].attack == pair[1].attack
            && pair[0].threat.norm == pair[1].threat.norm;
        for (small, large) in pair[0].attempts.iter().zip(&pair[1].attempts) {
            assert!(!same || small.fate != Fate::Broken || large.fate == Fate::Broken);
        }
    }
    let report = Report::new(results);
    for worst in &report.worst_case {
        for row in
            report.attacks.iter().filter(|row| (row.norm, row.eps) == (worst.norm, worst.eps))
        {
            assert!(worst.robust.iter().zip(&row.robust).all(|(worst, row)| !worst || *row));
            assert!(worst.robust_accuracy <= row.robust_accuracy);
        }
        if worst.eps == Some(0.0) {
            assert_eq!(worst.robust, report.clean.correct);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_whatever_the_machine_does(
        seed in any::<u64>(),
        norm in prop::sample::select(vec![Norm::L1, Norm::L2, Norm::Linf]),
        scale in 0.01f64..1.0,
        goal in prop::sample::select(vec![
            Goal::Untargeted,
            Goal::Random,
            Goal::LeastLikely,
            Goal::KthLikely(2),
            Goal::EveryOther,
            Goal::Class(1),
        ]),
        masked in any::<bool>(),
        boxed in any::<bool>(),
        batch in 1usize..70,
        threads in 1usize..5,
    ) {
        let model = Linear::random(seed, 6, 4);
        let (inputs, labels) = samples(&model, seed, 23);
        let data = dataset(inputs.clone(), labels, 6);
        let threat = |eps: f64| {
            let mut threat = Threat::new(norm, eps).with_goal(goal.clone());
            if masked {
                threat = threat.with_mask(vec![true, false, true, true, false, true]);
            }
            if boxed { threat } else { threat.with_bounds(Bounds::NONE) }
        };
        // Given out of order: budgets run ascending.
        let run = |run: Evaluation<'_>| {
            let run = run.threat(threat(scale)).threat(threat(0.0)).threat(threat(scale / 3.0));
            run.seed(seed).run().unwrap()
        };
        let plain = run(evaluation(&model, &data).batch(1).threads(1));
        assert_invariants(&plain, &model, &inputs);
        let bytes = Report::new(&plain).to_json();
        let other = run(evaluation(&model, &data).batch(batch).threads(threads));
        prop_assert_eq!(&bytes, &Report::new(&other).to_json());
        // A shard agrees with the whole.
        let shard = run(evaluation(&model, &data).batch(batch).range(7, Some(9)));
        for (row, part) in plain.rows.iter().zip(&shard.rows) {
            prop_assert_eq!(&row.attempts[7..16], &part.attempts[..]);
        }
        prop_assert_eq!(data.values(), &inputs[..]);
    }
}

#[test]
fn any_batch_and_thread_count_gives_the_same_bytes() {
    let model = Linear::random(3, 8, 5);
    let (inputs, labels) = samples(&model, 3, 100);
    let data = dataset(inputs, labels, 8);
    let bytes = |batch, threads| {
        let run = evaluation(&model, &data).batch(batch).threads(threads).seed(11);
        let run = run.threat(Threat::new(Norm::Linf, 0.05)).threat(Threat::new(Norm::L2, 0.1));
        Report::new(&run.run().unwrap()).to_json()
    };
    let expected = bytes(1, 1);
    for batch in [1, 3, 64] {
        for threads in [1, 2, 8] {
            assert_eq!(bytes(batch, threads), expected, "batch {batch}, threads {threads}");
        }
    }
}

/// Class 0 iff x0 > 2 x1; the samples' margins are 0.3, 0.6 and 1.2.
fn margins() -> (Linear, ironbound::Dataset) {
    let model = Linear::new(vec![vec![1.0, -2.0], vec![0.0, 0.0]], vec![0.0, 0.0]);
    (model, dataset(vec![0.5, 0.1, 0.8, 0.1, 1.4, 0.1], vec![0, 0, 0], 2))
}

/// FGSM on two linear classes is exact: it breaks a sample when eps exceeds margin / dual norm of the weights' difference.
#[test]
fn linear_models_break_at_their_margin() {
    let (model, data) = margins();
    for (norm, dual) in [(Norm::Linf, 3.0), (Norm::L2, 5.0f64.sqrt()), (Norm::L1, 2.0)] {
        let eps = 0.9 / dual;
        let threat = Threat::new(norm, eps).with_bounds(Bounds::NONE);
        let results = Evaluation::new(&model, &data).threat(threat).attack(attack("fgsm")).run();
        let fates = results.unwrap().rows[0].fates();
        assert_eq!(fates, [Fate::Broken, Fate::Broken, Fate::Robust], "{norm}");
    }
}

#[test]
fn a_smaller_budget_counts_for_the_larger_and_is_not_attacked_again() {
    let (model, data) = margins();
    let run = Evaluation::new(&model, &data).attack(attack("fgsm"));
    let threat = |eps| Threat::new(Norm::Linf, eps).with_bounds(Bounds::NONE);
    let results = run.threat(threat(0.25)).threat(threat(0.15)).run().unwrap();
    let [small, large] = &results.rows[..] else { panic!("two rows") };
    assert_eq!(small.fates(), [Fate::Broken, Fate::Robust, Fate::Robust]);
    assert_eq!(large.fates(), [Fate::Broken, Fate::Broken, Fate::Robust]);
    assert_eq!(large.attempts.iter().map(|a| a.attacked).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!((large.attempts[0].forward, large.attempts[0].backward), (0, 0));
    assert_eq!(small.attempts[0].adversarial, large.attempts[0].adversarial);
}

/// An attack that finds near points only when it is allowed far ones.
#[test]
fn a_point_found_under_a_larger_budget_counts_for_the_smaller_that_holds_it() {
    #[derive(Debug)]
    struct Bold;
    impl AnyAttack for Bold {
        fn id(&self) -> &'static str {
            "bold"
        }
        fn access(&self) -> &'static str {
            "blind"
        }
        fn params(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
        fn validate(&self) -> Result<()> {
            Ok(())
        }
        fn attempt(
            &self,
            session: &Session<'_>,
            samples: &[Sample<'_>],
        ) -> (Vec<Outcome>, Result<()>) {
            let near = |sample: &Sample<'_>| {
                let mut outcome = Outcome::default();
                if session.threat.budget.largest() > 0.2 {
                    outcome.point = Some(vec![sample.clean[0] - 0.12, sample.clean[1] + 0.12]);
                }
                outcome
            };
            (samples.iter().map(near).collect(), Ok(()))
        }
    }
    let (model, data) = margins();
    let threat = |eps| Threat::new(Norm::Linf, eps).with_bounds(Bounds::NONE);
    let run = Evaluation::new(&model, &data).attack(Bold);
    let results = run.threat(threat(0.05)).threat(threat(0.15)).threat(threat(0.25)).run().unwrap();
    let broken = |row: &Row| row.fates()[0] == Fate::Broken;
    assert_eq!(results.rows.iter().map(broken).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn a_target_that_is_the_label_is_not_attacked() {
    let model = Linear::random(5, 6, 3);
    let (inputs, labels) = samples(&model, 5, 30);
    let data = dataset(inputs, labels.clone(), 6);
    let threat = Threat::new(Norm::Linf, 1.0).with_goal(Goal::Class(1));
    let run = Evaluation::new(&model, &data).attack(attack("fgsm")).threat(threat);
    let results = run.run().unwrap();
    let mut kept = 0;
    for (index, attempt) in results.rows[0].attempts.iter().enumerate() {
        if labels[index] == 1 && results.clean[index].correct {
            assert_eq!((attempt.fate, attempt.attacked), (Fate::Robust, false));
            kept += 1;
        }
        assert!(attempt.adversarial.as_ref().is_none_or(|found| found.prediction == 1));
    }
    let warning = results.warnings.iter().find(|w| w.code == "target-is-label").unwrap();
    assert!(warning.message.starts_with(&format!("{kept} sample")), "{}", warning.message);
}

/// A sample falls to `every-other` if it falls to any class by itself, at the price of the classes that were tried.
#[test]
fn every_other_class_is_sought_in_turn() {
    let model = Linear::random(6, 6, 4);
    let (inputs, labels) = samples(&model, 6, 40);
    let data = dataset(inputs, labels.clone(), 6);
    let run = |goal, limit| {
        let threat = Threat::new(Norm::Linf, 0.2).with_goal(goal);
        let run = Evaluation::new(&model, &data).threat(threat);
        let run = run.attack(attack("pgd:steps=5")).attack(attack("fab:steps=5"));
        if let Some(limit) = limit { run.query_limit(limit) } else { run }.run().unwrap().rows
    };
    let every = run(Goal::EveryOther, None);
    let single: Vec<Vec<Row>> = (0..4).map(|class| run(Goal::Class(class), None)).collect();
    let mut counts = [0; 3];
    for (kind, row) in every.iter().enumerate() {
        for (index, attempt) in row.attempts.iter().enumerate().filter(|(_, a)| a.attacked) {
            let others: Vec<&Attempt> = (0..4)
                .filter(|class| *class != labels[index])
                .map(|class| &single[class][kind].attempts[index])
                .collect();
            let broken = others.iter().filter(|other| other.fate == Fate::Broken).count();
            counts[broken.min(2)] += 1;
            assert!(attempt.fate == Fate::Broken || broken == 0);
            let forward: u64 = others.iter().map(|other| other.forward).sum();
            if row.shared {
                assert_eq!(attempt.forward, forward, "a minimal-norm attack tries all");
                let distances = others.iter().filter_map(|other| other.adversarial.as_ref());
                let closest = distances.map(|a| a.distance).fold(f64::INFINITY, f64::min);
                let found = attempt.adversarial.as_ref().map_or(f64::INFINITY, |a| a.distance);
                assert!(found <= closest, "{found} {closest}");
            } else {
                assert!(attempt.forward <= forward);
                assert!(attempt.fate == Fate::Broken || attempt.forward == forward);
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 3), "{counts:?}");
    for attempt in run(Goal::EveryOther, Some(15)).iter().flat_map(|row| &row.attempts) {
        assert!(attempt.forward + attempt.backward <= 15);
    }
}

#[test]
fn budgets_per_sample_and_per_feature() {
    let model = Linear::random(9, 4, 3);
    let (inputs, labels) = samples(&model, 9, 20);
    let data = dataset(inputs.clone(), labels, 4);
    let mut none = Threat::new(Norm::Linf, 0.0);
    none.budget = Budget::PerSample((0..20).map(|i| if i % 2 == 0 { 0.0 } else { 1.0 }).collect());
    let mut one = Threat::new(Norm::Linf, 0.0);
    one.budget = Budget::PerFeature(vec![0.0, 0.5, 0.0, 0.5]);
    let results = evaluation(&model, &data).threat(none).threat(one).run().unwrap();
    assert_invariants(&results, &model, &inputs);
    for row in &results.rows {
        for (index, attempt) in row.attempts.iter().enumerate() {
            let Some(found) = &attempt.adversarial else { continue };
            match row.threat.budget {
                Budget::PerSample(_) => assert_eq!(index % 2, 1),
                _ => assert_eq!(
                    (found.point[0], found.point[2]),
                    (inputs[index * 4], inputs[index * 4 + 2])
                ),
            }
        }
    }
}

fn pixels() -> Domain {
    let grid = Some(Levels::Uniform("1/255".parse().unwrap()));
    Domain { grid, ..Domain::ANY }
}

fn colours(group: Vec<usize>) -> Domain {
    Domain { one_hot: vec![group], ..Domain::ANY }
}

/// Proposes what cannot be: the judge takes the nearest that can.
#[derive(Debug, serde::Serialize)]
struct Halfway;

impl Attack for Halfway {
    type Access = Blind;

    fn id(&self) -> &'static str {
        "halfway"
    }

    fn validate(&self) -> Result<()> {
        Ok(())
    }

    fn run(&self, target: &mut Target<'_, Blind>) -> Result<()> {
        for slot in 0..target.len() {
            let mut point = target.clean(slot).to_vec();
            point.iter_mut().for_each(|x| *x += 8.6 / 255.0);
            target.submit(&[slot], &point)?;
        }
        Ok(())
    }
}

/// Pixels that were computed by a multiplication are taken as what a division gives, and so is all that is found; what is
/// found without a grid counts with one only where it is on it.
#[test]
fn what_is_found_on_a_grid_is_on_it() {
    let model = Linear::random(5, 6, 3);
    let (inputs, labels) = samples(&model, 5, 40);
    let level = |x: &f32| (x * 255.0).round();
    let multiplied: Vec<f32> = inputs.iter().map(|x| level(x) * (1.0 / 255.0)).collect();
    let divided: Vec<f32> = inputs.iter().map(|x| level(x) / 255.0).collect();
    assert_ne!(multiplied, divided);
    let data = dataset(multiplied, labels, 6);
    let spacing: Spacing = "1/255".parse().unwrap();
    let mut broken = 0;
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let eps = 120.0 / 255.0 * if norm == Norm::Linf { 1.0 } else { 2.0 };
        let plain = Threat::new(norm, eps);
        let on_grid = plain.clone().with_domain(pixels());
        let run = evaluation(&model, &data).attack(Halfway);
        let results = run.threat(plain.clone()).threat(on_grid.clone()).run().unwrap();
        let note = results.warnings.iter().find(|finding| finding.code == "data-snapped").unwrap();
        assert!(note.message.contains("were off their levels by"), "{}", note.message);
        for row in &results.rows {
            let gridded = !row.threat.domain.is_any();
            for (index, attempt) in row.attempts.iter().enumerate() {
                let Some(found) = &attempt.adversarial else { continue };
                let clean = &divided[index * 6..][..6];
                assert!(plain.region(index, clean).check(&found.point).is_ok());
                let is_on_grid = on_grid.region(index, clean).check(&found.point).is_ok();
                assert!(is_on_grid || !gridded, "{:?}", found.point);
                broken += usize::from(gridded);
            }
        }
        for rows in results.rows.chunks(2) {
            let robust = |row: &Row| row.fates().iter().filter(|f| **f == Fate::Robust).count();
            assert!(robust(&rows[0]) <= robust(&rows[1]), "{norm} {}", rows[0].attack);
        }
    }
    assert!(broken > 20, "{broken}");
    assert!(divided.iter().all(|x| spacing.holds(*x)));
}

#[test]
fn what_cannot_be_evaluated_is_refused_before_anything_runs() {
    let model = Linear::random(1, 4, 3);
    let (inputs, labels) = samples(&model, 1, 10);
    let data = dataset(inputs.clone(), labels.clone(), 4);
    let fault = |run: Evaluation<'_>| run.run().unwrap_err().to_string();
    let plain = || evaluation(&model, &data).threat(Threat::new(Norm::Linf, 0.1));
    let cases = [
        (fault(plain().batch(0)), "`batch` is 0"),
        (fault(plain().threads(0)), "`threads` is 0"),
        (fault(plain().range(10, None)), "`offset` is 10"),
        (fault(plain().range(0, Some(0))), "`limit` is 0"),
        (fault(plain().threat(Threat::new(Norm::L2, -0.5))), "`eps` is -0.5"),
        (fault(plain().threat(Threat::new(Norm::L2, 0.5).with_mask(vec![true]))), "`mask`"),
        (
            fault(plain().threat(Threat::new(Norm::L2, 0.5).with_goal(Goal::Class(3)))),
            "is 3: the model has 3 classes",
        ),
        (
            fault(
                plain().threat(Threat::new(Norm::L2, 0.5).with_bounds(Bounds::Uniform(0.9, 1.0))),
            ),
            "sample 0, feature 0 is 0.6457832, outside the bounds [0.9, 1]",
        ),
        (
            fault(plain().threat(Threat::new(Norm::Linf, 0.1).with_domain(pixels()))),
            "sample 0, feature 0 is 0.6457832, which is no level of 1/255 (the nearest is 0.64705884)",
        ),
        (
            fault(plain().threat(Threat::new(Norm::Linf, 0.1).with_domain(colours(vec![4, 5])))),
            "`domain.one_hot[0]` is [4, 5]: expected two features or more, from 0 to 3",
        ),
        (
            fault(plain().threat(Threat::new(Norm::Linf, 0.1).with_domain(colours(vec![0, 1])))),
            "sample 0, features [0, 1] are [0.6457832, ",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}");
    }
    let wrong = dataset(inputs.clone(), vec![0, 1, 2, 0, 1, 2, 3, 1, 2, 0], 4);
    let message = fault(Evaluation::new(&model, &wrong));
    assert!(
        message.contains("the label of sample 6 is 3, but the model has 3 classes"),
        "{message}"
    );
    let wide = dataset(inputs, labels[..8].to_vec(), 5);
    let message = fault(Evaluation::new(&model, &wide));
    assert!(message.contains("samples have shape (5,), the model takes (4,)"), "{message}");
}

#[test]
fn ids_and_access_reach_the_results() {
    let model = Linear::random(1, 4, 3);
    let (inputs, labels) = samples(&model, 1, 10);
    let data = dataset(inputs, labels, 4);
    let results = evaluation(&model, &data).threat(Threat::new(Norm::Linf, 0.1)).run().unwrap();
    let named: Vec<_> = results.rows.iter().map(|row| (&row.attack[..], &row.access[..])).collect();
    assert_eq!(
        named,
        [("noise", "blind"), ("fgsm", "gradient"), ("pgd", "gradient"), ("fab", "gradient")]
    );
    assert_eq!(results.rows[2].params, attack("pgd:steps=5,restarts=2").params());
}

/// Counts the gradients that are asked of it.
#[derive(Debug)]
struct Counting(Linear, AtomicUsize);

impl Classifier for Counting {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        self.0.logits(batch, logits)
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.1.fetch_add(aims.len(), Ordering::Relaxed);
        self.0.loss_and_gradient(batch, aims, loss, out)
    }
}

/// The samples break at 0.3, 0.6 and 1.2 over the dual norm of the weights' difference.
#[test]
fn a_minimal_norm_attack_runs_once_for_all_budgets() {
    let (model, data) = margins();
    let model = Counting(model, AtomicUsize::new(0));
    for (norm, dual) in [(Norm::L1, 2.0), (Norm::L2, 5.0_f64.sqrt()), (Norm::Linf, 3.0)] {
        for text in ["fab", "fmn:steps=200", "minimal:inner=fgsm"] {
            let threat = |margin: f64| Threat::new(norm, margin / dual).with_bounds(Bounds::NONE);
            let run = [1.3, 0.1, 0.65, 0.35, 0.59]
                .into_iter()
                .fold(Evaluation::new(&model, &data).preflight(false), |run, margin| {
                    run.threat(threat(margin))
                });
            model.1.store(0, Ordering::Relaxed);
            let results = run.attack(attack(text)).run().unwrap();
            let broken = |row: &Row| row.fates().iter().filter(|f| **f == Fate::Broken).count();
            let curve: Vec<_> = results.rows.iter().map(broken).collect();
            assert_eq!(curve, [0, 1, 1, 2, 3], "{text} {norm}");
            let asked: u64 = results.rows[0].attempts.iter().map(|a| a.backward).sum();
            // The rehearsal asks for one.
            assert_eq!(model.1.load(Ordering::Relaxed) as u64, asked + 1, "{text} {norm}");
            let last = results.rows.last().unwrap();
            for row in &results.rows {
                assert!(row.shared);
                for (attempt, whole) in row.attempts.iter().zip(&last.attempts) {
                    assert!(attempt.attacked && !attempt.rejected);
                    let queries = |a: &Attempt| (a.forward, a.backward);
                    assert_eq!(queries(attempt), queries(whole));
                    let distance = whole.adversarial.as_ref().unwrap().distance;
                    let within = distance <= row.threat.budget.largest();
                    assert_eq!(attempt.fate == Fate::Broken, within, "{text} {norm}");
                    assert_eq!(
                        attempt.adversarial,
                        within.then(|| whole.adversarial.clone().unwrap())
                    );
                    assert!(within || attempt.fate == Fate::Robust);
                }
            }
            let report = Report::new(&results);
            let accuracy: Vec<_> = report.attacks.iter().map(|row| row.robust_accuracy).collect();
            assert!(accuracy.is_sorted_by(|small, large| small >= large));
            assert!(report.attacks.iter().all(|row| row.shared));
            assert!(report.to_text().contains("one run for all budgets"));
        }
    }
}

/// Other bounds are another run; the points of one count for the other where they hold.
#[test]
fn threats_that_differ_in_more_than_the_budget_have_runs_of_their_own() {
    let (model, data) = margins();
    let model = Counting(model, AtomicUsize::new(0));
    let free = Threat::new(Norm::Linf, 0.5).with_bounds(Bounds::NONE);
    let masked =
        Threat::new(Norm::Linf, 2.0).with_bounds(Bounds::NONE).with_mask(vec![true, false]);
    let targeted = free.clone().with_goal(Goal::Class(1));
    let run = Evaluation::new(&model, &data).preflight(false).attack(attack("fab"));
    let results = run.threat(free).threat(masked).threat(targeted).run().unwrap();
    let asked: u64 = results.rows.iter().flat_map(|row| &row.attempts).map(|a| a.backward).sum();
    assert_eq!(model.1.load(Ordering::Relaxed) as u64, asked + 1);
    for row in &results.rows {
        assert_eq!(row.fates(), [Fate::Broken; 3]);
        for (index, attempt) in row.attempts.iter().enumerate() {
            let found = attempt.adversarial.as_ref().unwrap();
            let free = row.threat.mask.is_none();
            assert!(free || found.point[1].to_bits() == data.sample(index)[1].to_bits());
            let best = [0.3, 0.6, 1.2][index] / if free { 3.0 } else { 1.0 };
            assert!(found.distance < 1.02 * best, "{}", found.distance);
        }
    }
}

/// What goes wrong after a point was found leaves the sample failed only where that point does not count.
#[test]
fn an_error_after_a_success_fails_the_smaller_budgets() {
    #[derive(Debug)]
    struct Stumbling;
    impl AnyAttack for Stumbling {
        fn id(&self) -> &'static str {
            "stumbling"
        }
        fn access(&self) -> &'static str {
            "blind"
        }
        fn family(&self) -> Family {
            Family::MinimalNorm
        }
        fn params(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
        fn validate(&self) -> Result<()> {
            Ok(())
        }
        fn attempt(
            &self,
            session: &Session<'_>,
            samples: &[Sample<'_>],
        ) -> (Vec<Outcome>, Result<()>) {
            assert!(session.threat.budget.largest().is_infinite());
            let far = |sample: &Sample<'_>| {
                let mut outcome = Outcome::default();
                outcome.point = Some(vec![sample.clean[0] - 0.12, sample.clean[1] + 0.12]);
                outcome
            };
            let problem = "broke down".into();
            let error = Error::Model { model: "linear".into(), problem, source: None };
            (samples.iter().map(far).collect(), Err(error))
        }
    }
    let (model, data) = margins();
    let threat = |eps| Threat::new(Norm::Linf, eps).with_bounds(Bounds::NONE);
    let run = Evaluation::new(&model, &data).attack(Stumbling);
    let results = run.threat(threat(0.05)).threat(threat(0.15)).run().unwrap();
    let fates = |row: usize| results.rows[row].fates();
    assert_eq!(fates(0), [Fate::Failed; 3]);
    assert_eq!(fates(1), [Fate::Broken, Fate::Failed, Fate::Failed]);
    assert_eq!(results.rows[1].attempts[0].error, None);
}

#[test]
fn a_norm_that_an_attack_does_not_work_in_is_refused_before_anything_runs() {
    let (model, data) = margins();
    let run = Evaluation::new(&model, &data).attack(attack("ddn"));
    let fault = run.threat(Threat::new(Norm::Linf, 0.1).with_bounds(Bounds::NONE)).run();
    assert_eq!(fault.unwrap_err().to_string(), "`norm` is linf: ddn works in l2");
}
