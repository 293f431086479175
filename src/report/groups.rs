//! Robust accuracy group by group.

use serde::{Deserialize, Serialize};

use super::parts::{Part, tested};
use super::text::chance_by;
use crate::data::Grouping;
use crate::evaluate::Fate;

/// The groups that a column of the data set makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupTable {
    /// The column.
    pub column: String,
    /// One entry per value that occurs among the samples.
    pub groups: Vec<GroupRow>,
    /// Whether robust accuracy differs between them; null when there is one only, and when all samples or none are robust.
    pub disparity: Option<GroupDisparity>,
}

/// The samples with one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRow {
    /// The value.
    pub group: String,
    /// Finished samples with it.
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

/// Whether robust accuracy differs between groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupDisparity {
    /// The group with the lowest robust accuracy; the first of equals.
    pub worst_group: String,
    /// Pearson's chi-squared statistic of homogeneity.
    pub statistic: f64,
    /// How likely one at least as large is, were all groups alike.
    pub p: f64,
    /// Whether the test can be relied on: every expected count is 5 or more.
    pub reliable: bool,
}

impl GroupTable {
    pub(super) fn new(grouping: &Grouping, fates: &[Fate], correct: &[bool]) -> Self {
        let row = |(value, group): (usize, &String)| {
            let Part { samples, correct, robust, robust_accuracy, interval } =
                Part::of(fates, correct, |at| grouping.of[at] == value);
            let group = group.clone();
            GroupRow { group, samples, correct, robust, robust_accuracy, interval }
        };
        let values = grouping.values.iter().enumerate();
        let groups: Vec<_> =
            values.filter(|(value, _)| grouping.of.contains(value)).map(row).collect();
        let disparity = tested(groups.iter().map(|row| (row.robust, row.samples)));
        let disparity = disparity.map(|(worst, found)| GroupDisparity {
            worst_group: groups[worst].group.clone(),
            statistic: found.statistic,
            p: found.p,
            reliable: found.reliable,
        });
        Self { column: grouping.column.clone(), groups, disparity }
    }

    /// The group with the lowest robust accuracy, and the test that tells it apart.
    pub(super) fn worst_group(&self) -> Option<(&GroupRow, &GroupDisparity)> {
        let disparity = self.disparity.as_ref()?;
        let worst = self.groups.iter().find(|row| row.group == disparity.worst_group)?;
        Some((worst, disparity))
    }
}

impl GroupDisparity {
    /// The p-value, and whether it is a rough one.
    pub(super) fn chance(&self) -> String {
        chance_by(self.p, self.reliable)
    }
}
