//! The files that a report is written to.

use std::path::{Path, PathBuf};

use ironbound::report::{Gallery, Gate, Report, save_text};
use ironbound::{Result, Results};

/// Broken samples per kind of threat that a page shows at the most.
const SHOWN: usize = 12;

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
    /// Write the report to this file as Markdown, such as for a pull request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the report to this file as one HTML page, with plots and pictures of broken samples
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write JUnit XML to this file: a test case per gate and attack
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the findings and the gates that failed to this file as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write an in-toto Statement to this file, for your own tool to sign: the model's SHA-256, the gates, of which there must be
    /// one, and the figures. None is written of an interrupted run
    #[arg(long, value_name = "FILE")]
    pub(crate) attestation: Option<PathBuf>,
}

impl Files {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let records = [&self.json, &self.csv, &self.jsonl];
        let pages = [&self.markdown, &self.html];
        let renderings = [&self.junit, &self.sarif, &self.attestation];
        records.into_iter().chain(pages).chain(renderings).flatten()
    }

    /// Writes all that can be written, and says what could not.
    pub(crate) fn save(&self, results: &Results, report: &Report, gates: &[Gate]) -> Result<()> {
        let saved = [
            save(self.json.as_deref(), || report.to_json()),
            save(self.csv.as_deref(), || report.to_csv()),
            save(self.jsonl.as_deref(), || report.to_jsonl()),
            save(self.markdown.as_deref(), || report.to_markdown(gates)),
            save(self.html.as_deref(), || report.to_html(gates, &Gallery::new(results, SHOWN))),
            save(self.junit.as_deref(), || report.to_junit(gates)),
            save(self.sarif.as_deref(), || report.to_sarif(gates)),
            self.save_attestation(report, gates),
        ];
        saved.into_iter().collect()
    }

    fn save_attestation(&self, report: &Report, gates: &[Gate]) -> Result<()> {
        match &self.attestation {
            Some(path) if !report.partial => save_text(path, &report.to_attestation(gates)?),
            _ => Ok(()),
        }
    }
}

fn save(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<()> {
    path.map_or(Ok(()), |path| save_text(path, &text()))
}
