//! What is known of a run, in a file: an interrupted or killed run goes on where it was, and parts of a run become one.
//!
//! The file has a JSON object per line: the run, then what became of each sample under each attack as soon as it is known, in
//! any order, and in the end all that was found. A last line that is torn is left out.

mod file;
mod fingerprint;
mod line;
mod merge;
mod writer;

pub(super) use fingerprint::{Fingerprint, ValueHash};
pub use merge::merge;
pub(super) use writer::{Checkpoint, Opened};
