//! Robust accuracy class by class.

use serde::{Deserialize, Serialize};

use super::parts::{Part, tested};
use super::record::WorstCase;
use super::text::chance_by;
use crate::evaluate::Fate;

/// The samples of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRow {
    /// The true class.
    pub class: usize,
    /// Finished samples of it.
    pub samples: usize,
    /// How many of them are classified correctly without an attack.
    pub correct: usize,
    /// How many are robust.
    pub robust: usize,
    /// Robust / samples; null without a finished sample.
    pub robust_accuracy: Option<f64>,
    /// Its 95 % Wilson interval.
    pub interval: [f64; 2],
}

/// Whether robust accuracy differs between classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassDisparity {
    /// The class with the lowest robust accuracy; the first of equals.
    pub worst_class: usize,
    /// Pearson's chi-squared statistic of homogeneity.
    pub statistic: f64,
    /// How likely one at least as large is, were all classes alike.
    pub p: f64,
    /// Whether the test can be relied on: every expected count is 5 or more.
    pub reliable: bool,
}

impl WorstCase {
    /// The class with the lowest robust accuracy, and the test that tells it apart.
    pub(super) fn worst_class(&self) -> Option<(&ClassRow, &ClassDisparity)> {
        let disparity = self.disparity.as_ref()?;
        let worst = self.classes.iter().find(|row| row.class == disparity.worst_class)?;
        Some((worst, disparity))
    }
}

impl ClassDisparity {
    /// The p-value, and whether it is a rough one.
    pub(super) fn chance(&self) -> String {
        chance_by(self.p, self.reliable)
    }
}

/// The rows of all classes that occur, ascending; none when only one does.
pub(super) fn classes(fates: &[Fate], labels: &[usize], correct: &[bool]) -> Vec<ClassRow> {
    let mut present = labels.to_vec();
    present.sort_unstable();
    present.dedup();
    if present.len() < 2 {
        return vec![];
    }
    let row = |class: usize| {
        let Part { samples, correct, robust, robust_accuracy, interval } =
            Part::of(fates, correct, |at| labels[at] == class);
        ClassRow { class, samples, correct, robust, robust_accuracy, interval }
    };
    present.into_iter().map(row).collect()
}

/// The test over these rows.
pub(super) fn class_disparity(rows: &[ClassRow]) -> Option<ClassDisparity> {
    let (worst, found) = tested(rows.iter().map(|row| (row.robust, row.samples)))?;
    let (statistic, p, reliable) = (found.statistic, found.p, found.reliable);
    Some(ClassDisparity { worst_class: rows[worst].class, statistic, p, reliable })
}
