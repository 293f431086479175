//! The record as a file.

use std::io::{self, Write};
use std::path::Path;

use super::record::{Report, SCHEMA};
use crate::error::{Error, Result};

impl Report {
    /// The record as JSON on one line. The same results give the same bytes.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Names and numbers only: nothing here can fail to be written.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// [`Error::Data`] when the text is not JSON, or not of this version's schema; `file` names it in the message.
    pub fn from_json(text: &str, file: &str) -> Result<Self> {
        let fault = |problem: String, source| Error::Data { file: file.into(), problem, source };
        let report: Self = serde_json::from_str(text)
            .map_err(|error| fault("not a report".into(), Some(error.into())))?;
        if report.schema != SCHEMA {
            let problem = format!("the schema is `{}`, expected `{SCHEMA}`", report.schema);
            return Err(fault(problem, None));
        }
        Ok(report)
    }

    /// Writes the record to `path`, all of it or none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let text = self.to_json();
        write_atomically(path.as_ref(), |file| file.write_all(text.as_bytes()))
    }
}

/// Writes a file beside `path` and then puts it in its place, so that nobody ever reads half of it.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut std::fs::File) -> io::Result<()>,
) -> Result<()> {
    let fault = |source| Error::Io { path: path.into(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(fault)?;
    write(file.as_file_mut()).map_err(fault)?;
    file.persist(path).map_err(|error| fault(error.error))?;
    Ok(())
}
