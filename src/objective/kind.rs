//! The table of objectives, and their command-line form.

use super::{Above, Below, Cosine, Moved, Objective};
use crate::error::{Error, Result};
use crate::parameters::kinds;

kinds! {
    /// An objective of the table with its parameters.
    ///
    /// On a command line it is the name, a colon and the parameters: `above:output=0,value=1.5`.
    ObjectiveKind, "objective", Objective by objective;
    "above" => Above,
    "below" => Below,
    "cosine" => Cosine,
    "moved" => Moved,
}

pub(super) fn expect_output(output: usize, outputs: usize) -> Result<()> {
    if output < outputs {
        return Ok(());
    }
    let expected = format!("the model has {outputs} output values, 0 to {}", outputs.max(1) - 1);
    Err(Error::parameter("output", output, expected))
}
