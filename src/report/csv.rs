//! The record as a table for spreadsheets and data frames.

use super::record::Report;
use super::samples::SampleRow;

/// The fields of [`SampleRow`], but for the groups.
const HEAD: [&str; 26] = [
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
    "label_name",
    "clean_prediction_name",
    "prediction_name",
    "l0",
    "l1",
    "l2",
    "linf",
    "ssim",
    "queries",
];

impl Report {
    /// What became of each sample, as CSV (RFC 4180, but for line feeds as the ends of lines): a line of names, then a line
    /// per [`SampleRow`]. What is not there is an empty field; numbers read back give the same bits. Each column of the data set
    /// that makes groups is a column here, after the others, named `group.` and its name.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let columns: Vec<&str> = self.clean.groups.iter().map(|of| &*of.column).collect();
        let groups = columns.iter().map(|column| format!("group.{column}"));
        let mut text = line(HEAD.map(str::to_owned).into_iter().chain(groups));
        for mut row in self.samples() {
            let mut all = std::mem::take(&mut row.groups);
            let groups = columns.iter().map(|column| all.remove(*column).unwrap_or_default());
            text += &line(cells(row).into_iter().chain(groups));
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
        cell(row.label_name),
        cell(row.clean_prediction_name),
        cell(row.prediction_name),
        cell(row.l0),
        cell(row.l1),
        cell(row.l2),
        cell(row.linf),
        cell(row.ssim),
        cell(row.queries),
    ]
}

fn line(cells: impl Iterator<Item = String>) -> String {
    cells.map(quoted).collect::<Vec<_>>().join(",") + "\n"
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
