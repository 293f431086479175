//! Gates as text: `worst_case.linf@8/255 >= 0.40`.

use std::fmt;
use std::str::FromStr;

use super::comparison::Comparison;
use super::gate::Gate;
use super::record::{Report, WorstCase};
use super::text::number;
use crate::error::{Error, Result};
use crate::norm::Norm;
use crate::parameters::unknown;
use crate::threat::{Budget, parse_number};

/// What a release depends on: an accuracy that must be reached, or a drop that must not be exceeded.
///
/// | gate | holds when |
/// |---|---|
/// | `clean >= 0.90` | the accuracy without an attack is at least that |
/// | `worst_case >= 0.40` | the worst-case robust accuracy is, at the largest budget of every norm, and under every transformation |
/// | `worst_case.linf >= 0.40` | it is at the largest budget of this norm |
/// | `worst_case.linf@8/255 >= 0.40` | it is at this budget |
/// | `per_class.min >= 0.2` | the robust accuracy of the worst class is, at the largest budget of every norm; `per_class.min.linf`, `per_class.min.linf@8/255` as above |
/// | `drop_from_baseline <= 0.02` | no accuracy, clean or in the worst case under a threat of both, is below the baseline's by more |
///
/// A share is a number from 0 to 1 or a percentage such as `40%`; one that is met exactly passes. Where several threats have the same norm and
/// budget, all must hold. What the report does not have fails, and so does what is not known.
///
/// # Example
/// ```
/// use ironbound::report::GateSpec;
///
/// let gate: GateSpec = "worst_case.linf@8/255 >= 40%".parse()?;
/// assert_eq!(gate.to_string(), "worst_case.linf@8/255 >= 40%");
/// let wrong = "worst_case.linf@8/255 > 0.4".parse::<GateSpec>().unwrap_err().to_string();
/// assert!(wrong.contains("expected a comparison by >= or <="));
/// # Ok::<(), ironbound::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GateSpec {
    name: String,
    subject: Subject,
    share: f64,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Subject {
    Clean,
    WorstCase(Place),
    WorstClass(Place),
    Drop,
}

/// Where a worst case is looked at: the largest budget where none is given, everywhere where there is no norm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Place {
    norm: Option<Norm>,
    eps: Option<f64>,
}

/// The subjects, as messages list them.
const SUBJECTS: [&str; 5] =
    ["clean", "worst_case", "worst_case.linf@8/255", "per_class.min", "drop_from_baseline"];

impl FromStr for GateSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let fault = |expected: String| Error::parameter("gate", text, expected);
        let sides = [">=", "<="].into_iter().find_map(|sign| Some((sign, text.split_once(sign)?)));
        let Some((sign, (subject, share))) = sides else {
            let expected =
                "expected a comparison by >= or <=, such as worst_case.linf@8/255 >= 0.40";
            return Err(fault(expected.into()));
        };
        let (subject, share) = (subject.trim(), share.trim());
        let parsed: Subject = subject.parse()?;
        let expected = if parsed == Subject::Drop { "<=" } else { ">=" };
        if sign != expected {
            return Err(fault(format!("`{subject}` is compared by {expected}")));
        }
        let share = parse_share(share).ok_or_else(|| {
            fault(format!(
                "expected a share from 0 to 1 or a percentage after {sign}, such as 0.4 or 40%"
            ))
        })?;
        Ok(Self { name: text.into(), subject: parsed, share })
    }
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let place = |rest: &str| match rest.strip_prefix('.') {
            Some(place) => place.parse(),
            None if rest.is_empty() => Ok(Place::default()),
            None => Err(unknown("gate", text, &SUBJECTS)),
        };
        if let Some(rest) = text.strip_prefix("worst_case") {
            return place(rest).map(Self::WorstCase);
        }
        if let Some(rest) = text.strip_prefix("per_class.min") {
            return place(rest).map(Self::WorstClass);
        }
        match text {
            "clean" => Ok(Self::Clean),
            "drop_from_baseline" => Ok(Self::Drop),
            _ => Err(unknown("gate", text, &SUBJECTS)),
        }
    }
}

impl FromStr for Place {
    type Err = Error;

    /// Reads "linf" and "linf@8/255".
    fn from_str(text: &str) -> Result<Self> {
        let (norm, eps) = match text.split_once('@') {
            Some((norm, eps)) => (norm, Some(eps.trim().parse::<Budget>()?.largest())),
            None => (text, None),
        };
        Ok(Self { norm: Some(norm.trim().parse()?), eps })
    }
}

/// "0.4", "2/5" and "40%".
fn parse_share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => parse_number(percent)? / 100.0,
        None => parse_number(text)?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

impl fmt::Display for GateSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl GateSpec {
    /// As `worst_case >= least`.
    #[must_use]
    pub fn worst_case(least: f64) -> Self {
        let name = format!("worst_case >= {least}");
        Self { name, subject: Subject::WorstCase(Place::default()), share: least }
    }

    /// As `drop_from_baseline <= most`.
    #[must_use]
    pub fn drop_from_baseline(most: f64) -> Self {
        let name = format!("drop_from_baseline <= {most}");
        Self { name, subject: Subject::Drop, share: most }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Whether it takes a baseline.
    #[must_use]
    pub fn needs_baseline(&self) -> bool {
        self.subject == Subject::Drop
    }

    /// Whether it holds of a report, and of its comparison with the baseline, if it has one. A comparison that could not be made fails
    /// with the reason.
    #[must_use]
    pub fn judge(&self, report: &Report, comparison: Option<&Result<Comparison>>) -> Gate {
        let failure = match self.subject {
            Subject::Clean => self.low("clean accuracy", report.clean.accuracy),
            Subject::WorstCase(place) => at(report, place, |case| {
                self.low(
                    &format!("worst-case robust accuracy within {}", case.name()),
                    case.robust_accuracy,
                )
            }),
            Subject::WorstClass(place) => at(report, place, |case| self.low_class(case)),
            Subject::Drop => match comparison {
                Some(Ok(comparison)) => comparison.drop_beyond(self.share),
                Some(Err(error)) => Some(error.one_line()),
                None => Some("there is no baseline to compare with".into()),
            },
        };
        Gate { name: self.name.clone(), failure }
    }

    /// What is amiss, if the accuracy is below the share or not known.
    fn low(&self, what: &str, accuracy: Option<f64>) -> Option<String> {
        let Some(accuracy) = accuracy else { return Some(format!("{what} is not known")) };
        // A share such as 56.6 % has no exact representation: one that is met exactly passes.
        (accuracy < self.share - 1e-12).then(|| {
            format!("{what} is {:.2} %, below {:.2} %", 100.0 * accuracy, 100.0 * self.share)
        })
    }

    fn low_class(&self, case: &WorstCase) -> Option<String> {
        if case.classes.is_empty() {
            return Some(format!("within {}, there are no classes to tell apart", case.name()));
        }
        let accuracy = |row: &super::ClassRow| row.robust_accuracy.unwrap_or(-1.0);
        let worst = case.classes.iter().min_by(|a, b| accuracy(a).total_cmp(&accuracy(b)))?;
        let what = format!("robust accuracy of class {} within {}", worst.class, case.name());
        self.low(&what, worst.robust_accuracy)
    }
}

/// What is amiss at a place, if anything is, or what is not there.
fn at(
    report: &Report,
    place: Place,
    amiss: impl Fn(&WorstCase) -> Option<String>,
) -> Option<String> {
    match place.cases(report) {
        Ok(cases) => cases.into_iter().find_map(amiss),
        Err(absent) => Some(absent),
    }
}

impl Place {
    fn cases(self, report: &Report) -> Result<Vec<&WorstCase>, String> {
        if let Self { norm: Some(norm), eps: Some(eps) } = self {
            return report.cases_within(norm, eps);
        }
        let is_asked = |case: &&WorstCase| self.norm.is_none() || case.norm == self.norm;
        // A transformation has no budget, and is its own largest one.
        let is_largest = |case: &&WorstCase| {
            let larger = |other: &WorstCase| other.norm == case.norm && other.eps > case.eps;
            case.norm.is_none() || !report.worst_case.iter().any(larger)
        };
        let cases: Vec<_> = report.worst_case.iter().filter(is_asked).filter(is_largest).collect();
        if cases.is_empty() {
            let norm = self.norm.map_or_else(String::new, |norm| format!(" in {norm}"));
            return Err(report.without(&format!("threat{norm}")));
        }
        Ok(cases)
    }
}

impl Report {
    /// Every threat of that norm and budget.
    ///
    /// # Errors
    /// The message, when there is none.
    pub(super) fn cases_within(&self, norm: Norm, eps: f64) -> Result<Vec<&WorstCase>, String> {
        // Two ways to write a budget, such as 8/255, differ by a rounding error.
        let is_same = |other: f64| (other - eps).abs() <= 1e-9 * eps.abs();
        let is_asked = |case: &&WorstCase| case.norm == Some(norm) && case.eps.is_some_and(is_same);
        let asked: Vec<_> = self.worst_case.iter().filter(is_asked).collect();
        if asked.is_empty() {
            return Err(self.without(&format!("threat {norm} {}", number(eps))));
        }
        Ok(asked)
    }

    fn without(&self, what: &str) -> String {
        let names: Vec<_> = self.worst_case.iter().map(WorstCase::name).collect();
        let names = if names.is_empty() { "none".into() } else { names.join(", ") };
        format!("no {what} in the report, which has: {names}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        text.parse::<GateSpec>().unwrap_err().to_string()
    }

    #[test]
    fn gates_are_read() {
        let place = |norm, eps| Place { norm: Some(norm), eps };
        for (text, subject, share) in [
            ("clean >= 0.90", Subject::Clean, 0.9),
            ("clean>=90%", Subject::Clean, 0.9),
            (" worst_case  >=  1/2 ", Subject::WorstCase(Place::default()), 0.5),
            ("worst_case.l2 >= 0", Subject::WorstCase(place(Norm::L2, None)), 0.0),
            (
                "worst_case.linf@8/255 >= 0.40",
                Subject::WorstCase(place(Norm::Linf, Some(8.0 / 255.0))),
                0.4,
            ),
            ("worst_case.l1 @ 12.5 >= 1", Subject::WorstCase(place(Norm::L1, Some(12.5))), 1.0),
            ("per_class.min >= 20 %", Subject::WorstClass(Place::default()), 0.2),
            (
                "per_class.min.linf@0.1 >= 0.2",
                Subject::WorstClass(place(Norm::Linf, Some(0.1))),
                0.2,
            ),
            ("drop_from_baseline <= 0.02", Subject::Drop, 0.02),
        ] {
            let gate: GateSpec = text.parse().unwrap();
            assert_eq!((gate.subject, gate.share), (subject, share), "{text}");
            assert_eq!(gate.to_string(), text.trim());
            assert_eq!(gate.needs_baseline(), subject == Subject::Drop);
        }
    }

    #[test]
    fn wrong_gates_say_what_was_expected() {
        for (text, part) in [
            ("", ">= or <="),
            ("clean", ">= or <="),
            ("clean > 0.9", ">= or <="),
            ("clean = 0.9", ">= or <="),
            ("clean <= 0.9", "`clean` is compared by >="),
            ("drop_from_baseline >= 0.1", "`drop_from_baseline` is compared by <="),
            ("clean >= 90", "a share from 0 to 1"),
            ("clean >= -1", "a share from 0 to 1"),
            ("clean >= much", "a share from 0 to 1"),
            ("clean >= 0.9 >= 0.8", "a share from 0 to 1"),
            ("clean >= nan", "a share from 0 to 1"),
            ("clean >=", "a share from 0 to 1"),
            ("robust >= 0.9", "unknown gate `robust`, expected one of `clean`, `worst_case`"),
            ("worst_cases >= 0.9", "unknown gate `worst_cases`"),
            ("per_class >= 0.9", "unknown gate `per_class`"),
            ("per_class.max >= 0.9", "unknown gate `per_class.max`"),
            ("worst_case. >= 0.9", "unknown norm ``"),
            ("worst_case.l7 >= 0.9", "unknown norm `l7`"),
            ("worst_case.linf@x >= 0.9", "`eps` is x"),
            ("worst_case.linf@-1 >= 0.9", "`eps` is -1"),
        ] {
            assert!(fault(text).contains(part), "{text}: {}", fault(text));
        }
    }
}
