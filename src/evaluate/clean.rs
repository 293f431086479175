//! The clean pass.

use rayon::prelude::*;

use super::judge::Judge;
use super::results::{Clean, Row};
use super::scheduler::Samples;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::goal::{argmax, confidence};
use crate::profile::{self, Stage};

/// Each sample's clean outcome, and its logits (empty when it has none).
///
/// # Errors
/// The first sample's, when the model cannot be run.
pub(super) fn pass(
    judge: Judge<'_>,
    samples: Samples<'_>,
    cancel: &Cancel,
) -> Result<(Vec<Clean>, Vec<Vec<f32>>)> {
    let batch = judge.model.preferred_batch().max(1);
    let starts: Vec<usize> = (0..samples.len()).step_by(batch).collect();
    let all: Vec<_> = starts
        .into_par_iter()
        .flat_map_iter(|start| {
            let some = samples.part(start..samples.len().min(start + batch));
            if cancel.is_cancelled() {
                return some.ids.iter().map(|_| Ok((Clean::default(), vec![]))).collect::<Vec<_>>();
            }
            let _within = profile::enter(Stage::Judge);
            let logits = judge.all_logits(some.ids, some.inputs);
            some.labels.iter().zip(logits).map(|(label, logits)| outcome(*label, logits)).collect()
        })
        .collect();
    // Collected in order first, so that the error reported is that of the first sample on every run.
    Ok(all.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip())
}

/// What the logits of a sample say of it, with these; empty where there are none.
///
/// # Errors
/// When the model could not be run.
fn outcome(label: usize, logits: Result<Vec<f32>>) -> Result<(Clean, Vec<f32>)> {
    match logits {
        Ok(logits) => {
            let prediction = argmax(&logits);
            let correct = prediction == label;
            let confidence = Some(confidence(&logits));
            let prediction = Some(prediction);
            Ok((Clean { prediction, correct, confidence, ..Clean::default() }, logits))
        }
        Err(error @ Error::NonFiniteLogit { .. }) => {
            let error = Some(error.to_string());
            Ok((Clean { error, ..Clean::default() }, vec![]))
        }
        Err(Error::Cancelled) => Ok((Clean::default(), vec![])),
        Err(error) => Err(error),
    }
}

/// Keeps the inputs of the samples that were broken.
pub(super) fn keep_inputs(clean: &mut [Clean], rows: &[Row], samples: Samples<'_>) {
    for (index, clean) in clean.iter_mut().enumerate() {
        if rows.iter().any(|row| row.attempts[index].adversarial.is_some()) {
            clean.input = samples.input(index).into();
        }
    }
}
