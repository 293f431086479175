//! The record for the terminal.

use std::fmt::Write;

use super::curves::Quantiles;
use super::record::{Distances, Report, WorstCase};
use super::table::write_table;
use crate::evaluate::Stopped;
use crate::text::{short, written};
use crate::threat::Domain;

/// The columns of the table; all but the first three are numbers.
const HEAD: [&str; 9] = [
    "norm",
    "eps",
    "attack",
    "robust",
    "95 % interval",
    "success",
    "mean dist",
    "max dist",
    "queries",
];

impl Report {
    /// The record as text of some 100 columns: the model, the data, clean accuracy, what perturbed
    /// samples must be besides, a table of attacks, the worst case
    /// per threat, warnings. It ends in a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        written(|text| self.write_text(text))
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let (model, data) = (&self.model, &self.data);
        writeln!(
            text,
            "model   {} ({}, sha256 {})",
            model.path,
            self.kind(),
            short(&model.sha256)
        )?;
        writeln!(
            text,
            "data    {} ({} samples, sha256 {})",
            data.path,
            data.samples,
            short(&data.sha256)
        )?;
        writeln!(
            text,
            "clean   {} {}",
            percent(self.clean.accuracy),
            interval(self.clean.interval)
        )?;
        let threats = self.worst_case.iter().filter_map(|case| case.threat.as_ref());
        let mut domains: Vec<&Domain> = vec![];
        for domain in threats.map(|threat| &threat.domain).filter(|domain| !domain.is_any()) {
            if !domains.contains(&domain) {
                writeln!(text, "domain  {domain}")?;
                domains.push(domain);
            }
        }
        if self.partial {
            writeln!(text, "PARTIAL the run was interrupted; shares are of the finished samples")?;
        }
        if let Some(stopped) = &self.stopped {
            writeln!(text, "stopped {}", self.stop(stopped))?;
        }
        if !self.attacks.is_empty() {
            writeln!(text)?;
            self.write_attacks(text)?;
        }
        if self.attacks.iter().any(|row| row.shared) {
            writeln!(text, "* one run for all budgets: the queries are the same ones in each row")?;
        }
        self.write_curves(text)?;
        if !self.warnings.is_empty() {
            writeln!(text)?;
        }
        for warning in &self.warnings {
            writeln!(text, "{warning}")?;
        }
        Ok(())
    }

    /// One line on each curve, and one on its worst class at the largest budget.
    fn write_curves(&self, text: &mut String) -> std::fmt::Result {
        if !self.curves.is_empty() {
            writeln!(text)?;
        }
        for curve in &self.curves {
            let Some(case) = self.end_of(curve) else { continue };
            let (norm, eps) = (curve.norm, case.eps.map_or_else(String::new, number));
            let Quantiles { samples, censored, median, .. } = curve.distance;
            let half = match median {
                Some(median) => {
                    format!("half of {samples} samples break within {}", number(median))
                }
                None => format!(
                    "{censored} of {samples} samples do not break, so the median is not known"
                ),
            };
            writeln!(
                text,
                "curve   {norm} up to {eps}: mean robust accuracy {}, {half}",
                percent(curve.area)
            )?;
            if let Some((worst, disparity)) = case.worst_class() {
                writeln!(
                    text,
                    "classes {norm} {eps}: the worst is {} with {} {}; classes differ with p = {}",
                    plain(&self.class_name(worst.class)),
                    percent(worst.robust_accuracy),
                    interval(worst.interval),
                    disparity.chance()
                )?;
            }
            for table in &case.groups {
                write!(text, "groups  {norm} {eps} by {}: ", plain(&table.column))?;
                match table.worst_group() {
                    Some((worst, disparity)) => writeln!(
                        text,
                        "the worst is {} with {} {}; groups differ with p = {}",
                        plain(&worst.group),
                        percent(worst.robust_accuracy),
                        interval(worst.interval),
                        disparity.chance()
                    )?,
                    None => writeln!(text, "none differs from the others")?,
                }
            }
        }
        Ok(())
    }

    /// How a run came to its end that was to stop as soon as enough was known, in a sentence.
    pub(super) fn stop(&self, stopped: &Stopped) -> String {
        let Stopped { reason, samples, looks, intervals, .. } = stopped;
        let end = match reason {
            Some(reason) => format!("after {samples} of {} samples: {reason}", self.data.samples),
            None => format!("by no look before the last of {samples} samples"),
        };
        let case =
            |(case, ends): (&WorstCase, &[f64; 2])| format!("{} {}", case.name(), interval(*ends));
        let cases: Vec<_> = self.worst_case.iter().zip(intervals).map(case).collect();
        format!("{end}; worst cases, with 95 % for {looks} looks together: {}", cases.join(", "))
    }

    fn write_attacks(&self, text: &mut String) -> std::fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        for (index, case) in self.worst_case.iter().enumerate() {
            let attacks = self.attacks.iter().filter(|attack| attack.case == index);
            let norm = match &case.transformation {
                Some(transformation) => transformation.clone(),
                None => case.norm.map_or_else(String::new, |norm| norm.to_string()),
            };
            let eps = case.eps.map_or_else(String::new, number);
            for row in attacks {
                let Distances { mean, max, .. } = row.distance;
                rows.push([
                    norm.clone(),
                    eps.clone(),
                    self.name(row),
                    percent(row.robust_accuracy),
                    interval(row.interval),
                    percent(row.success_rate),
                    mean.map_or_else(|| "-".into(), number),
                    max.map_or_else(|| "-".into(), number),
                    format!(
                        "{:.1}{}",
                        row.queries.forward + row.queries.backward,
                        if row.shared { "*" } else { "" }
                    ),
                ]);
            }
            let mut worst: [String; HEAD.len()] = Default::default();
            worst[0] = norm;
            worst[1] = eps;
            worst[2] = "worst case".into();
            worst[3] = percent(case.robust_accuracy);
            worst[4] = interval(case.interval);
            rows.push(worst);
        }
        write_table(text, &rows, 3)
    }
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.1} %", 100.0 * share))
}

pub(super) fn interval([lower, upper]: [f64; 2]) -> String {
    format!("[{:.1}, {:.1}]", 100.0 * lower, 100.0 * upper)
}

/// A p-value.
pub(super) fn chance(p: f64) -> String {
    if p < 1e-4 { "<0.0001".into() } else { format!("{p:.4}") }
}

/// The p-value of a test, and whether it is a rough one.
pub(super) fn chance_by(p: f64, is_reliable: bool) -> String {
    let rough = if is_reliable { "" } else { " (few samples: a rough figure)" };
    chance(p) + rough
}

/// A name for a terminal, which obeys control characters.
pub(super) fn plain(name: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    name.chars().map(escaped).collect()
}

/// Four significant digits, without trailing zeros.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let text = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        let cases = [
            (0.0, "0"),
            (8.0 / 255.0, "0.03137"),
            (0.5, "0.5"),
            (3.0, "3"),
            (1234.5, "1234"),
            (123.45, "123.5"),
            (1e-7, "0.0000001"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
