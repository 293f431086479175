//! The record as a file.

use std::path::Path;

use super::record::{Report, SCHEMA};
use crate::data::json;
use crate::error::Result;

impl Report {
    /// The record as JSON on one line. The same results give the same bytes.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::to_json(self)
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) when the text is not JSON, or not of this version's schema; `file` names it in
    /// the message.
    pub fn from_json(text: &str, file: &str) -> Result<Self> {
        json::from_json(text, ("a report", file), (SCHEMA, |record: &Self| &record.schema))
    }

    /// Writes the record to `path`, all of it or none.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        json::save(path.as_ref(), &self.to_json())
    }
}

/// Writes a rendering of a record, such as that of [`Report::to_csv`], to `path`, all of it or none.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn save_text(path: impl AsRef<Path>, text: &str) -> Result<()> {
    json::save(path.as_ref(), text)
}
