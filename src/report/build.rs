//! From results to the record.

use super::agreement::{agreements, confusion_under};
use super::classes::{class_disparity, classes};
use super::groups::GroupTable;
use super::perturbations::{perturbations, success_queries};
use super::record::{
    AttackRow, Broken, CleanRow, DataRecord, ModelRecord, Queries, Report, SCHEMA, WorstCase,
};
use crate::evaluate::{Adversarial, Attempt, Clean, DataInfo, Fate, Passes, Results, Row};
use crate::goal::Goal;
use crate::metrics::{Tally, expected_calibration_error, spread, wilson95, worst_case};
use crate::model::ModelInfo;
use crate::norm::Norm;
use crate::threat::Threat;

impl Report {
    /// The record of `results`.
    #[must_use]
    pub fn new(results: &Results) -> Self {
        let (model, threats) = (&results.model, threats(results));
        Self {
            schema: SCHEMA.into(),
            ironbound: env!("CARGO_PKG_VERSION").into(),
            seed: results.seed,
            partial: results.partial,
            stopped: results.stopped.clone(),
            model: model.into(),
            data: DataRecord::new(&results.data, &results.ids),
            clean: clean(results),
            attacks: results.rows.iter().map(|row| attack(row, &threats, &results.ids)).collect(),
            worst_case: threats.iter().map(|threat| worst(threat, results)).collect(),
            curves: vec![],
            warnings: results.warnings.clone(),
        }
        .with_curves()
    }
}

impl DataRecord {
    /// Of the samples with these indices.
    pub(super) fn new(data: &DataInfo, ids: &[usize]) -> Self {
        Self {
            path: data.path.clone(),
            sha256: data.sha256.clone(),
            samples: ids.len(),
            offset: ids.first().copied().unwrap_or(0),
            class_names: data.class_names.clone(),
        }
    }
}

impl From<&ModelInfo> for ModelRecord {
    fn from(model: &ModelInfo) -> Self {
        Self {
            path: model.path.clone(),
            sha256: model.sha256.clone(),
            input: model.input.clone(),
            output: model.output.clone(),
            classes: model.classes,
            options: model.options.clone(),
        }
    }
}

fn clean(results: &Results) -> CleanRow {
    let all = &results.clean;
    let ids = |keep: &dyn Fn(&Clean) -> bool| -> Vec<usize> {
        all.iter().zip(&results.ids).filter(|(clean, _)| keep(clean)).map(|(_, id)| *id).collect()
    };
    let errors = ids(&|clean| clean.error.is_some());
    let unreached = ids(&|clean| clean.error.is_none() && clean.prediction.is_none());
    let correct = all.iter().filter(|clean| clean.correct).count();
    let finished = all.len() - unreached.len();
    CleanRow {
        accuracy: (finished > 0).then(|| correct as f64 / finished as f64),
        interval: wilson95(correct, finished),
        correct: all.iter().map(|clean| clean.correct).collect(),
        labels: results.labels.clone(),
        predictions: all.iter().map(|clean| clean.prediction).collect(),
        confidences: all.iter().map(|clean| clean.confidence).collect(),
        calibration: calibration(results, all.iter().filter_map(sureness)),
        groups: results.groups.clone(),
        errors,
        unreached,
    }
}

fn attack(row: &Row, threats: &[&Threat], ids: &[usize]) -> AttackRow {
    let fates = row.fates();
    let tally = Tally::of(fates.iter().copied());
    let broken = row.attempts.iter().filter(|attempt| attempt.fate == Fate::Broken);
    let sizes = broken.filter_map(|a| a.adversarial.as_ref()).map(|found| found.distance);
    let distances: Vec<f64> = sizes.filter(|_| norm(&row.threat).is_some()).collect();
    let attacked: Vec<_> = row.attempts.iter().filter(|a| a.attacked).collect();
    let mean = |passes: u64| passes as f64 / attacked.len().max(1) as f64;
    AttackRow {
        id: row.attack.clone(),
        params: row.params.clone(),
        norm: norm(&row.threat),
        eps: eps(&row.threat),
        transformation: row.threat.transformation.clone(),
        goal: goal(&row.threat.goal),
        case: threats.iter().position(|threat| **threat == row.threat).unwrap_or(0),
        robust_accuracy: tally.robust_accuracy(),
        interval: tally.interval(),
        success_rate: tally.success_rate(),
        rejected: row.attempts.iter().filter(|a| a.rejected).count(),
        queries: Queries {
            forward: mean(attacked.iter().map(|a| a.forward).sum()),
            backward: mean(attacked.iter().map(|a| a.backward).sum()),
        },
        success_queries: success_queries(row),
        preparation: (row.preparation != Passes::default()).then_some(Queries {
            forward: row.preparation.forward as f64,
            backward: row.preparation.backward as f64,
        }),
        shared: row.shared,
        distance: spread(&distances).into(),
        perturbations: perturbations(row),
        robust: robust(&fates),
        broken: broken_samples(row, ids),
        errors: errors(&fates, ids),
        unreached: unreached(&fates, ids),
    }
}

/// The norm, unless transformations are the threat.
pub(super) fn norm(threat: &Threat) -> Option<Norm> {
    threat.transformation.is_none().then_some(threat.norm)
}

pub(super) fn eps(threat: &Threat) -> Option<f64> {
    norm(threat).map(|_| threat.budget.largest())
}

/// The threats, in the order of the rows.
fn threats(results: &Results) -> Vec<&Threat> {
    let mut threats: Vec<&Threat> = vec![];
    for row in &results.rows {
        if !threats.contains(&&row.threat) {
            threats.push(&row.threat);
        }
    }
    threats
}

fn worst(threat: &Threat, results: &Results) -> WorstCase {
    let rows = results.rows.iter().filter(|row| row.threat == *threat);
    let fates: Vec<_> = rows.map(Row::fates).collect();
    let fates = worst_case(&fates.iter().map(|row| &row[..]).collect::<Vec<_>>());
    let tally = Tally::of(fates.iter().copied());
    let correct: Vec<_> = results.clean.iter().map(|clean| clean.correct).collect();
    let classes = classes(&fates, &results.labels, &correct);
    WorstCase {
        norm: norm(threat),
        eps: eps(threat),
        transformation: threat.transformation.clone(),
        goal: goal(&threat.goal),
        threat: Some(threat.clone()),
        robust_accuracy: tally.robust_accuracy(),
        interval: tally.interval(),
        robust: robust(&fates),
        disparity: class_disparity(&classes),
        groups: results.groups.iter().map(|of| GroupTable::new(of, &fates, &correct)).collect(),
        classes,
        calibration: calibration_under(threat, results, &fates),
        confusion: confusion_under(threat, results, &fates),
        agreement: agreements(threat, results),
        errors: errors(&fates, &results.ids),
        unreached: unreached(&fates, &results.ids),
    }
}

fn broken_samples(row: &Row, ids: &[usize]) -> Vec<Broken> {
    let broken = |(attempt, id): (&Attempt, &usize)| {
        let found = attempt.adversarial.as_ref().filter(|_| attempt.fate == Fate::Broken)?;
        let Adversarial { distance, sizes, ssim, prediction, confidence, ref change, .. } = *found;
        Some(Broken {
            sample: *id,
            distance: norm(&row.threat).map(|_| distance),
            sizes: Some(sizes),
            ssim,
            queries: attempt
                .attacked
                .then_some(Passes { forward: attempt.forward, backward: attempt.backward }),
            change: change.clone(),
            prediction,
            confidence,
        })
    };
    row.attempts.iter().zip(ids).filter_map(broken).collect()
}

/// How sure a prediction is, and whether it is right.
fn sureness(clean: &Clean) -> Option<(f64, bool)> {
    clean.confidence.map(|confidence| (confidence, clean.correct))
}

/// That over the usual 15 bins. Where all labels are one there is nothing to be sure of: so it is for objectives.
fn calibration(results: &Results, samples: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    let several = results.labels.windows(2).any(|pair| pair[0] != pair[1]);
    let samples: Vec<_> = samples.collect();
    several.then(|| expected_calibration_error(&samples, 15)).flatten()
}

/// That of the perturbed inputs where samples were broken, by the first attack that did, and of the clean ones elsewhere.
fn calibration_under(threat: &Threat, results: &Results, fates: &[Fate]) -> Option<f64> {
    let rows = || results.rows.iter().filter(|row| row.threat == *threat);
    let sample = |(index, fate): (usize, &Fate)| match fate {
        Fate::Broken => rows()
            .find_map(|row| row.attempts[index].adversarial.as_ref())
            .map(|found| (found.confidence, found.prediction == results.labels[index])),
        Fate::Unreached => None,
        _ => sureness(&results.clean[index]),
    };
    calibration(results, fates.iter().enumerate().filter_map(sample))
}

fn robust(fates: &[Fate]) -> Vec<bool> {
    fates.iter().map(|fate| *fate == Fate::Robust).collect()
}

fn errors(fates: &[Fate], ids: &[usize]) -> Vec<usize> {
    which(fates, ids, |fate| matches!(fate, Fate::Failed | Fate::Unusable))
}

fn unreached(fates: &[Fate], ids: &[usize]) -> Vec<usize> {
    which(fates, ids, |fate| fate == Fate::Unreached)
}

fn which(fates: &[Fate], ids: &[usize], keep: impl Fn(Fate) -> bool) -> Vec<usize> {
    fates.iter().zip(ids).filter(|(fate, _)| keep(**fate)).map(|(_, id)| *id).collect()
}

pub(super) fn goal(goal: &Goal) -> String {
    match goal {
        Goal::Untargeted => "untargeted".into(),
        Goal::Class(class) => format!("class {class}"),
        Goal::PerSample(_) => "per sample".into(),
        Goal::Random => "random".into(),
        Goal::LeastLikely => "least-likely".into(),
        Goal::KthLikely(k) => format!("kth-likely {k}"),
        Goal::EveryOther => "every-other".into(),
    }
}
