//! Several models on one data set, the most robust first.

use std::fmt::{self, Write as _};

use super::gate::Gate;
use super::markdown::{self, cell, code, prose};
use super::record::{Report, WorstCase};
use super::table::write_table;
use super::text::percent;
use crate::text::written;

/// A model of a leaderboard.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What it is called.
    pub model: String,
    /// Its report.
    pub report: Report,
    /// The gates that were asked for.
    pub gates: Vec<Gate>,
}

/// Models that were attacked in the same way on the same samples: by the mean of their worst-case robust accuracies over the threats, without
/// a threat by their clean accuracy, the highest first. One that is not known counts as 0; models that are as robust stay in the order
/// that they were given in.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaderboard {
    data: String,
    standings: Vec<Standing>,
}

impl Leaderboard {
    /// Of models on the data of this name.
    #[must_use]
    pub fn new(data: impl Into<String>, mut standings: Vec<Standing>) -> Self {
        standings.sort_by(|a, b| score(&b.report).total_cmp(&score(&a.report)));
        Self { data: data.into(), standings }
    }

    /// The name of the data.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The models, the most robust first.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// As text: a table. It ends in a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        written(|text| {
            writeln!(text, "data {}\n", self.data)?;
            let rows = self.standings.iter().enumerate().map(|(at, of)| self.cells(at, of));
            let head = self.head();
            let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
            write_table(text, &rows, 2)
        })
    }

    /// The same as Markdown, then the gates that do not hold.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        written(|text| self.write_markdown(text))
    }

    fn write_markdown(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "## Robustness on {}\n", code(&self.data))?;
        let head: Vec<_> = self.head().iter().map(|name| cell(&prose(name))).collect();
        let rows = self.standings.iter().enumerate().map(|(at, standing)| {
            let mut cells = self.cells(at, standing);
            cells[1] = code(&standing.model);
            cells
        });
        markdown::write_table(text, &head, 2, rows)?;
        for (model, gate, failure) in self.failures() {
            writeln!(
                text,
                "- {}: gate {} **failed**: {}",
                code(model),
                code(gate),
                prose(failure)
            )?;
        }
        Ok(())
    }

    /// The columns: rank, model, clean, the threats, gates that hold.
    fn head(&self) -> Vec<String> {
        let threats = self.standings.first().map_or(&[][..], |first| &first.report.worst_case);
        let fixed = ["#", "model", "clean"].map(str::to_owned);
        fixed
            .into_iter()
            .chain(threats.iter().map(WorstCase::name))
            .chain(["gates".into()])
            .collect()
    }

    fn cells(&self, at: usize, standing: &Standing) -> Vec<String> {
        let Standing { model, report, gates } = standing;
        let partial = if report.partial { " (partial)" } else { "" };
        let holding = gates.iter().filter(|gate| gate.failure.is_none()).count();
        let threats = self.head().len() - 4;
        let mut cells =
            vec![(at + 1).to_string(), format!("{model}{partial}"), percent(report.clean.accuracy)];
        for case in 0..threats {
            cells.push(percent(report.worst_case.get(case).and_then(|case| case.robust_accuracy)));
        }
        cells.push(format!("{holding} of {}", gates.len()));
        cells
    }

    /// Model, gate and failure of every gate that does not hold.
    fn failures(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.standings.iter().filter(|of| !of.report.partial).flat_map(|of| {
            let failed = of.gates.iter().filter_map(|gate| Some((gate, gate.failure.as_ref()?)));
            failed.map(|(gate, failure)| (&*of.model, &*gate.name, &**failure))
        })
    }
}

/// What models are ranked by.
fn score(report: &Report) -> f64 {
    let known = |accuracy: Option<f64>| accuracy.unwrap_or(0.0);
    let cases = &report.worst_case;
    if cases.is_empty() {
        return known(report.clean.accuracy);
    }
    cases.iter().map(|case| known(case.robust_accuracy)).sum::<f64>() / cases.len() as f64
}
