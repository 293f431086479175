//! Two reports on the same data, sample by sample: schema `ironbound/comparison/1`.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::record::{DataRecord, ModelRecord, Report, WorstCase};
use super::table::write_table;
use super::text::{chance, interval, number, percent};
use crate::data::json;
use crate::error::{Error, Result};
use crate::metrics::Paired;
use crate::norm::Norm;
use crate::text::{short, written};

/// The name and version of the record's format.
pub const COMPARISON_SCHEMA: &str = "ironbound/comparison/1";

/// A model beside a baseline on the same samples: clean, and in the worst case under every threat that both reports have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// [`COMPARISON_SCHEMA`].
    pub schema: String,
    /// The crate's version.
    pub ironbound: String,
    /// The baseline's model.
    pub baseline: ModelRecord,
    /// The model that is compared with it.
    pub model: ModelRecord,
    /// The data; `samples` and `offset` are of the samples that both reports have.
    pub data: DataRecord,
    /// Without an attack, then the threats in the order of the model's report.
    pub rows: Vec<ComparisonRow>,
}

/// A model beside a baseline, without an attack or in the worst case under one threat.
///
/// Samples that either run left unfinished are not counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonRow {
    /// The threat's norm; null without an attack, and for transformations.
    pub norm: Option<Norm>,
    /// The budget; null without an attack, and for transformations.
    pub eps: Option<f64>,
    /// What transformations may do, where they are the threat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<String>,
    /// The attacker's goal; empty without an attack.
    pub goal: String,
    /// Samples that both runs finished.
    pub samples: usize,
    /// The baseline's accuracy on them; null where there is none.
    pub baseline: Option<f64>,
    /// The model's accuracy on them.
    pub model: Option<f64>,
    /// How much higher the model's is.
    pub difference: Option<f64>,
    /// The 95 % bootstrap interval of the difference.
    pub interval: [f64; 2],
    /// The p-value of McNemar's exact test, two-sided.
    pub p: f64,
    /// Samples (indices in the file) that the baseline withstands and the model does not.
    pub newly_broken: Vec<usize>,
    /// Samples (indices in the file) that the model withstands and the baseline does not.
    pub newly_fixed: Vec<usize>,
    /// Whether the two were attacked with other attacks, settings or seeds: then a difference may be theirs.
    pub other_attacks: bool,
}

impl Report {
    /// Whether this report, as a baseline, is about the data with this hash; `path` names them in the message.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is about others.
    pub fn expect_data(&self, path: &str, sha256: &str) -> Result<()> {
        if self.data.sha256 == sha256 {
            return Ok(());
        }
        let of = |path: &str, sha256: &str| format!("{path} (sha256 {})", short(sha256));
        let expected =
            format!("it was run on other data than {}; run both on one file", of(path, sha256));
        Err(Error::parameter("baseline", of(&self.data.path, &self.data.sha256), expected))
    }
}

impl Comparison {
    /// Compares `report` with `baseline`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the two are not about the same data, or have no sample or no threat in common.
    pub fn new(report: &Report, baseline: &Report) -> Result<Self> {
        let (data, other) = (&report.data, &baseline.data);
        let fault = |value: String, expected: &str| Error::parameter("baseline", value, expected);
        baseline.expect_data(&data.path, &data.sha256)?;
        let end = |data: &DataRecord| data.offset + data.samples;
        let ids = data.offset.max(other.offset)..end(data).min(end(other));
        if ids.is_empty() {
            let value = format!("of samples {} to {}", other.offset, end(other));
            return Err(fault(value, "the two reports have no sample in common"));
        }
        let clean = [report, baseline].map(|of| Side {
            offset: of.data.offset,
            held: &of.clean.correct,
            unreached: &of.clean.unreached,
        });
        let mut rows = vec![Row::default().compare(clean, &ids)];
        for case in &report.worst_case {
            let Some(same) = baseline.worst_case.iter().find(|same| is_same(case, same)) else {
                continue;
            };
            let sides = [(report, case), (baseline, same)];
            let attacks = sides.map(|(report, case)| attacks(report, case));
            let row = Row {
                norm: case.norm,
                eps: case.eps,
                transformation: case.transformation.clone(),
                goal: case.goal.clone(),
                other_attacks: attacks[0] != attacks[1] || report.seed != baseline.seed,
            };
            let sides = sides.map(|(of, case)| Side {
                offset: of.data.offset,
                held: &case.robust,
                unreached: &case.unreached,
            });
            rows.push(row.compare(sides, &ids));
        }
        if rows.len() == 1 && !report.worst_case.is_empty() {
            let of = |report: &Report| {
                let threats = report.worst_case.iter();
                threats.map(WorstCase::name).collect::<Vec<_>>().join(", ")
            };
            let expected = format!(
                "no threat in common with {}: norm, budget, goal, bounds, mask and domain must be the same",
                of(report)
            );
            return Err(fault(of(baseline), &expected));
        }
        Ok(Self {
            schema: COMPARISON_SCHEMA.into(),
            ironbound: env!("CARGO_PKG_VERSION").into(),
            baseline: baseline.model.clone(),
            model: report.model.clone(),
            data: DataRecord { samples: ids.len(), offset: ids.start, ..data.clone() },
            rows,
        })
    }

    /// How far the accuracy fell at the most, clean or under a threat, as a share of the samples: 0 where it fell nowhere.
    #[must_use]
    pub fn largest_drop(&self) -> f64 {
        self.rows.iter().filter_map(|row| row.difference).fold(0.0, |most, by| most.max(-by))
    }

    /// What fell by more than `most`, in words, if anything did. An accuracy that is not known fell by all.
    #[must_use]
    pub fn drop_beyond(&self, most: f64) -> Option<String> {
        self.rows.iter().find_map(|row| {
            let fell = row.difference.map_or(1.0, |by| -by);
            // A share such as 2 % has no exact representation: one that is met exactly passes.
            (fell > most + 1e-12).then(|| {
                let of = match (row.norm.zip(row.eps), &row.transformation) {
                    (Some((norm, eps)), _) => {
                        format!("worst-case robust accuracy within {norm} {}", number(eps))
                    }
                    (None, Some(ranges)) => format!("worst-case robust accuracy within {ranges}"),
                    (None, None) => "clean accuracy".into(),
                };
                let newly = row.newly_broken.len();
                format!(
                    "{of} fell by {:.2} points, more than {:.2}; {newly} samples are newly broken",
                    100.0 * fell,
                    100.0 * most
                )
            })
        })
    }

    /// The record as JSON on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::to_json(self)
    }

    /// Writes the record to `path`, all of it or none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        json::save(path.as_ref(), &self.to_json())
    }

    /// The record as text: who is compared, then a table. It ends in a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        written(|text| self.write_text(text))
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        for (name, model) in [("baseline", &self.baseline), ("model", &self.model)] {
            writeln!(text, "{name:<9} {} (sha256 {})", model.path, short(&model.sha256))?;
        }
        let DataRecord { path, samples, offset, .. } = &self.data;
        writeln!(text, "data      {path} ({samples} samples in common, from {offset})\n")?;
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.rows.iter().map(ComparisonRow::cells));
        write_table(text, &rows, 2)?;
        if self.rows.iter().any(|row| row.other_attacks) {
            writeln!(text, "* attacked with other attacks, settings or seeds")?;
        }
        Ok(())
    }
}

const HEAD: [&str; 9] = [
    "norm",
    "eps",
    "baseline",
    "model",
    "change",
    "95 % interval",
    "p",
    "newly broken",
    "newly fixed",
];

impl ComparisonRow {
    /// "clean", the norm, or the transformation.
    fn name(&self) -> String {
        let norm = self.norm.map(|norm| norm.to_string());
        self.transformation.clone().or(norm).unwrap_or_else(|| "clean".into())
    }

    fn cells(&self) -> [String; HEAD.len()] {
        [
            self.name(),
            self.eps.map_or_else(String::new, number),
            percent(self.baseline),
            percent(self.model),
            self.difference.map_or_else(|| "-".into(), |by| format!("{:+.1}", 100.0 * by)),
            interval(self.interval),
            chance(self.p) + if self.other_attacks { "*" } else { "" },
            self.newly_broken.len().to_string(),
            self.newly_fixed.len().to_string(),
        ]
    }
}

/// Which samples of one report held.
struct Side<'a> {
    offset: usize,
    held: &'a [bool],
    unreached: &'a [usize],
}

impl Side<'_> {
    /// Whether a sample (its index in the file) held; none when it was not finished.
    fn of(&self, id: usize) -> Option<bool> {
        let held = *self.held.get(id.checked_sub(self.offset)?)?;
        (!self.unreached.contains(&id)).then_some(held)
    }
}

/// What a row is of; of no attack, by default.
#[derive(Default)]
struct Row {
    norm: Option<Norm>,
    eps: Option<f64>,
    transformation: Option<String>,
    goal: String,
    other_attacks: bool,
}

impl Row {
    fn compare(self, [model, baseline]: [Side<'_>; 2], ids: &Range<usize>) -> ComparisonRow {
        let outcome = |id: usize| Some((id, (baseline.of(id)?, model.of(id)?)));
        let outcomes: Vec<_> = ids.clone().filter_map(outcome).collect();
        let which = |kind: (bool, bool)| {
            let of = outcomes.iter().filter(|(_, outcome)| *outcome == kind);
            of.map(|(id, _)| *id).collect()
        };
        let paired = Paired::of(outcomes.iter().map(|(_, outcome)| *outcome));
        let samples = paired.samples();
        let share = |held: usize| (samples > 0).then(|| held as f64 / samples as f64);
        ComparisonRow {
            norm: self.norm,
            eps: self.eps,
            transformation: self.transformation,
            goal: self.goal,
            samples,
            baseline: share(paired.both + paired.lost),
            model: share(paired.both + paired.gained),
            difference: paired.difference(),
            interval: paired.interval95(0),
            p: paired.mcnemar(),
            newly_broken: which((true, false)),
            newly_fixed: which((false, true)),
            other_attacks: self.other_attacks,
        }
    }
}

/// Whether two reports are about the same threat.
fn is_same(case: &WorstCase, other: &WorstCase) -> bool {
    let name = |case: &WorstCase| (case.norm, case.eps, case.transformation.clone());
    let threats = case.threat.as_ref().zip(other.threat.as_ref());
    name(case) == name(other) && case.goal == other.goal && threats.is_none_or(|(a, b)| a == b)
}

/// The attacks of a worst case, with their settings.
fn attacks<'a>(report: &'a Report, case: &WorstCase) -> Vec<(&'a str, &'a serde_json::Value)> {
    let index = report.worst_case.iter().position(|of| std::ptr::eq(of, case));
    let rows = report.attacks.iter().filter(|row| Some(row.case) == index);
    rows.map(|row| (&*row.id, &row.params)).collect()
}
