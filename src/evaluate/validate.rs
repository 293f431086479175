//! One check of everything that was asked, before anything runs.

use super::scheduler::Samples;
use crate::error::{Error, Result};
use crate::model::ModelInfo;
use crate::threat::Bounds;

/// Checks that there is something to choose between.
///
/// # Errors
/// [`Error::Model`].
pub(super) fn model(info: &ModelInfo) -> Result<()> {
    if info.classes >= 2 {
        return Ok(());
    }
    let problem = format!("a classifier needs two classes or more, this one has {}", info.classes);
    Err(Error::Model { model: info.path.clone(), problem, source: None })
}

/// Checks that every label is a class of the model.
///
/// # Errors
/// [`Error::Data`], naming the first label at fault.
pub(super) fn labels(samples: Samples<'_>, classes: usize, file: &str) -> Result<()> {
    let Some(index) = samples.labels.iter().position(|label| *label >= classes) else {
        return Ok(());
    };
    let (label, sample) = (samples.labels[index], samples.id(index));
    let problem = format!(
        "label {label} of sample {sample} is out of range: the model has {classes} classes, 0 to {}",
        classes - 1
    );
    Err(Error::Data { file: file.into(), problem, source: None })
}

/// Checks that every clean input lies within the bounds: no attack could start from outside.
///
/// # Errors
/// [`Error::Data`], naming the first value at fault.
pub(super) fn inputs(samples: Samples<'_>, bounds: &Bounds, file: &str) -> Result<()> {
    for index in 0..samples.len() {
        for (feature, value) in samples.input(index).iter().enumerate() {
            let (lower, upper) = bounds.at(feature);
            if !(lower..=upper).contains(value) {
                let sample = samples.id(index);
                let problem = format!(
                    "feature {feature} of sample {sample} is {value}, outside of the bounds [{lower}, {upper}]: \
                     give the bounds of the data, or none"
                );
                return Err(Error::Data { file: file.into(), problem, source: None });
            }
        }
    }
    Ok(())
}
