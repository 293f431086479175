//! What became of each sample: the rows of the CSV and JSON Lines renderings.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::{AttackRow, Broken, Report, WorstCase};
use crate::data::Grouping;
use crate::norm::Norm;

/// One sample under one attack, or under all attacks on one threat together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRow {
    /// Its index in the file.
    pub sample: usize,
    /// The true class; none in the record of an earlier version.
    pub label: Option<usize>,
    /// The predicted class without an attack; none for errors and unreached samples.
    pub clean_prediction: Option<usize>,
    /// How sure of it the model is: the softmax probability.
    pub clean_confidence: Option<f64>,
    /// Which of [`Report::worst_case`] has the threat.
    pub case: usize,
    /// The threat's norm; none for transformations.
    pub norm: Option<Norm>,
    /// The budget; none for transformations.
    pub eps: Option<f64>,
    /// What transformations may do, where they are the threat.
    pub transformation: Option<String>,
    /// The attacker's goal.
    pub goal: String,
    /// Which of [`Report::attacks`] it is; none for all of them together.
    pub row: Option<usize>,
    /// The attack's name, or [`SampleRow::WORST_CASE`].
    pub attack: String,
    /// The parameters that set the attack apart from others of its name, such as "steps=10,loss=margin".
    pub params: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The size of the perturbation of a broken sample, in the threat's norm; the smallest one for all attacks together.
    pub distance: Option<f64>,
    /// What the transformation was that broke the sample, as JSON.
    pub change: Option<String>,
    /// The class that the model takes the perturbed sample for.
    pub prediction: Option<usize>,
    /// How sure of it the model is: the softmax probability.
    pub confidence: Option<f64>,
    /// What the true class is called; none where classes have no names.
    pub label_name: Option<String>,
    /// What the class is called that is predicted without an attack.
    pub clean_prediction_name: Option<String>,
    /// What the class is called that the model takes the perturbed sample for.
    pub prediction_name: Option<String>,
    /// How many features of a broken sample were changed.
    pub l0: Option<f64>,
    /// The sum of the absolute changes.
    pub l1: Option<f64>,
    /// Their Euclidean length.
    pub l2: Option<f64>,
    /// The largest of them.
    pub linf: Option<f64>,
    /// The structural similarity to the clean sample, where samples are images.
    pub ssim: Option<f64>,
    /// Passes, forward and backward, that breaking the sample took; none where a point found under another budget did.
    pub queries: Option<u64>,
    /// The sample's group, by the column that makes the groups.
    #[serde(default)]
    pub groups: BTreeMap<String, String>,
}

impl SampleRow {
    /// The name of all attacks on one threat together.
    pub const WORST_CASE: &str = "worst case";
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Classified correctly, and not broken.
    Robust,
    /// Classified correctly, and a perturbation was verified that changes that.
    Broken,
    /// Misclassified without an attack.
    Wrong,
    /// Non-finite logits, or an attack that ended in an error: neither robust nor broken.
    Error,
    /// Not finished when the run was interrupted.
    Unreached,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Robust => "robust",
            Self::Broken => "broken",
            Self::Wrong => "wrong",
            Self::Error => "error",
            Self::Unreached => "unreached",
        })
    }
}

impl Report {
    /// What became of each sample: threat by threat, every attack and then all of them together, in the order of the data.
    #[must_use]
    pub fn samples(&self) -> Vec<SampleRow> {
        let cases = self.worst_case.iter().enumerate();
        cases.flat_map(|(index, case)| self.case_samples(index, case)).collect()
    }

    fn case_samples(&self, index: usize, case: &WorstCase) -> Vec<SampleRow> {
        let attacks: Vec<_> =
            self.attacks.iter().enumerate().filter(|(_, row)| row.case == index).collect();
        let mut samples = vec![];
        let mut nearest = vec![None; case.robust.len()];
        for (position, row) in attacks {
            let AttackRow { id, robust, errors, unreached, .. } = row;
            let found = self.found(&row.broken, robust.len());
            for (known, found) in nearest.iter_mut().zip(&found) {
                *known = nearer(*known, *found);
            }
            let base =
                Base { case, index, row: Some(position), attack: id, params: self.apart(row) };
            let outcomes = self.outcomes(robust, errors, unreached);
            samples.extend(self.rows(&base, &outcomes, &found));
        }
        let base =
            Base { case, index, row: None, attack: SampleRow::WORST_CASE, params: String::new() };
        let outcomes = self.outcomes(&case.robust, &case.errors, &case.unreached);
        samples.extend(self.rows(&base, &outcomes, &nearest));
        samples
    }

    fn rows(
        &self,
        base: &Base<'_>,
        outcomes: &[Outcome],
        found: &[Option<&Broken>],
    ) -> Vec<SampleRow> {
        let clean = &self.clean;
        let name = |class: Option<usize>| self.data.class_names.get(class?).cloned();
        let row = |(at, (&outcome, found)): (usize, (&Outcome, &Option<&Broken>))| {
            let found = found.filter(|_| outcome == Outcome::Broken);
            let sizes = found.and_then(|found| found.sizes);
            let label = clean.labels.get(at).copied();
            let clean_prediction = clean.predictions.get(at).copied().flatten();
            let prediction = found.map(|found| found.prediction);
            SampleRow {
                sample: self.data.offset + at,
                label,
                clean_prediction,
                clean_confidence: clean.confidences.get(at).copied().flatten(),
                case: base.index,
                norm: base.case.norm,
                eps: base.case.eps,
                transformation: base.case.transformation.clone(),
                goal: base.case.goal.clone(),
                row: base.row,
                attack: base.attack.into(),
                params: base.params.clone(),
                outcome,
                distance: found.and_then(|found| found.distance),
                change: found.and_then(|found| found.change.as_ref()).map(ToString::to_string),
                prediction,
                confidence: found.map(|found| found.confidence),
                label_name: name(label),
                clean_prediction_name: name(clean_prediction),
                prediction_name: name(prediction),
                l0: sizes.map(|sizes| sizes.l0),
                l1: sizes.map(|sizes| sizes.l1),
                l2: sizes.map(|sizes| sizes.l2),
                linf: sizes.map(|sizes| sizes.linf),
                ssim: found.and_then(|found| found.ssim),
                queries: found.and_then(|found| found.queries).map(|of| of.forward + of.backward),
                groups: self.groups_at(at),
            }
        };
        outcomes.iter().zip(found).enumerate().map(row).collect()
    }

    /// The groups of the sample at this place.
    fn groups_at(&self, at: usize) -> BTreeMap<String, String> {
        let group = |of: &Grouping| {
            let value = of.values.get(*of.of.get(at)?)?;
            Some((of.column.clone(), value.clone()))
        };
        self.clean.groups.iter().filter_map(group).collect()
    }

    fn outcomes(&self, robust: &[bool], errors: &[usize], unreached: &[usize]) -> Vec<Outcome> {
        let correct = |at: usize| self.clean.correct.get(at).copied().unwrap_or(false);
        let held = |(at, robust): (usize, &bool)| match robust {
            true => Outcome::Robust,
            false if correct(at) => Outcome::Broken,
            false => Outcome::Wrong,
        };
        let mut outcomes: Vec<_> = robust.iter().enumerate().map(held).collect();
        for (ids, outcome) in [(errors, Outcome::Error), (unreached, Outcome::Unreached)] {
            for id in ids {
                let at = id.checked_sub(self.data.offset);
                if let Some(of) = at.and_then(|at| outcomes.get_mut(at)) {
                    *of = outcome;
                }
            }
        }
        outcomes
    }

    /// The broken samples by their place among `count` samples.
    fn found<'b>(&self, broken: &'b [Broken], count: usize) -> Vec<Option<&'b Broken>> {
        let mut found = vec![None; count];
        for entry in broken {
            let at = entry.sample.checked_sub(self.data.offset);
            if let Some(of) = at.and_then(|at| found.get_mut(at)) {
                *of = Some(entry);
            }
        }
        found
    }
}

/// What the rows of all samples under one attack have in common.
struct Base<'a> {
    case: &'a WorstCase,
    index: usize,
    row: Option<usize>,
    attack: &'a str,
    params: String,
}

/// The one that takes the smaller perturbation; the first of equals.
fn nearer<'b>(known: Option<&'b Broken>, found: Option<&'b Broken>) -> Option<&'b Broken> {
    let nearer = |a: &'b Broken, b: &'b Broken| if b.distance < a.distance { b } else { a };
    match (known, found) {
        (Some(known), Some(found)) => Some(nearer(known, found)),
        _ => known.or(found),
    }
}
