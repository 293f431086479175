//! The record for a pull request.

mod details;
mod escape;

use std::fmt::Write;

use super::circumstances::Part;
use super::curves::Curve;
use super::gate::Gate;
use super::record::{AttackRow, DataRecord, Report, WorstCase};
use super::text::{interval, number, percent};
use crate::finding::{Finding, Severity};
use crate::text::written;
pub(super) use escape::{cell, code, prose};

impl Report {
    /// The record as Markdown with the tables of GitHub and GitLab: the gates, the worst case per threat, every attack,
    /// curves and worst classes, warnings, and folded away how it was run. Names stay names, whatever they hold.
    #[must_use]
    pub fn to_markdown(&self, gates: &[Gate]) -> String {
        written(|text| self.write_markdown(text, gates))
    }

    fn write_markdown(&self, text: &mut String, gates: &[Gate]) -> std::fmt::Result {
        writeln!(text, "## Robustness of {}\n", code(&self.model.path))?;
        if self.partial {
            writeln!(
                text,
                "**Partial**: the run was interrupted; shares are of the finished samples, and gates are open.\n"
            )?;
        } else {
            write_list(text, gates.iter().map(gate))?;
        }
        if let Some(stopped) = &self.stopped {
            writeln!(text, "**Stopped** {}.\n", prose(&self.stop(stopped)))?;
        }
        let head = ["threat", "clean", "robust", "95 % interval"];
        write_table(text, &head, 1, self.worst_case.iter().map(|case| self.headline(case)))?;
        let DataRecord { samples, .. } = self.data;
        writeln!(
            text,
            "Robust: classified correctly, and not broken by any attack, of all {samples} samples. It is an upper bound: a \
             stronger attack may break more.\n"
        )?;
        if !self.attacks.is_empty() {
            writeln!(text, "### Attacks\n")?;
            let head = [
                "threat",
                "attack",
                "robust",
                "95 % interval",
                "success",
                "mean dist",
                "max dist",
                "queries",
            ];
            let cases = 0..self.worst_case.len();
            let rows =
                cases.flat_map(|case| self.attacks.iter().filter(move |row| row.case == case));
            write_table(text, &head, 2, rows.map(|row| self.attack_cells(row)))?;
        }
        if !self.curves.is_empty() {
            writeln!(text, "### Curves\n")?;
            let head = [
                "up to",
                "mean robust accuracy",
                "median distance",
                "not broken",
                "worst class",
                "its robust accuracy",
                "classes differ, p",
            ];
            write_table(
                text,
                &head,
                1,
                self.curves.iter().filter_map(|curve| self.curve_cells(curve)),
            )?;
        }
        self.write_groups(text)?;
        if !self.warnings.is_empty() {
            writeln!(text, "### Findings\n")?;
            write_list(text, self.warnings.iter().map(finding))?;
        }
        self.write_details(text)?;
        writeln!(text, "<details><summary>How it was run</summary>\n")?;
        write_list(text, self.circumstances().iter().map(|parts| circumstance(parts)))?;
        writeln!(text, "</details>")
    }

    fn headline(&self, case: &WorstCase) -> [String; 4] {
        let robust = format!("**{}**", percent(case.robust_accuracy));
        [threat(case), percent(self.clean.accuracy), robust, interval(case.interval)]
    }

    fn attack_cells(&self, row: &AttackRow) -> [String; 8] {
        let queries = row.queries.forward + row.queries.backward;
        let size = |distance: Option<f64>| distance.map_or_else(|| "-".into(), number);
        [
            self.worst_case.get(row.case).map_or_else(String::new, threat),
            code(&self.name(row)),
            percent(row.robust_accuracy),
            interval(row.interval),
            percent(row.success_rate),
            size(row.distance.mean),
            size(row.distance.max),
            format!("{queries:.1}{}", if row.shared { " for all budgets" } else { "" }),
        ]
    }

    fn curve_cells(&self, curve: &Curve) -> Option<[String; 7]> {
        let case = self.end_of(curve)?;
        let of = &curve.distance;
        let worst = case.worst_class();
        let none = || "-".to_owned();
        Some([
            threat(case),
            percent(curve.area),
            of.median.map_or_else(none, number),
            format!("{} of {}", of.censored, of.samples),
            worst.map_or_else(none, |(row, _)| prose(&self.class_name(row.class))),
            worst.map_or_else(none, |(row, _)| {
                format!("{} {}", percent(row.robust_accuracy), interval(row.interval))
            }),
            worst.map_or_else(none, |(_, disparity)| prose(&disparity.chance())),
        ])
    }

    /// Every group at the largest budget of each curve, and whether they differ.
    fn write_groups(&self, text: &mut String) -> std::fmt::Result {
        let cases = self.curves.iter().filter_map(|curve| self.end_of(curve));
        for (case, table) in cases.flat_map(|case| case.groups.iter().map(move |of| (case, of))) {
            writeln!(text, "### Groups by {} within {}\n", code(&table.column), threat(case))?;
            let head = ["group", "samples", "clean", "robust", "95 % interval"];
            let rows = table.groups.iter().map(|row| {
                let clean = row.correct as f64 / row.samples as f64;
                [
                    prose(&row.group),
                    row.samples.to_string(),
                    percent((row.samples > 0).then_some(clean)),
                    percent(row.robust_accuracy),
                    interval(row.interval),
                ]
            });
            write_table(text, &head, 1, rows)?;
            if let Some((worst, disparity)) = table.worst_group() {
                let chance = prose(&disparity.chance());
                writeln!(
                    text,
                    "The worst is {}; groups differ with p = {chance}.\n",
                    prose(&worst.group)
                )?;
            }
        }
        Ok(())
    }
}

/// A threat as a cell.
fn threat(case: &WorstCase) -> String {
    prose(&case.title())
}

fn circumstance(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Name(name) => code(name),
        Part::Words(words) => prose(words),
    };
    parts.iter().map(part).collect()
}

fn gate(gate: &Gate) -> String {
    match &gate.failure {
        Some(failure) => format!("gate {} **failed**: {}", code(&gate.name), prose(failure)),
        None => format!("gate {} passed", code(&gate.name)),
    }
}

fn finding(finding: &Finding) -> String {
    let Finding { code: name, severity, nodes, message, remedy } = finding;
    let severity = match severity {
        Severity::Info => severity.to_string(),
        _ => format!("**{severity}**"),
    };
    let mut parts = vec![format!("{severity} {}: {}", code(name), prose(message))];
    if !nodes.is_empty() {
        let nodes: Vec<_> = nodes.iter().map(|node| code(node)).collect();
        parts.push(format!("nodes {}", nodes.join(", ")));
    }
    if !remedy.is_empty() {
        parts.push(format!("remedy: {}", prose(remedy)));
    }
    parts.join("; ")
}

fn write_list(text: &mut String, lines: impl Iterator<Item = String>) -> std::fmt::Result {
    let length = text.len();
    for line in lines {
        writeln!(text, "- {line}")?;
    }
    if text.len() > length { writeln!(text) } else { Ok(()) }
}

/// Writes a table, the first `left` columns aligned to the left, the others to the right; none without rows.
pub(super) fn write_table(
    text: &mut String,
    head: &[impl AsRef<str>],
    left: usize,
    rows: impl Iterator<Item = impl AsRef<[String]>>,
) -> std::fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let head: Vec<_> = head.iter().map(|text| cell(text.as_ref())).collect();
    let rule = (0..head.len()).map(|column| if column < left { "---" } else { "--:" });
    writeln!(text, "| {} |\n|{}|", head.join(" | "), rule.collect::<Vec<_>>().join("|"))?;
    for row in rows {
        let cells: Vec<_> = row.as_ref().iter().map(|text| cell(text)).collect();
        writeln!(text, "| {} |", cells.join(" | "))?;
    }
    writeln!(text)
}
