//! Integrated gradients.

use serde::{Deserialize, Serialize};

use super::quadrature::Rule;
use super::{Attribution, Baseline, Completeness, Explainer, Subject};
use crate::error::{Error, Result};

/// Integrated gradients: each feature's part of the change of the score between a baseline and the sample, `(x - b)` times
/// the mean gradient along the straight line from the baseline to the sample.
///
/// The parts add up to the change (*completeness*), but for what the sum misses of the integral:
/// [`Completeness::gap`] tells how much that is. More steps make it smaller.
///
/// # Defaults
/// 100 midpoints from the baseline 0. The paper takes between 20 and 300 steps, and black images as the baseline: give one
/// that shows nothing to your model, where 0 means something to it.
///
/// # Queries per sample
/// `steps` forward and backward, 2 forward.
///
/// # Errors
/// When the baseline has another number of features, or the model cannot be run or differentiated.
///
/// # Reference
/// Sundararajan et al. 2017, <https://arxiv.org/abs/1703.01365>, equations 1 and 3.
///
/// # Differences
/// The paper's sum takes the gradient at the end of each part of the line, the one here in the middle, or at Gauss and
/// Legendre's points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntegratedGradients {
    /// How many points of the line to take the gradient at.
    pub steps: usize,
    /// Where on the line they are.
    pub rule: Rule,
    /// Where the line begins.
    pub baseline: Baseline,
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        Self { steps: 100, rule: Rule::Midpoint, baseline: Baseline::default() }
    }
}

impl Explainer for IntegratedGradients {
    fn id(&self) -> &'static str {
        "integrated-gradients"
    }

    fn validate(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::parameter("steps", 0, "expected 1 or more"));
        }
        self.baseline.validate("baseline")
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let input = subject.input;
        self.baseline.expect_features("baseline", input.len())?;
        let way = |feature: usize| {
            let from = f64::from(self.baseline.at(feature));
            (from, f64::from(input[feature]) - from)
        };
        let nodes = self.rule.nodes(self.steps);
        let mut values = vec![0.0; input.len()];
        let write = |step: usize, point: &mut [f32]| {
            for (feature, x) in point.iter_mut().enumerate() {
                let (from, change) = way(feature);
                *x = (from + nodes[step].0 * change) as f32;
            }
        };
        subject.gradients(self.steps, write, |step, gradient| {
            let weight = nodes[step].1;
            values.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += weight * f64::from(*g));
        })?;
        values.iter_mut().enumerate().for_each(|(feature, mean)| *mean *= way(feature).1);
        let mut ends = [0.0; 2];
        let write = |end: usize, point: &mut [f32]| match end {
            0 => (0..input.len()).for_each(|feature| point[feature] = self.baseline.at(feature)),
            _ => point.copy_from_slice(input),
        };
        subject.scores(2, write, |end, score| ends[end] = score)?;
        let completeness = Completeness { sum: values.iter().sum(), change: ends[1] - ends[0] };
        Ok(Attribution { values, completeness: Some(completeness) })
    }
}
