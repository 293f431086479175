//! Reading a checkpoint.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use super::fingerprint::{Fingerprint, SCHEMA};
use super::line::{End, Line};
use crate::error::{Cause, Error, Result};
use crate::evaluate::part::Part;
use crate::evaluate::results::Attempt;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    /// None when not even the first line is whole.
    pub(super) run: Option<Fingerprint>,
    pub(super) attempts: Attempts,
    pub(super) end: Option<Part>,
    /// Bytes of whole lines.
    pub(super) whole: u64,
    /// What stands behind them: the beginning of a line.
    pub(super) torn: Vec<u8>,
}

/// What became of samples, by run of an attack and sample.
pub(super) type Attempts = HashMap<(usize, usize), Attempt>;

/// # Errors
/// [`Error::Io`]; [`Error::Data`] for a line that is whole and none of a checkpoint.
pub(super) fn read(path: &Path, from: impl Read) -> Result<Contents> {
    let (mut run, mut attempts, mut end) = (None, Attempts::new(), None);
    let (mut from, mut line) = (BufReader::new(from), vec![]);
    let (mut whole, mut number) = (0, 0);
    loop {
        line.clear();
        let length = from
            .read_until(b'\n', &mut line)
            .map_err(|source| Error::Io { path: path.into(), source })?;
        if line.last() != Some(&b'\n') {
            return Ok(Contents { run, attempts, end, whole, torn: line });
        }
        (whole, number) = (whole + length as u64, number + 1);
        let refuse = |problem, source| Err(fault(path, number, problem, source));
        match (serde_json::from_slice(&line), &run, &end) {
            (Ok(Line::Run(found)), None, None) if found.schema == SCHEMA => run = Some(*found),
            (Ok(Line::Attempt(entry)), Some(_), None) => {
                attempts.entry((entry.run, entry.sample)).or_insert(entry.attempt);
            }
            (Ok(Line::End(found)), Some(_), None) => match with_points(*found, &attempts) {
                Some(part) => end = Some(part),
                None => return refuse("the point of a broken sample is missing", None),
            },
            (Ok(Line::Run(found)), None, None) => {
                let problem = format!("the format is `{}`, expected `{SCHEMA}`", found.schema);
                return refuse(&problem, None);
            }
            (Ok(_), ..) => return refuse("out of place", None),
            (Err(error), None, _) => return refuse("not a checkpoint", Some(error.into())),
            (Err(error), ..) => return refuse("damaged", Some(error.into())),
        }
    }
}

pub(super) fn fault(path: &Path, line: usize, problem: &str, source: Option<Cause>) -> Error {
    let problem = format!("line {line}: {problem}; delete or rename the file to begin anew");
    Error::Data { file: path.display().to_string(), problem, source }
}

fn with_points(End { mut part, found }: End, attempts: &Attempts) -> Option<Part> {
    for (row, found) in part.rows.iter_mut().zip(found) {
        for ((attempt, sample), run) in row.attempts.iter_mut().zip(&part.ids).zip(found) {
            if let Some(adversarial) = &mut attempt.adversarial {
                let known = attempts.get(&(run?, *sample))?.adversarial.as_ref()?;
                adversarial.point = Arc::clone(&known.point);
            }
        }
    }
    Some(part)
}
