//! Accuracy against budget, and how far samples are from being broken.

use serde::{Deserialize, Serialize};

use super::record::{Report, WorstCase};
use crate::metrics::{Observed, Survival, area_under_curve};
use crate::norm::Norm;
use crate::threat::{Budget, Threat};

/// Robust accuracy against budget, in the worst case over attacks. It never rises with the budget: a point found under one
/// budget counts under every larger one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// The norm.
    pub norm: Norm,
    /// The attacker's goal.
    pub goal: String,
    /// The entries of [`Report::worst_case`] that the curve is made of, budgets ascending.
    pub cases: Vec<usize>,
    /// The mean robust accuracy from budget 0, where it is the clean accuracy, to the largest one: the area under the curve
    /// by trapezoids, divided by that budget. Null when some accuracy is not known.
    pub area: Option<f64>,
    /// How large the smallest perturbations are that any attack found.
    pub distance: Quantiles,
}

/// Quantiles of the smallest perturbations found, over the samples that are classified correctly, by Kaplan and Meier: each
/// is null when fewer samples than that were broken. They bound the model's own distances from above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// Samples that were attacked to the end.
    pub samples: usize,
    /// How many of them were not broken by the largest budget (censored there).
    pub censored: usize,
    /// A tenth of the samples are broken within this distance.
    pub q10: Option<f64>,
    /// A quarter.
    pub q25: Option<f64>,
    /// Half.
    pub median: Option<f64>,
    /// Three quarters.
    pub q75: Option<f64>,
    /// Nine tenths.
    pub q90: Option<f64>,
}

impl Report {
    /// The curves of a record that has everything else. Threats whose budget differs by sample or feature have none.
    pub(super) fn with_curves(mut self) -> Self {
        let mut groups: Vec<(&Threat, Vec<usize>)> = vec![];
        for (index, case) in self.worst_case.iter().enumerate() {
            let Some(threat) = case.threat.as_ref().filter(|threat| has_one_budget(threat)) else {
                continue;
            };
            match groups.iter_mut().find(|(first, _)| first.differs_in_budget_only(threat)) {
                Some((_, cases)) => cases.push(index),
                None => groups.push((threat, vec![index])),
            }
        }
        let curve = |(threat, cases): (&Threat, _)| self.curve(threat.norm, cases);
        let curves = groups.into_iter().map(curve).collect();
        self.curves = curves;
        self
    }

    fn curve(&self, norm: Norm, mut cases: Vec<usize>) -> Curve {
        let case = |index: usize| &self.worst_case[index];
        let eps = |index: usize| case(index).eps.unwrap_or(f64::INFINITY);
        cases.sort_by(|&a, &b| eps(a).total_cmp(&eps(b)));
        let point = |&index: &usize| Some((eps(index), case(index).robust_accuracy?));
        let points: Option<Vec<_>> = cases.iter().map(point).collect();
        let area =
            self.clean.accuracy.zip(points).and_then(|(clean, points)| {
                area_under_curve(&[&[(0.0, clean)], &points[..]].concat())
            });
        let distances = self.distances(&cases);
        let survival = Survival::of(&distances);
        let [q10, q25, median, q75, q90] =
            [0.1, 0.25, 0.5, 0.75, 0.9].map(|q| survival.quantile(q));
        let (samples, censored) =
            (distances.len(), distances.iter().filter(|sample| !sample.broken).count());
        let distance = Quantiles { samples, censored, q10, q25, median, q75, q90 };
        Curve { norm, goal: case(cases[0]).goal.clone(), cases, area, distance }
    }

    /// The worst case under the largest budget of a curve.
    pub(super) fn end_of(&self, curve: &Curve) -> Option<&WorstCase> {
        self.worst_case.get(*curve.cases.last()?)
    }

    /// Of each sample that is classified correctly and was attacked to the end under all these cases, budgets ascending: the
    /// smallest perturbation that any attack found, or the largest budget when none did.
    #[must_use]
    pub fn distances(&self, cases: &[usize]) -> Vec<Observed> {
        let Some(last) = cases.last().and_then(|&last| self.worst_case.get(last)) else {
            return vec![];
        };
        let first = self.data.offset;
        let mut nearest = vec![f64::INFINITY; last.robust.len()];
        for row in self.attacks.iter().filter(|row| cases.contains(&row.case)) {
            for broken in &row.broken {
                let known = broken.sample.checked_sub(first).and_then(|at| nearest.get_mut(at));
                if let Some((known, distance)) = known.zip(broken.distance) {
                    *known = known.min(distance);
                }
            }
        }
        let observed = |(index, distance): (usize, f64)| {
            if last.unreached.contains(&(first + index)) {
                return None;
            }
            if distance.is_finite() {
                return Some(Observed { distance, broken: true });
            }
            let distance = last.eps.filter(|_| last.robust[index])?;
            Some(Observed { distance, broken: false })
        };
        nearest.into_iter().enumerate().filter_map(observed).collect()
    }
}

fn has_one_budget(threat: &Threat) -> bool {
    threat.transformation.is_none() && matches!(threat.budget, Budget::Scalar(_))
}
