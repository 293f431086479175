//! Gates at the end of a run.

use std::path::Path;

use ironbound::report::{Gate, GateSpec};
use ironbound::{Error, Result};

use crate::shell::{DONE, FAILED};

/// Refuses to attest a run of which nothing is asked.
pub(crate) fn expect_some(gates: &[GateSpec], attestation: Option<&Path>) -> Result<()> {
    match attestation {
        Some(path) if gates.is_empty() => Err(Error::Parameter {
            field: "attestation".into(),
            value: path.display().to_string(),
            expected: "it says which gates hold; expected one, such as --gate \"clean >= 90%\""
                .into(),
        }),
        _ => Ok(()),
    }
}

/// Says which gate does not hold, the first of them, and gives the exit code.
pub(crate) fn exit_code(gates: &[Gate]) -> u8 {
    match gates.iter().find_map(|gate| gate.failure.as_ref()) {
        Some(failure) => {
            eprintln!("gate failed: {failure}");
            FAILED
        }
        None => DONE,
    }
}
