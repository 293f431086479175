//! Keeping what becomes known.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::file::{self, Attempts, Contents};
use super::fingerprint::Fingerprint;
use super::line::{End, Entry, Line};
use crate::data::json;
use crate::error::{Error, Result};
use crate::evaluate::part::Part;
use crate::evaluate::results::{Attempt, Fate, Row};
use crate::finding::Finding;

/// A run that was begun.
#[derive(Debug)]
pub(in crate::evaluate) struct Checkpoint {
    path: PathBuf,
    known: Attempts,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    /// The points in the file, by sample, with the run that found each.
    points: HashMap<usize, Vec<Found>>,
    /// Why nothing more was written.
    failure: Option<io::Error>,
}

/// The run that found a point, and the point.
type Found = (usize, Arc<[f32]>);

/// What a file is to a run.
#[derive(Debug)]
pub(in crate::evaluate) enum Opened {
    /// Some, or nothing, is known.
    Begun(Checkpoint),
    /// Nothing is left to do.
    Finished(Box<Part>),
}

impl Checkpoint {
    /// Goes on with a file, or begins one.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] when the file is of another run, is no checkpoint, or in use.
    pub(in crate::evaluate) fn open(path: &Path, run: &Fingerprint) -> Result<Opened> {
        let fault = |source| Error::Io { path: path.into(), source };
        let refuse = |problem: String| {
            Err(Error::Data { file: path.display().to_string(), problem, source: None })
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(fault)?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return refuse("another process is writing this checkpoint".into());
            }
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        let Contents { run: found, attempts, end, whole, torn } = file::read(path, &file)?;
        let first = json::to_json(&Line::Run(Box::new(run.clone())));
        match &found {
            Some(there) => {
                if let Some(difference) = run.differs(there) {
                    let (field, here, there) =
                        (difference.field, difference.here, difference.there);
                    return refuse(format!(
                        "is of another run: `{field}` is {there} there and {here} here; name another file, or run what it \
                         was begun with"
                    ));
                }
            }
            // Whatever else it is, it is somebody's.
            None if !first.as_bytes().starts_with(&torn) => {
                return Err(file::fault(path, 1, "not a checkpoint", None));
            }
            None => {}
        }
        if let Some(part) = end {
            return Ok(Opened::Finished(Box::new(part)));
        }
        file.set_len(whole).map_err(fault)?;
        file.seek(SeekFrom::End(0)).map_err(fault)?;
        if found.is_none() {
            file.write_all(first.as_bytes()).map_err(fault)?;
        }
        let mut writer = Writer { file, points: HashMap::new(), failure: None };
        for ((run, sample), attempt) in &attempts {
            writer.keep_point(*run, *sample, attempt);
        }
        Ok(Opened::Begun(Self { path: path.into(), known: attempts, writer: Mutex::new(writer) }))
    }

    /// What became of a sample in a run of an attack, where the file had it.
    pub(in crate::evaluate) fn known(&self, run: usize, sample: usize) -> Option<&Attempt> {
        self.known.get(&(run, sample))
    }

    /// Keeps what became of samples; the unreached ones are left for later.
    pub(in crate::evaluate) fn record<'a>(
        &self,
        run: usize,
        attempts: impl Iterator<Item = (usize, &'a Attempt)>,
    ) {
        let mut text = String::new();
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for (sample, attempt) in attempts.filter(|(_, attempt)| attempt.fate != Fate::Unreached) {
            let entry = Entry { run, sample, attempt: attempt.clone() };
            text += &json::to_json(&Line::Attempt(entry.into()));
            writer.keep_point(run, sample, attempt);
        }
        writer.write(&text);
    }

    /// Which run found each point of a part, per row and sample. The points need not be kept any longer.
    pub(in crate::evaluate) fn found(&self, part: &Part) -> Vec<Vec<Option<usize>>> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<_> =
            part.ids.iter().map(|id| writer.points.remove(id).unwrap_or_default()).collect();
        let found = |(attempt, known): (&Attempt, &Vec<Found>)| {
            let point = &attempt.adversarial.as_ref()?.point;
            known.iter().find(|(_, known)| Arc::ptr_eq(known, point)).map(|(run, _)| *run)
        };
        let of_row = |row: &Row| row.attempts.iter().zip(&known).map(found).collect();
        part.rows.iter().map(of_row).collect()
    }

    /// Ends the file where the run is `finished`, and says what went wrong with it. `found` is what [`found`](Self::found)
    /// said.
    pub(in crate::evaluate) fn end(
        self,
        part: &Part,
        found: Vec<Vec<Option<usize>>>,
        finished: bool,
    ) -> Option<Finding> {
        let mut writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        if finished {
            let end = End { part: part.without_points(), found };
            writer.write(&json::to_json(&Line::End(Box::new(end))));
        }
        let failure = writer.failure?;
        let message = format!(
            "{} could not be written: {failure}; the report is whole, but a run cannot go on from there",
            self.path.display()
        );
        Some(Finding::warning("checkpoint", message))
    }
}

/// A process that is being started holds its parent's files for a moment.
fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(50)),
            done => return done,
        }
    }
    file.try_lock()
}

impl Writer {
    fn keep_point(&mut self, run: usize, sample: usize, attempt: &Attempt) {
        if let Some(found) = &attempt.adversarial {
            self.points.entry(sample).or_default().push((run, Arc::clone(&found.point)));
        }
    }

    /// Whole lines, at once: a reader sees all of them or a torn last one.
    fn write(&mut self, text: &str) {
        if self.failure.is_none() {
            self.failure = self.file.write_all(text.as_bytes()).err();
        }
    }
}
