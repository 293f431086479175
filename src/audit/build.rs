//! From a preflight to the record.

use super::record::{Audit, GradientRecord, LogitsRecord, ModelRecord, SCHEMA};
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::goal::Aim;
use crate::grad::{AuditOptions, GradientAudit, GradientStatus, audit_gradient};
use crate::loss::LossKind;
use crate::model::Batch;
use crate::preflight::{Preflight, Subject};

/// How many samples the gradient is audited on: 69 passes each.
const AUDITED: usize = 16;
/// Above this median relative error a gradient is wrong; kinks reach it on a few directions at the most.
const WRONG: f64 = 0.05;

impl Audit {
    /// Runs a preflight and audits the gradient on up to 16 of its samples.
    ///
    /// # Errors
    /// As [`Preflight::run`]; also what the model returns when its graph cannot be made.
    pub fn new(preflight: &Preflight<'_>) -> Result<Self> {
        preflight.bound(Self::of_bound)
    }

    fn of_bound(preflight: &Preflight<'_>) -> Result<Self> {
        let classifier = preflight.model();
        let (info, model) =
            (classifier.info(), classifier.inspector().map(|inspector| inspector.model()));
        let data = preflight.prepared()?;
        let (mut found, subject) = preflight.look(&data)?;
        let gradient = subject.as_ref().map_or(Ok(None), audited)?;
        let interface = model.map(|model| model.interface().clone()).unwrap_or_default();
        let (tensor, reason) = match model {
            Some(model) => model.logits_tensor()?,
            None => (info.output.clone(), "what the classifier gives".into()),
        };
        let ops = model.map_or(Ok(vec![]), |model| model.operators())?;
        // A rounding operator's derivative is zero, which its differences are not.
        if ops.iter().all(|row| row.status == GradientStatus::Exact) {
            found.extend(gradient.as_ref().and_then(wrong));
        }
        Ok(Self {
            schema: SCHEMA.into(),
            model: ModelRecord {
                path: info.path.clone(),
                sha256: info.sha256.clone(),
                input: info.input.clone(),
                output: info.output.clone(),
                shape: info.shape.clone(),
                classes: info.classes,
                inputs: interface.inputs,
                outputs: interface.outputs,
                options: info.options.clone(),
            },
            logits: LogitsRecord { tensor, reason },
            ops,
            unsupported: model.map_or(Ok(vec![]), |model| model.unsupported())?,
            findings: [&classifier.notes()[..], data.notes(), &found].concat(),
            gradient: gradient.as_ref().map(GradientRecord::from),
        })
    }
}

/// The gradient audit on evenly spaced samples; none where there are no finite gradients, which is a finding already.
fn audited(subject: &Subject<'_>) -> Result<Option<GradientAudit>> {
    let finite = |index: &usize| subject.logits[*index].iter().all(|z| z.is_finite());
    let usable: Vec<usize> = (0..subject.len()).filter(finite).collect();
    let chosen: Vec<usize> =
        usable.iter().copied().step_by(usable.len().div_ceil(AUDITED).max(1)).collect();
    if chosen.is_empty() {
        return Ok(None);
    }
    let inputs: Vec<f32> = chosen.iter().flat_map(|at| subject.input(*at)).copied().collect();
    let aims: Vec<Aim> = chosen.iter().map(|at| Aim::untargeted(subject.labels[*at])).collect();
    let samples: Vec<usize> = chosen.iter().map(|at| subject.ids[*at]).collect();
    let batch = Batch { inputs: &inputs, samples: &samples };
    let options = AuditOptions::default();
    // Of a margin, not of cross-entropy, which is flat where a model is sure and would hide what its graph does.
    let loss = subject.loss_or(LossKind::Margin);
    match audit_gradient(subject.model, batch, &aims, &loss, &options) {
        Ok(audit) => Ok(Some(audit)),
        Err(
            Error::NonFiniteGradient { .. }
            | Error::NonFiniteLogit { .. }
            | Error::NotDifferentiable { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

fn wrong(audit: &GradientAudit) -> Option<Finding> {
    let message = format!(
        "the gradient disagrees with differences of the loss: the median relative error over {} directions \
         is {:.3}",
        audit.directions, audit.median_relative_error
    );
    let remedy = "do not trust attacks by gradients on this model; report it";
    let most = AuditOptions::default().directions * audit.samples / 2;
    let is_wrong = audit.directions > most && audit.median_relative_error > WRONG;
    is_wrong.then(|| Finding::error("wrong-gradient", message).remedy(remedy))
}
