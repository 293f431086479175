//! The lines of a checkpoint.

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::evaluate::part::Part;
use crate::evaluate::results::Attempt;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// The first.
    Run(Box<Fingerprint>),
    /// What became of a sample.
    Attempt(Box<Entry>),
    /// The last, of a run that was finished.
    End(Box<End>),
}

/// What became of a sample in a run of an attack under a threat.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Which run of an attack under a threat it was, counted from 0.
    pub(super) run: usize,
    /// The sample's index in the data set.
    pub(super) sample: usize,
    pub(super) attempt: Attempt,
}

/// All that was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// Its adversarial points are empty: the entries have them.
    pub(super) part: Part,
    /// Per row and sample: the run that found the point.
    pub(super) found: Vec<Vec<Option<usize>>>,
}
