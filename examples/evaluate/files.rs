//! The files that a report is written to.

use std::path::{Path, PathBuf};

use ironbound::Result;
use ironbound::report::{Report, save_text};

#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// Write the report to this file (schema ironbound/report/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what became of each sample to this file: a line per sample and attack
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// The same as JSON Lines
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
}

impl Files {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.json, &self.csv, &self.jsonl].into_iter().flatten()
    }

    /// Writes all that can be written, and says what could not.
    pub(crate) fn save(&self, report: &Report) -> Result<()> {
        let saved = [
            save(self.json.as_deref(), || report.to_json()),
            save(self.csv.as_deref(), || report.to_csv()),
            save(self.jsonl.as_deref(), || report.to_jsonl()),
        ];
        saved.into_iter().collect()
    }
}

fn save(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<()> {
    path.map_or(Ok(()), |path| save_text(path, &text()))
}
