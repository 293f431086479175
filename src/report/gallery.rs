//! Broken samples to look at: what they were, what was done to them, what the model made of it.

use std::collections::HashMap;

use super::record::{AttackRow, Broken, Report};
use crate::data::{AdversarialPoints, Dataset};
use crate::error::{Error, Result};
use crate::evaluate::Results;
use crate::picture::{Picture, largest};
use crate::threat::Bounds;

/// Examples of each kind of threat, with the values of their features.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    /// The shape of a sample.
    pub shape: Vec<usize>,
    /// One entry per norm or transformation and goal, in the order of the report.
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
    pub confidence: f64,
    /// The sample.
    pub clean: Vec<f32>,
    /// The perturbed one.
    pub perturbed: Vec<f32>,
}

/// An example as pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// The sample.
    pub clean: Picture,
    /// What was added, as [`Picture::of_map`] draws it.
    pub change: Picture,
    /// The perturbed sample.
    pub perturbed: Picture,
}

impl Gallery {
    /// Features that the examples of a series have at the most, so that pages stay small. One example there is in any case.
    const FEATURES: usize = 600_000;

    /// Up to `most` examples of each kind of threat.
    #[must_use]
    pub fn new(results: &Results, most: usize) -> Self {
        let report = Report::new(results);
        let at = |sample: usize| sample - report.data.offset;
        let point = |row: usize, sample: usize| {
            let attempt = &results.rows[row].attempts[at(sample)];
            // Streamed runs keep no points.
            let point = attempt.adversarial.as_ref().map(|found| &*found.point);
            point.filter(|point| !point.is_empty())
        };
        let clean = |sample: usize| Some(&*results.clean[at(sample)].input);
        Self::of(&report, &results.model.shape, most, point, clean)
    }

    /// The same from the files of a run: the report, the points that [`save_adversarial`](super::save_adversarial) wrote, and
    /// the data, whose samples are brought into the shape of the points.
    ///
    /// # Errors
    /// [`Error::Parameter`] for data that are not those of the report; [`Error::Data`] for samples that cannot have the shape of
    /// the points, as where an inner tensor was attacked.
    pub fn stored(
        report: &Report,
        points: &AdversarialPoints,
        data: &Dataset,
        most: usize,
    ) -> Result<Self> {
        if report.data.sha256 != data.sha256() {
            let expected = format!("expected that of the report, {}", report.data.sha256);
            return Err(Error::parameter("data", data.sha256(), expected));
        }
        let data = data.clone().reshaped_for(&points.shape)?;
        let entries = points.row.iter().zip(&points.sample).enumerate();
        let places: HashMap<(usize, usize), usize> =
            entries.map(|(at, (row, sample))| ((*row, *sample), at)).collect();
        let point = |row, sample| places.get(&(row, sample)).map(|at| points.point(*at));
        let clean = |sample| (sample < data.len()).then(|| data.sample(sample));
        Ok(Self::of(report, &points.shape, most, point, clean))
    }

    fn of<'a>(
        report: &Report,
        shape: &[usize],
        most: usize,
        point: impl Fn(usize, usize) -> Option<&'a [f32]>,
        clean: impl Fn(usize) -> Option<&'a [f32]>,
    ) -> Self {
        let features = shape.iter().product::<usize>().max(1);
        let most = most.min((Self::FEATURES / features).max(1));
        let mut groups: Vec<(String, Vec<(usize, &AttackRow)>)> = vec![];
        for (index, row) in report.attacks.iter().enumerate() {
            let Some(case) = report.worst_case.get(row.case) else { continue };
            let kind = case.kind();
            match groups.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, rows)) => rows.push((index, row)),
                None => groups.push((kind, vec![(index, row)])),
            }
        }
        let series = groups.into_iter().map(|(name, rows)| {
            let bounds = report.worst_case[rows[0].1.case].threat.as_ref().map(|of| &of.bounds);
            let found = nearest(&rows);
            let example = |&(index, broken): &(usize, &Broken)| {
                let at = broken.sample.checked_sub(report.data.offset)?;
                Some(Example {
                    sample: broken.sample,
                    label: *report.clean.labels.get(at)?,
                    clean_confidence: report.clean.confidences.get(at).copied().flatten(),
                    attack: report.name(&report.attacks[index]),
                    distance: broken.distance,
                    change: broken.change.clone(),
                    prediction: broken.prediction,
                    confidence: broken.confidence,
                    clean: clean(broken.sample)?.to_vec(),
                    perturbed: point(index, broken.sample)?.to_vec(),
                })
            };
            let examples: Vec<_> = evenly(&found, most).filter_map(example).collect();
            Series { name, broken: found.len(), range: range(bounds, &examples), examples }
        });
        Self { series: series.collect(), shape: shape.to_vec() }
    }

    /// Whether there is nothing to see.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.examples.is_empty())
    }
}

impl Example {
    /// The pictures of samples of this shape, from `range.0` in black to `range.1` in white, with full colours at
    /// [`limit`](Self::limit) of what was added; none where they are no images.
    #[must_use]
    pub fn pictures(&self, shape: &[usize], range: (f32, f32)) -> Option<Pictures> {
        Some(Pictures {
            clean: Picture::of_sample(&self.clean, shape, range)?,
            change: Picture::of_map(&self.change(), shape, self.limit(shape)?)?,
            perturbed: Picture::of_sample(&self.perturbed, shape, range)?,
        })
    }

    /// The largest magnitude of what was added, as the mean over the channels of a pixel; none where samples are no images.
    #[must_use]
    pub fn limit(&self, shape: &[usize]) -> Option<f32> {
        largest(&self.change(), shape)
    }

    fn change(&self) -> Vec<f32> {
        self.perturbed.iter().zip(&self.clean).map(|(to, from)| to - from).collect()
    }
}

/// The smallest perturbation of each broken sample among these rows, the first of equals, with its row; by sample.
fn nearest<'r>(rows: &[(usize, &'r AttackRow)]) -> Vec<(usize, &'r Broken)> {
    let all = rows.iter().flat_map(|(at, row)| row.broken.iter().map(move |found| (*at, found)));
    let mut all: Vec<_> = all.collect();
    let size = |found: &Broken| found.distance.unwrap_or(f64::INFINITY);
    all.sort_by(|(_, a), (_, b)| a.sample.cmp(&b.sample).then(size(a).total_cmp(&size(b))));
    all.dedup_by_key(|(_, found)| found.sample);
    all
}

/// The same bounds for all features, if they are finite; the smallest and the largest value otherwise.
fn range(bounds: Option<&Bounds>, examples: &[Example]) -> (f32, f32) {
    if let Some(&Bounds::Uniform(lower, upper)) = bounds
        && (upper - lower).is_finite()
    {
        return (lower, upper);
    }
    let values = examples.iter().flat_map(|example| example.clean.iter().chain(&example.perturbed));
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(lower, upper), &value| {
        (lower.min(value), upper.max(value))
    })
}

/// Up to `most` of them, the first and the last among these.
fn evenly<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    let count = most.min(all.len());
    let gaps = count.saturating_sub(1).max(1);
    (0..count).map(move |index| &all[index * (all.len() - 1) / gaps])
}
