//! Whether the adversarial points of a report still are: schema `ironbound/verification/1`.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{AttackRow, Broken, DataRecord, ModelRecord, Report};
use super::table::write_table;
use super::text::number;
use crate::attack::{AnyAttack, AttackSpec};
use crate::data::{AdversarialPoints, Dataset, json};
use crate::error::{Error, Result};
use crate::evaluate::{Claim, Verdict, verify};
use crate::model::{Classifier, ModelOptions};
use crate::norm::Norm;
use crate::objective::ObjectiveKind;
use crate::text::{short, written};

/// The name and version of the record's format.
pub const VERIFICATION_SCHEMA: &str = "ironbound/verification/1";

/// Every adversarial point that a run stored, judged again: is it within the threat, and does the model, run on it alone, take it for
/// what the report says?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// [`VERIFICATION_SCHEMA`].
    pub schema: String,
    /// The crate's version.
    pub ironbound: String,
    /// The report's model.
    pub model: ModelRecord,
    /// The report's data.
    pub data: DataRecord,
    /// The attacks of the report, in its order.
    pub rows: Vec<VerificationRow>,
    /// Every point that does not hold, and every one that is missing.
    pub faults: Vec<PointFault>,
}

/// The points of one attack under one threat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerificationRow {
    /// The attack's name, with the parameters that set it apart from others of that name.
    pub attack: String,
    /// The threat's norm; null for transformations.
    pub norm: Option<Norm>,
    /// The budget; null for transformations.
    pub eps: Option<f64>,
    /// What transformations may do, where they are the threat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<String>,
    /// Samples that the report calls broken.
    pub broken: usize,
    /// Points that are stored.
    pub stored: usize,
    /// Points that hold.
    pub hold: usize,
    /// Points outside the threat, or not where the recorded transformation leads to.
    pub outside: usize,
    /// Points that do not fool the model.
    pub not_fooled: usize,
    /// Points that are not as recorded in another way.
    pub other: usize,
    /// Broken samples without a point.
    pub missing: usize,
    /// Transformed points of an attack that is not in the table: whether their transformation leads there is not known.
    pub not_rendered: usize,
}

/// A point that does not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointFault {
    /// Its index in the file of points; null when it is missing there.
    pub point: Option<usize>,
    /// The index in the report's `attacks` that it is stored with.
    pub row: usize,
    /// The sample's index in the data.
    pub sample: usize,
    /// What is wrong.
    pub problem: String,
}

impl ModelRecord {
    /// How the model was loaded, and the objective of one that is no classifier.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it was no file, or had an objective of one's own.
    pub fn loading(&self) -> Result<(ModelOptions, Option<ObjectiveKind>)> {
        let mut options = self.options.clone();
        let fault =
            |value: &Value, expected: String| Error::parameter("model.options", value, expected);
        let objective = options.as_object_mut().and_then(|options| options.remove("objective"));
        let objective = match &objective {
            Some(name) => {
                Some(name.as_str().unwrap_or_default().parse().map_err(|error: Error| {
                    fault(name, format!("an objective of the table is needed: {error}"))
                })?)
            }
            None => None,
        };
        if options.is_null() {
            return Ok((ModelOptions::default(), objective));
        }
        let read = serde_json::from_value(options.clone());
        let options = read
            .map_err(|error| fault(&options, format!("expected those of a model file: {error}")))?;
        Ok((options, objective))
    }
}

impl Verification {
    /// Judges `points`, which were stored with `report`, on `model` and `data`, which must be the report's.
    ///
    /// # Errors
    /// [`Error::Parameter`] when model or data are others than the report's, or a point is of another shape; the model's errors
    /// when it cannot be run.
    pub fn new(
        report: &Report,
        points: &AdversarialPoints,
        model: &dyn Classifier,
        data: &Dataset,
    ) -> Result<Self> {
        let info = model.info();
        expect("model", (&info.path, &info.sha256), (&report.model.path, &report.model.sha256))?;
        expect("data", (data.path(), data.sha256()), (&report.data.path, &report.data.sha256))?;
        let attacks: Vec<_> = report.attacks.iter().map(attack).collect();
        let records: Vec<_> = (0..points.len()).map(|at| recorded(report, points, at)).collect();
        let mut claims = vec![];
        for (at, broken) in records.iter().enumerate() {
            let Some(broken) = broken else { continue };
            let row = points.row[at];
            let case = report.worst_case.get(report.attacks[row].case);
            let threat = case.and_then(|case| case.threat.as_ref()).ok_or_else(|| {
                let expected = "expected the whole threat: the report is of an earlier version";
                Error::parameter(
                    "worst_case",
                    format!("entry {}", report.attacks[row].case),
                    expected,
                )
            })?;
            let transform = attacks[row].as_ref().and_then(|attack| attack.transform());
            let change = transform.zip(broken.change.as_ref());
            let (sample, prediction) = (points.sample[at], points.prediction[at]);
            let (point, distance) = (points.point(at), broken.distance);
            claims.push(Claim { sample, threat, point, prediction, distance, change });
        }
        let mut verdicts = verify(model, data, report.seed, &claims)?.into_iter();
        let verdicts = records.iter().map(|broken| match broken {
            Some(_) => verdicts.next().unwrap_or(Verdict::NotRecorded),
            None => Verdict::NotRecorded,
        });
        let verdicts: Vec<_> = verdicts.collect();
        let is_rendered =
            |row: usize| attacks[row].as_ref().is_some_and(|a| a.transform().is_some());
        Ok(Self::of(report, points, &verdicts, is_rendered))
    }

    fn of(
        report: &Report,
        points: &AdversarialPoints,
        verdicts: &[Verdict],
        is_rendered: impl Fn(usize) -> bool,
    ) -> Self {
        let row = |(index, row): (usize, &AttackRow)| {
            let of = || verdicts.iter().zip(&points.row).filter(|(_, row)| **row == index);
            let count =
                |which: fn(&Verdict) -> bool| of().filter(|(verdict, _)| which(verdict)).count();
            let (stored, hold) = (of().count(), count(|verdict| *verdict == Verdict::Holds));
            let outside = count(|v| matches!(v, Verdict::Outside(_) | Verdict::OtherChange));
            let not_fooled = count(|v| matches!(v, Verdict::NotFooled(_)));
            let renders = row.transformation.is_none() || is_rendered(index);
            VerificationRow {
                attack: report.name(row),
                norm: row.norm,
                eps: row.eps,
                transformation: row.transformation.clone(),
                broken: row.broken.len(),
                stored,
                hold,
                outside,
                not_fooled,
                other: stored - hold - outside - not_fooled,
                missing: missing(index, row, points).count(),
                not_rendered: if renders { 0 } else { stored },
            }
        };
        let stored = verdicts.iter().enumerate().filter(|(_, verdict)| **verdict != Verdict::Holds);
        let stored = stored.map(|(at, verdict)| PointFault {
            point: Some(at),
            row: points.row[at],
            sample: points.sample[at],
            problem: problem(verdict, points.prediction[at]),
        });
        let missing = report.attacks.iter().enumerate().flat_map(|(index, row)| {
            missing(index, row, points).map(move |sample| PointFault {
                point: None,
                row: index,
                sample,
                problem: "no point is stored".into(),
            })
        });
        Self {
            schema: VERIFICATION_SCHEMA.into(),
            ironbound: env!("CARGO_PKG_VERSION").into(),
            model: report.model.clone(),
            data: report.data.clone(),
            rows: report.attacks.iter().enumerate().map(row).collect(),
            faults: stored.chain(missing).collect(),
        }
    }

    /// Whether every point holds, and none is missing.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
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

    /// The record as text: a table, then the first points that do not hold. It ends in a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        written(|text| self.write_text(text))
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "model   {} (sha256 {})", self.model.path, short(&self.model.sha256))?;
        writeln!(text, "data    {} (sha256 {})\n", self.data.path, short(&self.data.sha256))?;
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.rows.iter().map(VerificationRow::cells));
        write_table(text, &rows, 3)?;
        let unseen: usize = self.rows.iter().map(|row| row.not_rendered).sum();
        if unseen > 0 {
            writeln!(
                text,
                "{unseen} transformed points are of attacks that are not known here, and were not rendered again"
            )?;
        }
        let stored: usize = self.rows.iter().map(|row| row.stored).sum();
        if self.faults.is_empty() {
            return writeln!(text, "\nall {stored} points hold");
        }
        writeln!(
            text,
            "\n{} of {stored} stored points do not hold or are missing:",
            self.faults.len()
        )?;
        for PointFault { point, row, sample, problem } in self.faults.iter().take(SHOWN) {
            let attack = self.rows.get(*row).map_or("no attack", |row| &row.attack);
            let point = point.map_or_else(String::new, |point| format!("point {point}, "));
            writeln!(text, "  {point}row {row} ({attack}), sample {sample}: {problem}")?;
        }
        if self.faults.len() > SHOWN {
            writeln!(text, "  and {} more", self.faults.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// How many points that do not hold the text names.
const SHOWN: usize = 10;

const HEAD: [&str; 10] = [
    "norm",
    "eps",
    "attack",
    "broken",
    "stored",
    "hold",
    "outside",
    "not fooled",
    "other",
    "missing",
];

impl VerificationRow {
    fn cells(&self) -> [String; HEAD.len()] {
        let norm = self.norm.map(|norm| norm.to_string());
        let counts = [
            self.broken,
            self.stored,
            self.hold,
            self.outside,
            self.not_fooled,
            self.other,
            self.missing,
        ];
        let [broken, stored, hold, outside, not_fooled, other, missing] =
            counts.map(|n| n.to_string());
        [
            self.transformation.clone().or(norm).unwrap_or_default(),
            self.eps.map_or_else(String::new, number),
            self.attack.clone(),
            broken,
            stored,
            hold,
            outside,
            not_fooled,
            other,
            missing,
        ]
    }
}

/// Refuses a file with another SHA-256 than the report's.
fn expect(what: &str, found: (&str, &str), recorded: (&str, &str)) -> Result<()> {
    if found.1 == recorded.1 {
        return Ok(());
    }
    let of = |(path, sha256): (&str, &str)| format!("{path} (sha256 {})", short(sha256));
    Err(Error::parameter(what, of(found), format!("the report is about {}", of(recorded))))
}

/// An attack of the table, or the one that a transfer ran; none of one's own.
fn attack(row: &AttackRow) -> Option<AttackSpec> {
    let mut params = row.params.get("inner").unwrap_or(&row.params).clone();
    params.as_object_mut()?.entry("attack").or_insert_with(|| row.id.clone().into());
    serde_json::from_value(params).ok()
}

/// What the report has about a stored point, if the two agree.
fn recorded<'a>(report: &'a Report, points: &AdversarialPoints, at: usize) -> Option<&'a Broken> {
    let broken = &report.attacks.get(points.row[at])?.broken;
    let broken = broken.iter().find(|broken| broken.sample == points.sample[at])?;
    let (stored, distance) = (points.distance[at], broken.distance);
    let is_same =
        distance.is_none_or(|distance| (stored - distance).abs() <= 1e-9 * distance.abs());
    (is_same && broken.prediction == points.prediction[at]).then_some(broken)
}

/// Broken samples of a row without a point.
fn missing<'a>(
    index: usize,
    row: &'a AttackRow,
    points: &AdversarialPoints,
) -> impl Iterator<Item = usize> + use<'a> {
    let of = points.row.iter().zip(&points.sample).filter(|(row, _)| **row == index);
    let stored: BTreeSet<usize> = of.map(|(_, sample)| *sample).collect();
    row.broken.iter().map(|broken| broken.sample).filter(move |sample| !stored.contains(sample))
}

fn problem(verdict: &Verdict, recorded: usize) -> String {
    match verdict {
        Verdict::Holds => String::new(),
        Verdict::Outside(violation) => violation.to_string(),
        Verdict::OtherSize(size) => {
            format!("the perturbation's size is {size}, not what was recorded")
        }
        Verdict::OtherChange => "the recorded transformation leads to another point".into(),
        Verdict::NotFooled(class) => format!("the model takes it for class {class}: not fooled"),
        Verdict::OtherPrediction(class) => {
            format!("the model takes it for class {class}, recorded was {recorded}")
        }
        Verdict::NothingToBreak => {
            "there is nothing to break: the model is wrong without an attack".into()
        }
        Verdict::NotFinite => "the logits are not finite".into(),
        Verdict::NotRecorded => "the report has no such point".into(),
    }
}
