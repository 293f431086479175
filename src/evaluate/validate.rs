//! What a model must be to be attacked.

use crate::error::{Error, Result};
use crate::model::ModelInfo;

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
