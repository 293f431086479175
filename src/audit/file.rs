//! The record as a file.

use std::io::Write;
use std::path::Path;

use super::record::{Audit, SCHEMA};
use crate::data::atomically;
use crate::error::{Error, Result};

impl Audit {
    /// The record as JSON on one line. The same audit gives the same bytes.
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
        let audit: Self = serde_json::from_str(text)
            .map_err(|error| fault("not an audit".into(), Some(error.into())))?;
        if audit.schema != SCHEMA {
            let problem = format!("the schema is `{}`, expected `{SCHEMA}`", audit.schema);
            return Err(fault(problem, None));
        }
        Ok(audit)
    }

    /// Writes the record to `path`, all of it or none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let (path, text) = (path.as_ref(), self.to_json());
        atomically(path, |file| file.write_all(text.as_bytes()))
            .map_err(|source| Error::Io { path: path.into(), source })
    }
}
