//! The record as JSON Lines.

use super::record::Report;
use crate::data::json;

impl Report {
    /// What became of each sample: a JSON object per line, each a [`SampleRow`](super::SampleRow).
    #[must_use]
    pub fn to_jsonl(&self) -> String {
        self.samples().iter().map(json::to_json).collect()
    }
}
