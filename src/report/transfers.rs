//! What fools one model may fool another: schema `ironbound/transfers/1`.

use std::fmt::{self, Write as _};
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::build::{eps, goal, norm};
use super::record::{DataRecord, ModelRecord};
use super::table::write_table;
use super::text::{number, percent};
use crate::data::{Dataset, json};
use crate::error::{Error, Result};
use crate::evaluate::{Fate, Results};
use crate::goal::argmax;
use crate::metrics::wilson95;
use crate::model::{Batch, Classifier, expect_len};
use crate::norm::Norm;
use crate::text::{short, written};
use crate::threat::Threat;

/// The name and version of the record's format.
pub const TRANSFERS_SCHEMA: &str = "ironbound/transfers/1";

/// Of several models, evaluated on the same data, which share of the adversarial points of each fools each.
///
/// # Example
/// ```
/// use ironbound::attack::Pgd;
/// use ironbound::report::Transfers;
/// use ironbound::{Dataset, Evaluation, Model, Norm, Threat};
///
/// # fn main() -> ironbound::Result<()> {
/// let data = Dataset::from_npz("examples/assets/digits_test.npz")?.subset(0, Some(12))?;
/// let models = ["digits_cnn", "digits_cnn_plain"]
///     .map(|name| Model::load(format!("examples/assets/{name}.onnx")));
/// let [robust, plain] = models;
/// let (robust, plain) = (robust?, plain?);
/// let run = |model| {
///     let pgd = Pgd { steps: 10, ..Pgd::default() };
///     Evaluation::new(model, &data).threat(Threat::new(Norm::Linf, 0.2)).attack(pgd).run()
/// };
/// let (first, second) = (run(&robust)?, run(&plain)?);
/// let transfers = Transfers::new(&[(&robust, &first), (&plain, &second)], &data)?;
/// print!("{}", transfers.to_text());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfers {
    /// [`TRANSFERS_SCHEMA`].
    pub schema: String,
    /// The crate's version.
    pub ironbound: String,
    /// The models, in the order given.
    pub models: Vec<ModelRecord>,
    /// The data; `samples` and `offset` are those of the first model's run.
    pub data: DataRecord,
    /// One entry per threat that any of the models was attacked under.
    pub threats: Vec<TransferCase>,
}

/// The points found under one threat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferCase {
    /// The threat's norm; null for transformations.
    pub norm: Option<Norm>,
    /// The budget; null for transformations.
    pub eps: Option<f64>,
    /// What transformations may do, where they are the threat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<String>,
    /// The attacker's goal.
    pub goal: String,
    /// A row per model whose points they are, a cell per model that they are tried on, both in the order of `models`.
    pub cells: Vec<Vec<TransferCell>>,
}

/// The points of one model, tried on another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferCell {
    /// The first model's broken samples that the second classifies correctly without an attack: one point each, that of the
    /// first attack that broke it.
    pub points: usize,
    /// How many of the points the second takes for another class than the sample's.
    pub fooled: usize,
    /// fooled / points; null without a point. On the model itself it is 1.
    pub share: Option<f64>,
    /// Its 95 % Wilson interval.
    pub interval: [f64; 2],
}

/// A point and the place of its sample.
struct Point<'a> {
    sample: usize,
    label: usize,
    values: &'a [f32],
}

impl Transfers {
    /// Runs every model on the points that fooled each.
    ///
    /// Each model comes with its results on `data`. The models take samples of one shape, but for axes of length one, in the
    /// units of the data. A point with non-finite logits counts as one that does not fool.
    ///
    /// # Errors
    /// [`Error::Parameter`] when results are of another model or other data, or models take samples of different shapes; the
    /// models' errors when they cannot be run.
    pub fn new(models: &[(&dyn Classifier, &Results)], data: &Dataset) -> Result<Self> {
        let Some((first, results)) = models.first() else {
            return Err(Error::parameter("models", 0, "expected 1 or more"));
        };
        for (model, results) in models {
            expect_fit(*model, *first, results, data)?;
        }
        let mut threats: Vec<&Threat> = vec![];
        for row in models.iter().flat_map(|(_, results)| &results.rows) {
            if !threats.contains(&&row.threat) {
                threats.push(&row.threat);
            }
        }
        let case = |threat: &&Threat| -> Result<TransferCase> {
            let of = |(_, results): &(&dyn Classifier, &Results)| {
                let points = points(threat, results);
                models.iter().map(|(model, own)| cell(*model, own, data, &points)).collect()
            };
            Ok(TransferCase {
                norm: norm(threat),
                eps: eps(threat),
                transformation: threat.transformation.clone(),
                goal: goal(&threat.goal),
                cells: models.iter().map(of).collect::<Result<_>>()?,
            })
        };
        Ok(Self {
            schema: TRANSFERS_SCHEMA.into(),
            ironbound: env!("CARGO_PKG_VERSION").into(),
            models: models.iter().map(|(_, results)| (&results.model).into()).collect(),
            data: DataRecord::new(&results.data, &results.ids),
            threats: threats.iter().map(case).collect::<Result<_>>()?,
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

    /// The record as text: a matrix per threat, a row for the model whose points they are, a column for the model that they are
    /// tried on. It ends in a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        written(|text| self.write_text(text))
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        for (number, ModelRecord { path, sha256, .. }) in (1..).zip(&self.models) {
            writeln!(text, "model {number}  {path} (sha256 {})", short(sha256))?;
        }
        writeln!(text, "data     {} (sha256 {})", self.data.path, short(&self.data.sha256))?;
        for case in &self.threats {
            let name = case
                .transformation
                .clone()
                .or_else(|| Some(format!("{} {}", case.norm?, number(case.eps?))));
            let name = name.unwrap_or_default();
            writeln!(text, "\n{name}, {}: share of the points that fool", case.goal)?;
            let columns = (1..=self.models.len()).map(|number| format!("model {number}"));
            let mut rows: Vec<Vec<String>> =
                vec![std::iter::once("found on".to_owned()).chain(columns).collect()];
            for (number, cells) in (1..).zip(&case.cells) {
                let shares = cells.iter().map(|TransferCell { share, points, .. }| {
                    format!("{} of {points}", percent(*share))
                });
                rows.push(std::iter::once(format!("model {number}")).chain(shares).collect());
            }
            write_table(text, &rows, 1)?;
        }
        Ok(())
    }
}

/// Whether results are of this model and data, and points for one model are points for the other.
fn expect_fit(
    model: &dyn Classifier,
    first: &dyn Classifier,
    results: &Results,
    data: &Dataset,
) -> Result<()> {
    let info = model.info();
    let fault = |value: String, expected: String| Err(Error::parameter("models", value, expected));
    let name = |path: &str, sha256: &str| format!("{path} (sha256 {})", short(sha256));
    if results.model.sha256 != info.sha256 {
        let found = name(&results.model.path, &results.model.sha256);
        let expected = format!("expected results of {}", name(&info.path, &info.sha256));
        return fault(found, expected);
    }
    if results.data.sha256 != data.sha256() {
        let found = format!("on {}", name(&results.data.path, &results.data.sha256));
        let expected = format!("expected results on {}", name(data.path(), data.sha256()));
        return fault(found, expected);
    }
    let axes = |model: &dyn Classifier| -> Vec<usize> {
        model.info().shape.iter().copied().filter(|axis| *axis != 1).collect()
    };
    if axes(model) != axes(first) {
        let expected =
            format!("expected samples of shape {:?}, as the first's", first.info().shape);
        return fault(format!("{} with samples of shape {:?}", info.path, info.shape), expected);
    }
    Ok(())
}

/// The points that broke samples under a threat: of each sample that of the first attack.
fn points<'a>(threat: &Threat, results: &'a Results) -> Vec<Point<'a>> {
    let rows: Vec<_> = results.rows.iter().filter(|row| row.threat == *threat).collect();
    let point = |index: usize| {
        let broken = rows.iter().map(|row| &row.attempts[index]);
        let found = broken.filter(|attempt| attempt.fate == Fate::Broken);
        let found = found.filter_map(|attempt| attempt.adversarial.as_ref());
        // Streamed runs keep no points.
        let values = found.map(|found| &found.point).find(|point| !point.is_empty())?;
        Some(Point { sample: results.ids[index], label: results.labels[index], values })
    };
    (0..results.ids.len()).filter_map(point).collect()
}

/// Tries points on a model whose results on the clean samples are known.
fn cell(
    model: &dyn Classifier,
    own: &Results,
    data: &Dataset,
    points: &[Point<'_>],
) -> Result<TransferCell> {
    let right = |point: &&Point<'_>| {
        let place = own.ids.iter().position(|id| *id == point.sample);
        place.is_some_and(|place| own.clean[place].correct)
    };
    let tried: Vec<&Point<'_>> = points.iter().filter(right).collect();
    let fooled: Vec<bool> = data.bound_to(model, |model, _| {
        tried
            .par_iter()
            .map(|point| {
                let mut logits = vec![];
                let row = Batch { inputs: point.values, samples: &[point.sample] };
                model.logits_alone(row, &mut logits)?;
                expect_len(model, "logits", logits.len(), model.classes())?;
                let finite = logits.iter().all(|z| z.is_finite());
                Ok(finite && argmax(&logits) != point.label)
            })
            .collect()
    })?;
    let (points, fooled) = (fooled.len(), fooled.into_iter().filter(|fooled| *fooled).count());
    let share = (points > 0).then(|| fooled as f64 / points as f64);
    Ok(TransferCell { points, fooled, share, interval: wilson95(fooled, points) })
}
