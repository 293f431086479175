//! The record as a table for spreadsheets and data frames.

use super::record::Report;
use super::samples::SampleRow;

/// The fields of [`SampleRow`].
const HEAD: [&str; 17] = [
    "sample",
    "label",
    "clean_prediction",
    "clean_confidence",
    "case",
    "norm",
    "eps",
    "transformation",
    "goal",
    "row",
    "attack",
    "params",
    "outcome",
    "distance",
    "change",
    "prediction",
    "confidence",
];

impl Report {
    /// What became of each sample, as CSV (RFC 4180, but for line feeds as the ends of lines): a line of names, then a line
    /// per [`SampleRow`]. What is not there is an empty field; numbers read back give the same bits.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut text = HEAD.join(",") + "\n";
        for row in self.samples() {
            text += &(cells(row).map(quoted).join(",") + "\n");
        }
        text
    }
}

fn cells(row: SampleRow) -> [String; HEAD.len()] {
    [
        row.sample.to_string(),
        cell(row.label),
        cell(row.clean_prediction),
        cell(row.clean_confidence),
        row.case.to_string(),
        cell(row.norm),
        cell(row.eps),
        cell(row.transformation),
        row.goal,
        cell(row.row),
        row.attack,
        row.params,
        row.outcome.to_string(),
        cell(row.distance),
        cell(row.change),
        cell(row.prediction),
        cell(row.confidence),
    ]
}

fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn quoted(cell: String) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}
