//! Versioned records as JSON files.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::write::atomically;
use crate::error::{Error, Result};

/// A record as JSON on one line. The same record gives the same bytes.
pub(crate) fn to_json(record: &impl Serialize) -> String {
    // Names and numbers only: nothing here can fail to be written.
    let mut text = serde_json::to_string(record).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads a record of this schema back; `schema_of` gives that of a record, `what` and `file` are for messages.
///
/// # Errors
/// [`Error::Data`] when the text is not JSON, or not of this schema.
pub(crate) fn from_json<T: DeserializeOwned>(
    text: &str,
    (what, file): (&str, &str),
    (schema, schema_of): (&str, fn(&T) -> &str),
) -> Result<T> {
    let fault = |problem: String, source| Error::Data { file: file.into(), problem, source };
    let record: T = serde_json::from_str(text)
        .map_err(|error| fault(format!("not {what}"), Some(error.into())))?;
    if schema_of(&record) != schema {
        let problem = format!("the schema is `{}`, expected `{schema}`", schema_of(&record));
        return Err(fault(problem, None));
    }
    Ok(record)
}

/// Writes text to `path`, all of it or none.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn save(path: &Path, text: &str) -> Result<()> {
    atomically(path, |file| file.write_all(text.as_bytes()))
        .map_err(|source| Error::Io { path: path.into(), source })
}
