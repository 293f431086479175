//! Which attack broke which sample: how far attacks agree, and what broken samples are taken for.

use serde::{Deserialize, Serialize};

use super::record::Report;
use crate::evaluate::{Fate, Results, Row};
use crate::metrics::{Confusion, Paired, confusion};
use crate::threat::Threat;

/// Two attacks under one threat, over the samples that both were done with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Which of [`Report::attacks`] the first is.
    pub first: usize,
    /// Which the second is.
    pub second: usize,
    /// Samples that both broke.
    pub both: usize,
    /// Samples that only the first broke.
    pub only_first: usize,
    /// Samples that only the second broke.
    pub only_second: usize,
    /// Samples, classified correctly, that neither broke.
    pub neither: usize,
    /// both / (both + only first + only second): 1 where the two broke the same samples. Null when neither broke any.
    pub jaccard: Option<f64>,
}

/// Every pair of attacks under a threat, in the order of the rows.
pub(super) fn agreements(threat: &Threat, results: &Results) -> Vec<Agreement> {
    let rows: Vec<(usize, &Row)> =
        results.rows.iter().enumerate().filter(|(_, row)| row.threat == *threat).collect();
    let pair = |(first, a): (usize, &Row), (second, b): (usize, &Row)| {
        let broken = |fate: Fate| match fate {
            Fate::Broken => Some(true),
            Fate::Robust => Some(false),
            _ => None,
        };
        let outcome = |(a, b): (Fate, Fate)| Some((broken(a)?, broken(b)?));
        let Paired { both, lost, gained, neither } =
            Paired::of(a.fates().into_iter().zip(b.fates()).filter_map(outcome));
        let jaccard = Paired { both, lost, gained, neither }.jaccard();
        Agreement { first, second, both, only_first: lost, only_second: gained, neither, jaccard }
    };
    let pairs = rows.iter().enumerate();
    pairs
        .flat_map(|(at, first)| rows[at + 1..].iter().map(move |second| (*first, *second)))
        .map(|(first, second)| pair(first, second))
        .collect()
}

/// What the samples of each class are taken for under a threat: broken ones for what the first attack that broke them made of
/// them, others for what they are without an attack. Empty when all labels are one: so it is for objectives.
pub(super) fn confusion_under(
    threat: &Threat,
    results: &Results,
    fates: &[Fate],
) -> Vec<Confusion> {
    let labels = &results.labels;
    if labels.windows(2).all(|pair| pair[0] == pair[1]) {
        return vec![];
    }
    let rows = || results.rows.iter().filter(|row| row.threat == *threat);
    let taken = |(index, fate): (usize, &Fate)| {
        let prediction = match fate {
            Fate::Broken => rows()
                .filter(|row| row.attempts[index].fate == Fate::Broken)
                .find_map(|row| row.attempts[index].adversarial.as_ref())
                .map(|found| found.prediction),
            Fate::Unreached => None,
            _ => results.clean[index].prediction,
        };
        Some((labels[index], prediction?))
    };
    confusion(fates.iter().enumerate().filter_map(taken))
}

impl Report {
    /// The names of two attacks.
    pub(super) fn names(&self, pair: &Agreement) -> Option<[String; 2]> {
        let name = |at: usize| self.attacks.get(at).map(|row| self.name(row));
        Some([name(pair.first)?, name(pair.second)?])
    }
}
