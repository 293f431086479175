//! Broken samples to look at: what they were, what was done to them, what the model made of it.

use super::record::Report;
use crate::evaluate::{Adversarial, Fate, Results};
use crate::threat::{Bounds, Threat};

/// Examples of each kind of threat, with the values of their features.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    /// The shape of a sample.
    pub shape: Vec<usize>,
    /// One entry per set of threats that differ in the budget only, in the order of the report.
    pub series: Vec<Series>,
}

/// Examples of one kind of threat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What the attacker may do: the norm or the transformations, and the goal where it is not a wrong class.
    pub name: String,
    /// How many samples were broken.
    pub broken: usize,
    /// The smallest and the largest value that features may have; that they have, where there is no limit.
    pub range: (f32, f32),
    /// Some of them, evenly spaced, in the order of the data.
    pub examples: Vec<Example>,
}

/// A sample that was broken, by the smallest perturbation that any attack found.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Its index in the file.
    pub sample: usize,
    /// The true class.
    pub label: usize,
    /// How sure of it the model is without an attack: the softmax probability.
    pub clean_confidence: Option<f64>,
    /// What found the perturbation.
    pub attack: String,
    /// The size of the perturbation in the threat's norm; none for transformations.
    pub distance: Option<f64>,
    /// What the transformation was.
    pub change: Option<serde_json::Value>,
    /// The class that the model takes the perturbed sample for.
    pub prediction: usize,
    /// How sure of it the model is: the softmax probability.
    pub confidence: Option<f64>,
    /// The sample.
    pub clean: Vec<f32>,
    /// The perturbed one.
    pub perturbed: Vec<f32>,
}

impl Gallery {
    /// Features that the examples of a series have at the most, so that pages stay small. One example there is in any case.
    const FEATURES: usize = 600_000;

    /// Up to `most` examples of each kind of threat.
    #[must_use]
    pub fn new(results: &Results, most: usize) -> Self {
        let report = Report::new(results);
        let shape = results.model.shape.clone();
        let features = shape.iter().product::<usize>().max(1);
        let most = most.min((Self::FEATURES / features).max(1));
        let mut groups: Vec<(&Threat, Vec<usize>)> = vec![];
        for (index, row) in results.rows.iter().enumerate() {
            match groups.iter_mut().find(|(first, _)| first.differs_in_budget_only(&row.threat)) {
                Some((_, rows)) => rows.push(index),
                None => groups.push((&row.threat, vec![index])),
            }
        }
        let series = groups.into_iter().map(|(threat, rows)| {
            let samples = 0..results.ids.len();
            let broken: Vec<_> = samples
                .filter_map(|at| nearest(results, &rows, at).map(|(row, found)| (at, row, found)))
                .collect();
            let example =
                |&(at, row, found)| example(results, at, found, report.name(&report.attacks[row]));
            let examples: Vec<_> = evenly(&broken, most).map(example).collect();
            Series {
                name: report.worst_case[report.attacks[rows[0]].case].kind(),
                broken: broken.len(),
                range: range(&threat.bounds, &examples),
                examples,
            }
        });
        Self { series: series.collect(), shape }
    }

    /// Whether there is nothing to see.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.examples.is_empty())
    }
}

/// The same bounds for all features, if they are finite; the smallest and the largest value otherwise.
fn range(bounds: &Bounds, examples: &[Example]) -> (f32, f32) {
    if let Bounds::Uniform(lower, upper) = *bounds
        && (upper - lower).is_finite()
    {
        return (lower, upper);
    }
    let values = examples.iter().flat_map(|example| example.clean.iter().chain(&example.perturbed));
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(lower, upper), &value| {
        (lower.min(value), upper.max(value))
    })
}

/// The smallest perturbation of a sample among these rows, the first of equals, and its row.
fn nearest<'r>(
    results: &'r Results,
    rows: &[usize],
    at: usize,
) -> Option<(usize, &'r Adversarial)> {
    let found = rows.iter().filter_map(|&row| {
        let attempt = &results.rows[row].attempts[at];
        let point = attempt.adversarial.as_ref().filter(|_| attempt.fate == Fate::Broken);
        point.map(|point| (row, point))
    });
    found.min_by(|a, b| a.1.distance.total_cmp(&b.1.distance))
}

fn example(results: &Results, at: usize, found: &Adversarial, attack: String) -> Example {
    let clean = &results.clean[at];
    Example {
        sample: results.ids[at],
        label: results.labels[at],
        clean_confidence: clean.confidence,
        attack,
        distance: found.change.is_none().then_some(found.distance),
        change: found.change.clone(),
        prediction: found.prediction,
        confidence: Some(found.confidence),
        clean: clean.input.to_vec(),
        perturbed: found.point.to_vec(),
    }
}

/// Up to `most` of them, the first and the last among these.
fn evenly<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    let count = most.min(all.len());
    let gaps = count.saturating_sub(1).max(1);
    (0..count).map(move |index| &all[index * (all.len() - 1) / gaps])
}
