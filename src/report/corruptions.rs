//! The record of errors on corrupted images: schema `ironbound/corruptions/1`.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::record::{DataRecord, ModelRecord};
use super::text::percent;
use crate::corruption::{Kind, ParameterSet, Severity};
use crate::data::json;
use crate::error::{Error, Result};
use crate::evaluate::CorruptionResults;
use crate::metrics::{corruption_error, mean_corruption_error, relative_corruption_error};
use crate::text::written;

/// The name and version of the record's format.
pub const CORRUPTIONS_SCHEMA: &str = "ironbound/corruptions/1";

/// Errors on corrupted images: shares of all samples, whether or not they are classified correctly as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorruptionReport {
    /// [`CORRUPTIONS_SCHEMA`].
    pub schema: String,
    /// The crate's version.
    pub ironbound: String,
    /// The run's seed.
    pub seed: u64,
    /// The model.
    pub model: ModelRecord,
    /// The data.
    pub data: DataRecord,
    /// For which size of image the parameters were.
    pub parameters: ParameterSet,
    /// The severities of every row.
    pub severities: Vec<Severity>,
    /// The error without a corruption.
    pub clean_error: f64,
    /// The errors under each kind.
    pub rows: Vec<CorruptionRow>,
    /// The mean over kinds of the mean error over severities: mCE without a baseline.
    pub mean_error: Option<f64>,
    /// The same of what the errors exceed the clean error by: relative mCE without a baseline.
    pub mean_rise: Option<f64>,
    /// The comparison with a baseline model; none when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// The errors under one kind of corruption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorruptionRow {
    /// The kind.
    pub kind: Kind,
    /// One error per severity.
    pub errors: Vec<f64>,
}

/// A comparison with a baseline model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The baseline model.
    pub model: ModelRecord,
    /// Mean corruption error; none when the baseline makes no error under some kind.
    pub mce: Option<f64>,
    /// Relative mean corruption error; none when the baseline's errors do not exceed its clean error under some kind.
    pub relative_mce: Option<f64>,
}

impl CorruptionReport {
    /// The record of `results`.
    #[must_use]
    pub fn new(results: &CorruptionResults) -> Self {
        let samples = results.ids.len();
        let share = |count: usize| count as f64 / samples.max(1) as f64;
        let row = |(kind, counts): &(Kind, Vec<usize>)| CorruptionRow {
            kind: *kind,
            errors: counts.iter().copied().map(share).collect(),
        };
        let rows: Vec<_> = results.rows.iter().map(row).collect();
        let clean_error = share(results.clean);
        let all = rows.iter().map(|row| &row.errors[..]);
        let rises = all.clone().map(|row| relative_corruption_error(row, clean_error, None));
        Self {
            schema: CORRUPTIONS_SCHEMA.into(),
            ironbound: env!("CARGO_PKG_VERSION").into(),
            seed: results.seed,
            model: (&results.model).into(),
            data: DataRecord::new(&results.data, &results.ids),
            parameters: results.parameters,
            severities: results.severities.clone(),
            clean_error,
            mean_error: mean_corruption_error(all.map(|row| corruption_error(row, None))),
            mean_rise: mean_corruption_error(rises),
            rows,
            baseline: None,
        }
    }

    /// The record with a comparison: with that of another model on the same data, under the same corruptions.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming what differs.
    pub fn against(self, baseline: &Self) -> Result<Self> {
        let kinds = |report: &Self| report.rows.iter().map(|row| row.kind).collect::<Vec<_>>();
        let differs = [
            ("data", self.data.sha256 != baseline.data.sha256),
            (
                "samples",
                (self.data.samples, self.data.offset)
                    != (baseline.data.samples, baseline.data.offset),
            ),
            ("kinds", kinds(&self) != kinds(baseline)),
            ("severities", self.severities != baseline.severities),
            ("parameters", self.parameters != baseline.parameters),
            ("seed", self.seed != baseline.seed),
        ];
        if let Some((what, _)) = differs.iter().find(|(_, differs)| *differs) {
            let expected = format!("it was run with other {what}; run it again with the same");
            return Err(Error::parameter("baseline", &baseline.model.path, expected));
        }
        let pairs = || self.rows.iter().zip(&baseline.rows);
        let mce = pairs().map(|(row, base)| corruption_error(&row.errors, Some(&base.errors)));
        let relative = pairs().map(|(row, base)| {
            let base = Some((&base.errors[..], baseline.clean_error));
            relative_corruption_error(&row.errors, self.clean_error, base)
        });
        let compared = Baseline {
            model: baseline.model.clone(),
            mce: mean_corruption_error(mce),
            relative_mce: mean_corruption_error(relative),
        };
        Ok(Self { baseline: Some(compared), ..self })
    }

    /// The record as text: a table of kinds by severities, then the means. It ends in a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        written(|text| self.write_text(text))
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "model   {} ({} classes)", self.model.path, self.model.classes)?;
        writeln!(text, "data    {} ({} samples)", self.data.path, self.data.samples)?;
        writeln!(text, "clean   {} error\n", percent(Some(self.clean_error)))?;
        write!(text, "{:<18}", "error at severity")?;
        for severity in &self.severities {
            write!(text, "{:>8}", severity.get())?;
        }
        writeln!(text, "{:>9}", "mean")?;
        for row in &self.rows {
            write!(text, "{:<18}", row.kind.name())?;
            for error in &row.errors {
                write!(text, "{:>8}", percent(Some(*error)))?;
            }
            writeln!(text, "{:>9}", percent(corruption_error(&row.errors, None)))?;
        }
        let (mean, rise) = (percent(self.mean_error), percent(self.mean_rise));
        writeln!(text, "\nmean corruption error {mean}, above the clean error by {rise}")?;
        if let Some(baseline) = &self.baseline {
            let (mce, relative) = (percent(baseline.mce), percent(baseline.relative_mce));
            writeln!(text, "against {}: mCE {mce}, relative mCE {relative}", baseline.model.path)?;
        }
        Ok(())
    }

    /// The record as JSON on one line. The same results give the same bytes.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::to_json(self)
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// [`Error::Data`] when the text is not JSON, or not of this version's schema; `file` names it in the message.
    pub fn from_json(text: &str, file: &str) -> Result<Self> {
        let schema: (_, fn(&Self) -> &str) = (CORRUPTIONS_SCHEMA, |record| &record.schema);
        json::from_json(text, ("a report on corruptions", file), schema)
    }

    /// Writes the record to `path`, all of it or none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        json::save(path.as_ref(), &self.to_json())
    }
}
