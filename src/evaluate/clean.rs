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
    let all: Vec<_> = (0..samples.len())
        .into_par_iter()
        .map(|index| {
            if cancel.is_cancelled() {
                return Ok((Clean::default(), vec![]));
            }
            let _within = profile::enter(Stage::Judge);
            match judge.logits(samples.id(index), samples.input(index)) {
                Ok(logits) => {
                    let prediction = argmax(&logits);
                    let correct = prediction == samples.labels[index];
                    let confidence = Some(confidence(&logits));
                    let prediction = Some(prediction);
                    let clean = Clean { prediction, correct, confidence, ..Clean::default() };
                    Ok((clean, logits))
                }
                Err(error @ Error::NonFiniteLogit { .. }) => {
                    let error = Some(error.to_string());
                    Ok((Clean { error, ..Clean::default() }, vec![]))
                }
                Err(Error::Cancelled) => Ok((Clean::default(), vec![])),
                Err(error) => Err(error),
            }
        })
        .collect();
    // Collected in order first, so that the error reported is that of the first sample on every run.
    Ok(all.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip())
}

/// Keeps the inputs of the samples that were broken.
pub(super) fn keep_inputs(clean: &mut [Clean], rows: &[Row], samples: Samples<'_>) {
    for (index, clean) in clean.iter_mut().enumerate() {
        if rows.iter().any(|row| row.attempts[index].adversarial.is_some()) {
            clean.input = samples.input(index).into();
        }
    }
}
