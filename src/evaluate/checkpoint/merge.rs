//! Parts of a run as one.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::file::{self, Contents};
use super::fingerprint::{Difference, Fingerprint};
use crate::error::{Error, Result};
use crate::evaluate::part::Part;
use crate::evaluate::results::Results;

/// A part, and where it is from.
struct Read {
    path: PathBuf,
    run: Fingerprint,
    part: Part,
}

/// Puts the [shards](crate::Shard) of a run together, each from its [checkpoint](crate::Evaluation::checkpoint), in any order:
/// the results have the same bits as those of the run in one go. The file of a run that was not divided gives its results.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`], naming the file, for one that is no checkpoint, not finished, of another run than the first,
/// or there twice; [`Error::Parameter`] where shards are missing.
pub fn merge<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Results> {
    let read = paths.into_iter().map(|path| read(path.as_ref()));
    let mut all = read.collect::<Result<Vec<_>>>()?;
    let Some((first, others)) = all.split_first() else {
        return Err(Error::parameter("shards", "none", "expected a checkpoint per shard"));
    };
    for other in others {
        if let Some(Difference { field, here, there }) = first.run.differs_in_run(&other.run) {
            let problem = format!(
                "is of another run than {}: `{field}` is {there}, and {here} there",
                first.path.display()
            );
            return Err(refuse(&other.path, problem));
        }
    }
    all.sort_by_key(|read| read.run.shard.index());
    for pair in all.windows(2) {
        if pair[0].run.shard == pair[1].run.shard {
            let (shard, other) = (pair[1].run.shard, pair[0].path.display());
            let problem = format!("holds shard {shard}, as {other} does: name one of them");
            return Err(refuse(&pair[1].path, problem));
        }
    }
    let count = all[0].run.shard.count();
    let is_there = |index: &usize| all.iter().any(|read| read.run.shard.index() == *index);
    let missing: Vec<_> = (1..=count).filter(|index| !is_there(index)).collect();
    if !missing.is_empty() {
        let missing: Vec<_> = missing.iter().map(|index| format!("{index}/{count}")).collect();
        let expected = format!("expected all {count}: {} are missing", missing.join(", "));
        return Err(Error::parameter("shards", all.len(), expected));
    }
    let parts = Part::merged(all.into_iter().map(|read| read.part));
    parts.map(Part::results).ok_or(Error::Cancelled)
}

fn read(path: &Path) -> Result<Read> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let Contents { run, end, .. } = file::read(path, file)?;
    let run = run.ok_or_else(|| file::fault(path, 1, "not a checkpoint", None))?;
    let unfinished = || {
        let problem = format!(
            "shard {} is not finished: run it again with this checkpoint, and it goes on",
            run.shard
        );
        refuse(path, problem)
    };
    let part = end.ok_or_else(unfinished)?;
    Ok(Read { path: path.into(), run, part })
}

fn refuse(path: &Path, problem: String) -> Error {
    Error::Data { file: path.display().to_string(), problem, source: None }
}
