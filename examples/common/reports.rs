//! Stored reports.

use std::path::Path;

use ironbound::{Error, Report, Result};

/// Reads the file that `evaluate --json` wrote.
pub(crate) fn read(path: &Path) -> Result<Report> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.into(), source })?;
    Report::from_json(&text, &path.display().to_string())
}
