//! Output-diversified starting points.

use std::sync::Arc;

use rand::RngExt;

use super::ascent::Batch;
use super::{Access, Gradient, Target};
use crate::error::Result;
use crate::goal::Aim;
use crate::loss::Loss;
use crate::rng::Stream;
use crate::threat::StepSize;

/// A weighted sum of the logits.
#[derive(Debug)]
struct Weighted {
    weights: Vec<f32>,
}

impl Weighted {
    /// Weights uniform in [-1, 1].
    fn draw(classes: usize, stream: &mut Stream) -> Self {
        Self { weights: (0..classes).map(|_| stream.random_range(-1.0..=1.0)).collect() }
    }
}

impl Loss for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn value_and_gradient(&self, logits: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        gradient.copy_from_slice(&self.weights);
        logits.iter().zip(&self.weights).map(|(z, w)| z * w).sum()
    }
}

/// Moves the batch's points by `steps` steps of eps up random weighted sums of the logits, one sum per sample
/// (Tashiro et al. 2020, <https://arxiv.org/abs/2003.06878>, section 3.2).
pub(super) fn diversify(
    target: &mut Target<'_, Gradient>,
    batch: &mut Batch,
    steps: usize,
) -> Result<()> {
    if steps == 0 {
        return Ok(());
    }
    for row in 0..batch.slots.len() {
        let (slot, range) = (batch.slots[row], batch.range(row));
        let loss: Arc<dyn Loss> =
            Arc::new(Weighted::draw(target.classes(), &mut batch.streams[row]));
        for _ in 0..steps {
            // A step is worth its query only if the point that it leads to can be asked about.
            if !target.affords(slot, <Gradient as Access>::COST + 1) || !batch.goes_on(target, slot)
            {
                break;
            }
            let point = &batch.points[range.clone()];
            target.loss_and_gradient(&[slot], point, &loss, &mut batch.answer)?;
            let (region, gradient) = (target.region(slot), &mut batch.answer.gradient[..]);
            if !region.restrict(gradient) {
                target.note_zero_gradient(slot);
                region.random_direction(&mut batch.streams[row], gradient);
            }
            let point = &mut batch.points[range.clone()];
            region.step(point, gradient, StepSize::Relative(1.0));
            region.project(point);
        }
    }
    Ok(())
}
