//! What every example is to a shell: exit codes, files, interruptions.

use std::path::Path;

use ironbound::{Error, Result};

/// Done, and nothing is amiss.
pub(crate) const DONE: u8 = 0;
/// Done, but what was looked at does not pass.
#[allow(dead_code, reason = "for the examples with gates")]
pub(crate) const FAILED: u8 = 1;
/// Bad usage, bad data, a missing file. Clap exits with it, too.
const USAGE: u8 = 2;
/// A model file that is there but cannot be parsed, typed or differentiated.
const MODEL: u8 = 3;
/// Interrupted: what a shell reports of a process that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Says on one line what went wrong, and gives the exit code for it.
pub(crate) fn report(error: &Error) -> u8 {
    eprintln!("error: {}", error.one_line());
    match error {
        Error::Cancelled => INTERRUPTED,
        error if error.is_model() => MODEL,
        _ => USAGE,
    }
}

/// Fails now rather than after the run when `path` could not be written.
pub(crate) fn expect_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let fault = |source| Error::Io { path: path.into(), source };
    if path.is_dir() {
        return Err(fault(std::io::ErrorKind::IsADirectory.into()));
    }
    std::fs::metadata(folder).map_err(fault)?;
    Ok(())
}
