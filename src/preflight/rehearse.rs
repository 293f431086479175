//! The first run of a model.

use crate::data::Dataset;
use crate::error::Result;
use crate::goal::Aim;
use crate::loss::LossKind;
use crate::model::{Batch, Classifier, LossGradient};
use crate::profile::{self, Stage};

/// Runs the data set's first sample as attacks will, unless the model has run: what cannot be run is refused now, and
/// what a model settles on its first run (its batch size) is settled on the same sample whatever runs first later.
///
/// # Errors
/// When the model cannot be run, or not differentiated although `gradients` asks for it.
pub(crate) fn rehearse(model: &dyn Classifier, data: &Dataset, gradients: bool) -> Result<()> {
    let _within = profile::enter(Stage::Preflight);
    let first = Batch { inputs: data.sample(0), samples: &[data.id(0)] };
    if !model.has_run(false) {
        model.logits(first, &mut vec![])?;
    }
    if gradients && !model.has_run(true) {
        let (aim, loss) = (Aim::untargeted(data.labels()[0]), LossKind::default().loss());
        model.loss_and_gradient(first, &[aim], &loss, &mut LossGradient::default())?;
    }
    Ok(())
}
