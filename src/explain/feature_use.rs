//! Which features the perturbations that succeeded changed.

use super::place;
use super::text::place_in;
use crate::data::Dataset;
use crate::error::Result;
use crate::evaluate::{Fate, Results, Row};
use crate::model::Classifier;
use crate::report::{number, write_table};
use crate::text::written;

/// The features that one attack's successful perturbations under one threat changed.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureUse {
    /// Which of [`Results::rows`] it is.
    pub row: usize,
    /// The attack.
    pub attack: String,
    /// The threat in a few words.
    pub threat: String,
    /// The shape of a sample.
    pub shape: Vec<usize>,
    /// How many samples were broken.
    pub broken: usize,
    /// Every feature that was changed in some of them, the largest mean absolute change first (the first of equals).
    pub features: Vec<UsedFeature>,
}

/// What was done to one feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsedFeature {
    /// Which, from 0, in the order of the model's input.
    pub feature: usize,
    /// In how many broken samples it was changed.
    pub changed: usize,
    /// The mean of the absolute changes over all broken samples, in the units of the data.
    pub mean_absolute_change: f64,
    /// The mean of the changes: of the same size where all go one way.
    pub mean_change: f64,
}

/// For each row of `results`, how often and how far its successful perturbations changed each feature.
///
/// `model` and `data` are those that were evaluated: results hold the perturbed samples, not the clean ones.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) when the data do not fit the model, [`Error::Parameter`](crate::Error::Parameter) when
/// they lack a sample of the results.
pub fn feature_use(
    model: &dyn Classifier,
    data: &Dataset,
    results: &Results,
) -> Result<Vec<FeatureUse>> {
    data.bound_to(model, |model, data| {
        let mut data = data.shaped_for(model)?.into_owned();
        // The evaluation moved the samples onto the levels of its domains.
        for row in &results.rows {
            data = data.realisable(&row.threat.domain)?.into_owned();
        }
        let rows = results.rows.iter().enumerate();
        rows.map(|(index, row)| of_row(index, row, &data, results)).collect()
    })
}

#[expect(clippy::float_cmp, reason = "a feature that is not exactly the clean one has changed")]
fn of_row(index: usize, row: &Row, data: &Dataset, results: &Results) -> Result<FeatureUse> {
    let mut sums = vec![(0_usize, 0.0, 0.0); data.features()];
    let mut broken = 0;
    for (attempt, id) in row.attempts.iter().zip(&results.ids) {
        let found = attempt.adversarial.as_ref().filter(|_| attempt.fate == Fate::Broken);
        let Some(found) = found else { continue };
        broken += 1;
        let clean = data.sample(place(data, *id)?);
        for ((changed, absolute, signed), (x, c)) in
            sums.iter_mut().zip(found.point.iter().zip(clean))
        {
            let change = f64::from(*x) - f64::from(*c);
            *changed += usize::from(x != c);
            *absolute += change.abs();
            *signed += change;
        }
    }
    let used = |(feature, (changed, absolute, signed)): (usize, (usize, f64, f64))| {
        let mean = |sum: f64| sum / broken as f64;
        let (mean_absolute_change, mean_change) = (mean(absolute), mean(signed));
        (changed > 0).then_some(UsedFeature { feature, changed, mean_absolute_change, mean_change })
    };
    let mut features: Vec<_> = sums.into_iter().enumerate().filter_map(used).collect();
    features.sort_by(|a, b| b.mean_absolute_change.total_cmp(&a.mean_absolute_change));
    let threat = match &row.threat.transformation {
        Some(transformation) => transformation.clone(),
        None => format!("{} {}", row.threat.norm, number(row.threat.budget.largest())),
    };
    let (attack, shape) = (row.attack.clone(), results.model.shape.clone());
    Ok(FeatureUse { row: index, attack, threat, shape, broken, features })
}

impl FeatureUse {
    /// A table of the `most` features that were changed most. It ends in a newline.
    #[must_use]
    pub fn to_text(&self, most: usize) -> String {
        written(|text| {
            use std::fmt::Write;

            writeln!(text, "{} {}: {} samples broken", self.threat, self.attack, self.broken)?;
            let head = ["feature", "changed in", "mean |change|", "mean change"];
            let mut rows = vec![head.map(str::to_owned)];
            rows.extend(self.features.iter().take(most).map(|used| {
                [
                    place_in(&self.shape, used.feature),
                    used.changed.to_string(),
                    number(used.mean_absolute_change),
                    format!("{:+.4}", used.mean_change),
                ]
            }));
            if rows.len() > 1 { write_table(text, &rows, 1) } else { Ok(()) }
        })
    }
}
