//! Attacks that lie, fail or never end, and models that return NaN.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use closed::{Linear, dataset, samples};
use ironbound::attack::{AnyAttack, AttackSpec, Outcome, Sample, Session};
use ironbound::evaluate::{Fate, UnitDone};
use ironbound::report::Report;
use ironbound::{
    Aim, Batch, Bounds, Cancel, Classifier, Error, Evaluation, Finding, Loss, LossGradient,
    ModelInfo, Norm, Observer, Result, Results, Threat,
};

/// Returns what it was told to, for every sample.
#[derive(Debug)]
struct Scripted(fn(&Sample<'_>) -> Outcome);

/// Breaks the sample next to the boundary, and is interrupted before it gets to the others.
#[derive(Debug)]
struct Interrupted;

/// Fails on every batch that holds sample `0`, and finds nothing otherwise.
#[derive(Debug)]
struct Failing(usize);

macro_rules! any_attack {
    ($type:ty, $self:ident, $samples:ident => $run:expr) => {
        impl AnyAttack for $type {
            fn id(&self) -> &'static str {
                "scripted"
            }

            fn access(&self) -> &'static str {
                "decision"
            }

            fn params(&self) -> serde_json::Value {
                serde_json::json!({})
            }

            fn validate(&self) -> Result<()> {
                Ok(())
            }

            fn attempt(&$self, _: &Session<'_>, $samples: &[Sample<'_>]) -> (Vec<Outcome>, Result<()>) {
                $run
            }
        }
    };
}

any_attack!(Scripted, self, samples => (samples.iter().map(self.0).collect(), Ok(())));
any_attack!(Failing, self, samples => {
    let nothing = samples.iter().map(|_| Outcome::default());
    if samples.iter().any(|sample| sample.id == self.0) {
        return (vec![], Err(Error::Unknown { what: "fault", name: "x".into(), choices: vec![] }));
    }
    (nothing.collect(), Ok(()))
});

any_attack!(Interrupted, self, samples => {
    let outcome = |sample: &Sample<'_>| match sample.id {
        1 => claim(Some(vec![0.55, 0.1])),
        _ => Outcome::default(),
    };
    (samples.iter().map(outcome).collect(), Err(Error::Cancelled))
});

fn claim(point: Option<Vec<f32>>) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.point = point;
    outcome.success = true;
    outcome
}

/// Class 0 iff x0 < 0.5; samples at 0.1 (label 0), 0.4 (label 0) and 0.9 (label 1).
fn threshold() -> (Linear, ironbound::Dataset) {
    let model = Linear::new(vec![vec![0.0, 0.0], vec![1.0, 0.0]], vec![0.5, 0.0]);
    (model, dataset(vec![0.1, 0.1, 0.4, 0.1, 0.9, 0.1], vec![0, 0, 1], 2))
}

fn run(attack: impl AnyAttack + 'static) -> Results {
    let (model, data) = threshold();
    let threat = Threat::new(Norm::Linf, 0.2);
    Evaluation::new(&model, &data).threat(threat).attack(attack).run().unwrap()
}

#[test]
fn false_claims_are_rejected_and_counted() {
    let lies: [fn(&Sample<'_>) -> Outcome; 4] = [
        |sample| claim(Some(sample.clean.to_vec())),
        |_| claim(Some(vec![f32::NAN, 0.1])),
        |_| claim(Some(vec![0.7])),
        |_| claim(None),
    ];
    for lie in lies {
        let results = run(Scripted(lie));
        assert_eq!(results.rows[0].fates(), [Fate::Robust; 3]);
        let report = Report::new(&results);
        assert_eq!((report.attacks[0].rejected, report.attacks[0].success_rate), (3, Some(0.0)));
        assert_eq!(report.attacks[0].distance.mean, None);
        assert!(report.warnings.iter().any(|w| w.code == "rejected"));
    }
}

#[test]
fn a_point_outside_of_the_ball_counts_only_as_far_as_its_projection_holds() {
    // Everyone proposes the point 100, 100: its projection breaks the sample at 0.4 alone.
    let results = run(Scripted(|_| claim(Some(vec![100.0, 100.0]))));
    let row = &results.rows[0];
    assert_eq!(row.fates(), [Fate::Robust, Fate::Broken, Fate::Robust]);
    let found = row.attempts[1].adversarial.as_ref().unwrap();
    assert!(found.distance <= 0.2 && found.point.iter().all(|x| (0.0..=1.0).contains(x)));
    assert_eq!(row.attempts.iter().filter(|a| a.rejected).count(), 2);
}

#[test]
fn an_unclaimed_success_counts() {
    let results = run(Scripted(|sample| {
        let mut outcome = claim(Some(vec![sample.clean[0] + 0.15, 0.1]));
        outcome.success = false;
        outcome
    }));
    assert_eq!(results.rows[0].fates(), [Fate::Robust, Fate::Broken, Fate::Robust]);
    assert!(results.rows[0].attempts.iter().all(|a| !a.rejected));
}

#[test]
fn a_missing_outcome_proposes_nothing() {
    #[derive(Debug)]
    struct Mute;
    any_attack!(Mute, self, _samples => (vec![], Ok(())));
    assert_eq!(run(Mute).rows[0].fates(), [Fate::Robust; 3]);
}

#[test]
fn an_error_costs_one_sample_whatever_the_batch() {
    let (model, data) = threshold();
    let report = |batch| {
        let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.2));
        let results = run.attack(Failing(1)).batch(batch).run().unwrap();
        assert_eq!(results.rows[0].fates(), [Fate::Robust, Fate::Failed, Fate::Robust]);
        Report::new(&results)
    };
    let alone = report(1);
    assert_eq!(alone.attacks[0].errors, [1]);
    assert_eq!(
        (alone.attacks[0].robust_accuracy, alone.attacks[0].success_rate),
        (Some(2.0 / 3.0), Some(0.0))
    );
    assert!(alone.warnings.iter().any(|w| w.code == "attack-error" && w.message.contains("`x`")));
    assert_eq!(alone, report(3));
}

/// Cannot be run on a batch that holds a value above 0.8 where the judge asks.
#[derive(Debug)]
struct Picky(Linear);

impl Classifier for Picky {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        self.0.logits(batch, logits)
    }

    fn logits_alone(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        if batch.inputs.iter().any(|value| *value > 0.8) {
            return Err(Error::Unknown { what: "fault", name: "x".into(), choices: vec![] });
        }
        self.logits(batch, logits)
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.0.loss_and_gradient(batch, aims, loss, out)
    }
}

#[test]
fn a_model_that_fails_on_a_sample_costs_no_other_its_verdict() {
    let (model, _) = threshold();
    let model = Picky(model);
    let data = dataset(vec![0.1, 0.1, 0.4, 0.1, 0.6, 0.1], vec![0, 0, 1], 2);
    // At 0.4, 0.7 and 0.9, judged together.
    let away = Scripted(|sample| claim(Some(vec![sample.clean[0] + 0.3, 0.1])));
    let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.3)).attack(away);
    let results = run.batch(3).run().unwrap();
    assert_eq!(results.rows[0].fates(), [Fate::Robust, Fate::Broken, Fate::Failed]);
    assert!(results.rows[0].attempts[2].error.as_ref().is_some_and(|error| error.contains("`x`")));
}

#[test]
fn a_query_limit_ends_an_attack_without_a_fault() {
    let model = Linear::random(2, 5, 3);
    let (inputs, labels) = samples(&model, 2, 20);
    let data = dataset(inputs, labels, 5);
    let pgd: AttackSpec = "pgd:steps=50,restarts=3".parse().unwrap();
    let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.001)).attack(pgd);
    let results = run.query_limit(7).batch(4).run().unwrap();
    assert!(results.rows[0].attempts.iter().any(|a| a.forward > 0));
    for attempt in &results.rows[0].attempts {
        assert!(attempt.forward + attempt.backward <= 7);
        assert_ne!(attempt.fate, Fate::Failed);
    }
}

#[test]
fn nan_at_the_clean_input_is_neither_robust_nor_broken() {
    let (mut model, data) = threshold();
    model.nan_above = 0.8;
    let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.01));
    let results = run.attack("noise".parse::<AttackSpec>().unwrap()).run().unwrap();
    assert_eq!(results.rows[0].fates(), [Fate::Robust, Fate::Robust, Fate::Unusable]);
    let report = Report::new(&results);
    assert_eq!((report.clean.accuracy, &report.clean.errors[..]), (Some(2.0 / 3.0), &[2][..]));
    assert_eq!(
        (&report.attacks[0].errors[..], report.attacks[0].success_rate),
        (&[2][..], Some(0.0))
    );
    assert!(
        report
            .warnings
            .iter()
            .any(|w| w.code == "non-finite" && w.message.starts_with("1 sample has"))
    );
}

#[test]
fn nan_under_attack_is_neither_robust_nor_broken() {
    let (mut model, data) = threshold();
    model.nan_above = 0.41;
    let run = Evaluation::new(&model, &data).range(0, Some(2)).threat(Threat::new(Norm::Linf, 0.2));
    let results = run.attack("fgsm".parse::<AttackSpec>().unwrap()).run().unwrap();
    assert_eq!(results.rows[0].fates(), [Fate::Robust, Fate::Failed]);
    assert!(
        results.rows[0].attempts[1].error.as_ref().unwrap().contains("sample 1: logit 0 is NaN")
    );
}

/// Asks for the end after a number of work units.
struct Impatient {
    left: AtomicUsize,
    cancel: Cancel,
}

impl Observer for Impatient {
    fn unit_done(&self, _: UnitDone<'_>) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.cancel.cancel();
        }
    }
}

#[test]
fn an_interrupted_run_keeps_what_was_done() {
    let model = Linear::random(4, 5, 3);
    let (inputs, labels) = samples(&model, 4, 30);
    let data = dataset(inputs, labels, 5);
    let full = |run: Evaluation<'_>| {
        let run = run.threat(Threat::new(Norm::Linf, 0.05)).threat(Threat::new(Norm::Linf, 0.1));
        let run = run.attack("noise".parse::<AttackSpec>().unwrap());
        run.attack("fgsm".parse::<AttackSpec>().unwrap()).threads(1).batch(4).run().unwrap()
    };
    let whole = full(Evaluation::new(&model, &data));
    let watcher = Impatient { left: AtomicUsize::new(8), cancel: Cancel::default() };
    let run = Evaluation::new(&model, &data).observer(&watcher).cancel(watcher.cancel.clone());
    let part = full(run);
    assert!(part.partial && !whole.partial);
    // 24 samples are classified correctly: 6 units per budget at the most.
    assert!(!part.rows[0].fates().contains(&Fate::Unreached));
    assert_eq!(part.rows[0].attempts, whole.rows[0].attempts);
    let reached = part.rows[1].attempts.iter().zip(&whole.rows[1].attempts);
    assert!(reached.clone().any(|(part, _)| part.fate == Fate::Unreached));
    assert!(reached.filter(|(part, _)| part.attacked).all(|(part, whole)| part == whole));
    assert_eq!(part.rows[3].fates(), [Fate::Unreached; 30]);
    // The finished samples are one stretch, the misclassified ones included.
    let fates = part.rows[1].fates();
    let first = fates.iter().position(|fate| *fate == Fate::Unreached).unwrap();
    assert!(first > 5 && fates[first..].iter().all(|fate| *fate == Fate::Unreached));
    assert!(fates[..first].contains(&Fate::Wrong));

    let report = Report::new(&part);
    assert!(report.partial && report.warnings.iter().any(|w| w.code == "interrupted"));
    assert!(report.attacks[0].unreached.is_empty() && !report.attacks[1].unreached.is_empty());
    assert_eq!((report.attacks[3].robust_accuracy, report.attacks[3].interval), (None, [0.0, 1.0]));
    assert!(report.to_text().contains("PARTIAL"));
    assert_eq!(Report::from_json(&report.to_json(), "test").unwrap(), report);
}

#[test]
fn a_run_interrupted_before_it_starts_is_empty_but_valid() {
    let (model, data) = threshold();
    let cancel = Cancel::default();
    cancel.cancel();
    let run = Evaluation::new(&model, &data).cancel(cancel);
    let run = run.threat(Threat::new(Norm::L2, 0.1).with_bounds(Bounds::NONE));
    let results = run.attack("fgsm".parse::<AttackSpec>().unwrap()).run().unwrap();
    let report = Report::new(&results);
    assert!(report.partial);
    assert_eq!((report.clean.accuracy, report.worst_case[0].robust_accuracy), (None, None));
    assert_eq!(report.clean.unreached, [0, 1, 2]);
}

/// A linear model whose gradient is hidden.
#[derive(Debug)]
struct Masked(Linear);

impl Classifier for Masked {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn notes(&self) -> Vec<Finding> {
        vec![Finding::warning("masked", "its gradient is zero")]
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
        self.0.loss_and_gradient(batch, aims, loss, out)?;
        out.gradient.fill(0.0);
        Ok(())
    }
}

#[test]
fn masking_and_notes_are_warned_of() {
    let (model, data) = threshold();
    let run = |attacks: &[&str]| {
        let model = Masked(Linear::new(model.weights.clone(), model.bias.clone()));
        let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.45));
        let run = attacks.iter().fold(run, |run, a| run.attack(a.parse::<AttackSpec>().unwrap()));
        let results = run.run().unwrap();
        results.warnings.iter().map(|w| (w.code.clone(), w.message.clone())).collect::<Vec<_>>()
    };
    let found = run(&["noise:draws=200", "fgsm"]);
    let codes: Vec<_> = found.iter().map(|(code, _)| &code[..]).collect();
    assert_eq!(codes[..3], ["masked", "dead-gradient", "zero-gradient"]);
    assert!(found[2].1.contains("fgsm linf: ") && found[2].1.contains("3 of 3 steps (100.0 %)"));
    let found = run(&["noise:draws=200", "fgsm:rel_step=0.01"]);
    let (_, message) = found.iter().find(|(code, _)| code == "noise-beats-gradient").unwrap();
    assert!(
        message.starts_with("noise broke 3 of 3 samples within linf 0.45, fgsm only 0"),
        "{message}"
    );
}

/// Its broken samples are the easy ones: counted without their neighbours, they would make any model look bad.
#[test]
fn an_interrupted_batch_counts_as_a_whole() {
    let (model, data) = threshold();
    let results = Evaluation::new(&model, &data)
        .threat(Threat::new(Norm::Linf, 0.2))
        .attack(Interrupted)
        .batch(3)
        .run()
        .unwrap();
    let row = &results.rows[0];
    assert!(row.attempts.iter().all(|attempt| attempt.fate == Fate::Unreached), "{row:?}");
    assert!(row.attempts[1].adversarial.is_some(), "what was found is not lost");
    let report = Report::new(&results);
    assert!(report.partial);
    assert_eq!(report.attacks[0].robust_accuracy, None);
    assert_eq!(report.attacks[0].distance.mean, None);
}

#[test]
fn a_loss_that_needs_more_classes_is_refused_before_the_run() {
    let model = Linear::random(1, 3, 2);
    let (inputs, labels) = samples(&model, 1, 4);
    let data = dataset(inputs, labels, 3);
    let refused = |attack: &str| {
        let attack: AttackSpec = attack.parse().unwrap();
        let evaluation = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.1));
        evaluation.attack(attack).run().map(|_| ()).unwrap_err().to_string()
    };
    let expected = "it needs 4 classes or more, the model has 2";
    assert_eq!(refused("apgd-t"), format!("`loss` is dlr-t: {expected}"));
    assert!(refused("pgd:loss=dlr").starts_with("`loss` is dlr: it needs 3 classes"));
    let fine = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.1));
    assert!(fine.attack("autoattack".parse::<AttackSpec>().unwrap()).run().is_ok());
}
