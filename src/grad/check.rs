//! The gradient audit: a model's gradients against differences of its own loss.

use std::sync::Arc;

use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::difference::{Difference, Line};
use crate::error::{Error, Result};
use crate::goal::Aim;
use crate::loss::Loss;
use crate::model::{Batch, Classifier, LossGradient, expect_len};
use crate::rng::stream;

/// How [`audit_gradient`] looks at a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditOptions {
    /// How many random directions each sample is tried along, one or more; 4 by default.
    pub directions: usize,
    /// The seed of the directions, 0 by default.
    pub seed: u64,
    /// How far apart the slopes to either side of a sample must be for a kink, relative to the larger of them (or to
    /// the [typical slope](audit_gradient), where that is larger); above 0 and below 1. A kink that it lets pass adds
    /// no more than half of it to an error. 0.001 by default: what differences in f32 reach on smooth models.
    pub tolerance: f64,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { directions: 4, seed: 0, tolerance: 1e-3 }
    }
}

impl AuditOptions {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.directions == 0 {
            return Err(Error::parameter("directions", 0, "expected 1 or more"));
        }
        if self.tolerance > 0.0 && self.tolerance < 1.0 {
            return Ok(());
        }
        Err(Error::parameter("tolerance", self.tolerance, "expected a number above 0 and below 1"))
    }
}

/// How well gradients agree with differences; see [`audit_gradient`] for every definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GradientAudit {
    /// The samples audited.
    pub samples: usize,
    /// The directions compared, over all samples: without those left out at kinks and at zeros. Where this is 0 the
    /// audit has found nothing out, whatever the errors below.
    pub directions: usize,
    /// The largest relative error of a compared direction; 0 when there is none.
    pub worst_relative_error: f64,
    /// The median of the relative errors, the mean of the middle two when their number is even; 0 when there is none.
    pub median_relative_error: f64,
    /// Samples with a kink, at or too near them, along at least one direction.
    pub kinks: usize,
    /// Samples whose gradient is identically zero, and rightly so: differences vanish as well.
    pub zero: usize,
    /// The index of the first sample with the worst error; none when no direction was compared.
    pub worst_sample: Option<usize>,
}

/// Compares a model's gradients with differences of its loss, along random directions.
///
/// `inputs` is `samples x features`, with one aim per sample. It takes one gradient per sample and 17 forward passes per
/// direction, in double precision where the model [runs in it](Classifier::precise_logits).
///
/// # Definitions
/// With the gradient g at the sample x and a direction t, uniform on the unit sphere, drawn from
/// [`stream`]`(seed, "audit", sample, direction)`:
///
/// * The *difference* d is `(L(x + h t) - L(x - h t)) / 2h`, where the difference of losses is summed in f64 from the
///   logits z+ and z- at the two ends, by the trapezoid rule: half of `dL/dz(z+) + dL/dz(z-)`, times `z+ - z-`. The
///   values of the loss, in f32, would lose it. The error of both steps is O(h²). That the ends are rounded to f32 is
///   accounted for: the ⟨t, g⟩ compared is over the distance that was really gone.
/// * The *width* h is one of 8, from half the sample's L2 norm (at least 0.001 per feature, root mean square) down, or a
///   thousandth of it in double precision, each a quarter of the one before. Kept is the narrower of two neighbours, the last excepted: the one with the least
///   sum of their disagreement, r, and half of what the jump (below) changes at still narrower widths, beyond 6 times
///   the r there.
/// * The *rounding* r is what errors of 4 units in the last place of the largest logit can do to d, or what the
///   four narrowest widths show of it (four times the median disagreement of neighbours), whichever is more.
/// * The *typical slope* is |g|₂ / √features: the root mean square of ⟨t, g⟩ over all directions.
/// * The *relative error* is |⟨t, g⟩ - d| over the largest of |⟨t, g⟩|, |d| and the typical slope, which keeps
///   directions at right angles to g from dividing by next to nothing. Where |⟨t, g⟩ - d| <= r, it counts as no more
///   than the tolerance. Where g is identically zero it is 1 if |d| > r, else 0.
/// * The *jump* is how far the slopes from x to x + h t and from x - h t to x are apart, once curvature is taken out by
///   extrapolating from a width and the next wider one to h = 0.
/// * A direction has a *kink* when the jump exceeds 4 r by more than the tolerance and stays, that is, changes by no more
///   than half at narrower widths; or when it does not stay and changes by more than the tolerance: then no width is
///   clear of a kink beside the sample. Such a direction is left out of the errors: no slope can be had there.
/// * A sample is *zero* when g is identically zero, no direction has a kink and |d| <= r along all. It is left out too.
///
/// # Limits
/// In double precision kinks matter only where they lie on the sample. In single precision, kinks near the sample are
/// seen past by narrow widths, as long as these still resolve a slope. Where they do not, a kink counts as one or,
/// rarely, as an error, of anything up to the jump: on small rectifier networks with four directions, two samples in a
/// thousand came out wrong by more than 1 % with logits near 1, eight with logits near 20. The median, and the same
/// sample with a second seed, tell such an error from a wrong gradient. Where a data set has whole regions of equal
/// values, max pooling has ties, hence kinks, at every sample: audit the samples with some noise added. Features of
/// very different magnitudes are best audited after scaling. An error in few of many features shows only by their share
/// of the slope: take more directions.
///
/// # Errors
/// [`Error::Parameter`] for options out of range; [`Error::Data`] for inputs or aims that do not fit the model, values
/// that are not finite and a loss whose gradient is not; [`Error::NonFiniteLogit`] at a sample, or near it at too many
/// widths to do without; [`Error::NonFiniteGradient`]; what the model returns when it cannot be run or differentiated.
pub fn audit_gradient<'a>(
    model: &dyn Classifier,
    batch: impl Into<Batch<'a>>,
    aims: &[Aim],
    loss: &Arc<dyn Loss>,
    options: &AuditOptions,
) -> Result<GradientAudit> {
    options.validate()?;
    let Batch { inputs, samples } = batch.into();
    expect_fit(model, inputs, aims)?;
    let features = model.features();
    let mut audit = GradientAudit { samples: aims.len(), ..GradientAudit::default() };
    let mut errors = vec![];
    let mut out = LossGradient::default();
    let batch = model.preferred_batch().max(1);
    let batches = inputs.chunks(batch * features).zip(aims.chunks(batch));
    for (first, (inputs, aims)) in (0..).step_by(batch).zip(batches) {
        let ids = samples.get(first..first + aims.len()).unwrap_or_default();
        model.loss_and_gradient(Batch { inputs, samples: ids }, aims, loss, &mut out)?;
        expect_len(model, "logits", out.logits.len(), aims.len() * model.classes())?;
        expect_len(model, "gradient", out.gradient.len(), inputs.len())?;
        let rows = inputs.chunks_exact(features).zip(out.gradient.chunks_exact(features));
        let rows = rows.zip(out.logits.chunks_exact(model.classes()));
        for (row, (((input, gradient), logits), aim)) in rows.zip(aims).enumerate() {
            let sample = first + row;
            expect_finite(sample, logits, gradient)?;
            let id = ids.get(row).copied();
            let line = Line { model, loss, sample, id, input, aim: *aim, gradient };
            for error in audit.add(&line, options)? {
                if audit.worst_sample.is_none() || error > audit.worst_relative_error {
                    audit.worst_relative_error = error;
                    audit.worst_sample = Some(sample);
                }
                errors.push(error);
            }
        }
    }
    audit.directions = errors.len();
    audit.median_relative_error = median(&mut errors);
    Ok(audit)
}

impl GradientAudit {
    /// Counts a sample as a kink or zero; gives the errors of the directions that can be compared.
    fn add(&mut self, line: &Line<'_>, options: &AuditOptions) -> Result<Vec<f64>> {
        let squares: f64 = line.gradient.iter().map(|&g| f64::from(g).powi(2)).sum();
        let typical = (squares / line.gradient.len() as f64).sqrt();
        let differences = (0..options.directions)
            .map(|index| line.along(&direction(options.seed, line.sample, index, line.input.len())))
            .collect::<Result<Vec<_>>>()?;
        let (kinks, clean): (Vec<Difference>, Vec<_>) = differences
            .into_iter()
            .partition(|one| one.kink > options.tolerance * one.steepest.max(typical));
        let is_zero = line.gradient.iter().all(|g| *g == 0.0);
        if !kinks.is_empty() {
            self.kinks += 1;
        } else if is_zero && clean.iter().all(|one| one.slope.abs() <= one.rounding) {
            self.zero += 1;
            return Ok(vec![]);
        }
        Ok(clean.iter().map(|one| error(one, typical, is_zero, options.tolerance)).collect())
    }
}

/// The relative error of a direction.
fn error(difference: &Difference, typical: f64, is_zero: bool, tolerance: f64) -> f64 {
    let Difference { slope, predicted, rounding, .. } = *difference;
    let apart = (predicted - slope).abs();
    let relative = apart / predicted.abs().max(slope.abs()).max(typical);
    match (apart > rounding, is_zero) {
        (true, true) => 1.0,
        (true, false) => relative,
        (false, true) => 0.0,
        (false, false) => relative.min(tolerance),
    }
}

/// A unit vector, uniform on the sphere.
fn direction(seed: u64, sample: usize, index: usize, features: usize) -> Vec<f64> {
    let mut stream = stream(seed, "audit", sample, index);
    let mut direction: Vec<f64> =
        (0..features).map(|_| StandardNormal.sample(&mut stream)).collect();
    let norm = direction.iter().map(|t| t * t).sum::<f64>().sqrt();
    direction.iter_mut().for_each(|t| *t /= norm);
    direction
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values {
        [] => 0.0,
        _ if values.len().is_multiple_of(2) => f64::midpoint(values[half - 1], values[half]),
        _ => values[half],
    }
}

fn expect_fit(model: &dyn Classifier, inputs: &[f32], aims: &[Aim]) -> Result<()> {
    let (features, classes) = (model.features(), model.classes());
    if features == 0 || inputs.len() != aims.len() * features {
        return Err(unfit(format!(
            "{} values and {} aims, expected {features} values per aim, one or more",
            inputs.len(),
            aims.len()
        )));
    }
    if let Some(at) = inputs.iter().position(|x| !x.is_finite()) {
        return Err(unfit(format!(
            "sample {}: feature {} is {}, expected a finite number",
            at / features,
            at % features,
            inputs[at]
        )));
    }
    for (sample, aim) in aims.iter().enumerate() {
        let class = aim.label.max(aim.target.unwrap_or(0));
        if class >= classes {
            return Err(unfit(format!(
                "sample {sample}: its aim names class {class}, the model has classes 0 to {}",
                classes.saturating_sub(1)
            )));
        }
    }
    Ok(())
}

fn unfit(problem: String) -> Error {
    Error::Data { file: "data".into(), problem, source: None }
}

fn expect_finite(sample: usize, logits: &[f32], gradient: &[f32]) -> Result<()> {
    let bad = |values: &[f32]| values.iter().position(|value| !value.is_finite());
    if let Some(class) = bad(logits) {
        return Err(Error::NonFiniteLogit { sample, class, value: logits[class] });
    }
    match bad(gradient) {
        Some(feature) => {
            Err(Error::NonFiniteGradient { sample, feature, value: gradient[feature] })
        }
        None => Ok(()),
    }
}
