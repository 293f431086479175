//! Samples that are not alone in their batch.

use crate::error::Result;
use crate::finding::Finding;
use crate::model::{Batch, Batching};
use crate::preflight::subject::Subject;

/// How many samples are run together.
const ROWS: usize = 3;
/// How far logits may be apart, relative to the largest of the row: more than other kernels for another batch explain.
const TOLERANCE: f32 = 1e-3;

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    if subject.unsteady.is_some() {
        return Ok(vec![]);
    }
    let batching = match subject.model.inspector() {
        Some(inspector) => {
            let rows = ROWS.min(subject.len());
            let inputs = &subject.inputs[..rows * subject.features()];
            inspector.batching(Batch { inputs, samples: &subject.ids[..rows] }, ROWS)?
        }
        None => together(subject)?,
    };
    Ok(match batching {
        Batching::Independent => vec![],
        // The note says why, and what follows.
        Batching::Fixed(_) if is_noted(subject) => vec![],
        Batching::Fixed(reason) => {
            vec![
                Finding::info("fixed-batch", format!("the batch axis cannot change: {reason}"))
                    .remedy("none is needed: samples run one at a time"),
            ]
        }
        Batching::Dependent(how) => {
            let message = format!("a sample's logits depend on its neighbours in the batch: {how}");
            vec![Finding::warning("batch-dependent", message).remedy(
                "run the model on one sample at a time, as the judge does; look for a reshape or a mean over the \
                 batch axis",
            )]
        }
    })
}

fn is_noted(subject: &Subject<'_>) -> bool {
    subject.model.notes().iter().any(|note| note.code == "one-by-one")
}

/// For a model without a graph: the first samples together, against each alone.
fn together(subject: &Subject<'_>) -> Result<Batching> {
    let rows = ROWS.min(subject.len());
    let inputs = &subject.inputs[..rows * subject.features()];
    let mut logits = vec![];
    subject.model.logits(Batch { inputs, samples: &subject.ids[..rows] }, &mut logits)?;
    let classes = subject.model.classes();
    crate::model::expect_len(subject.model, "logits", logits.len(), rows * classes)?;
    for (together, alone) in logits.chunks_exact(classes).zip(&subject.logits) {
        let largest = alone.iter().fold(f32::MIN_POSITIVE, |largest, z| largest.max(z.abs()));
        let apart = |(a, b): (&f32, &f32)| {
            a.is_finite() != b.is_finite() || (a - b).abs() > TOLERANCE * largest
        };
        if together.iter().zip(alone).any(apart) {
            return Ok(Batching::Dependent(format!(
                "in a batch of {rows} it gives {together:?} for a sample, alone {alone:?}"
            )));
        }
    }
    Ok(Batching::Independent)
}
