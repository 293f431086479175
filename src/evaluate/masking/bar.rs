//! When one attack beats another by enough to be told.

use crate::binomial::tail;
use crate::evaluate::results::{Fate, Row};

/// How sure a difference between attacks of the same kind must be.
const SIGNIFICANCE: f64 = 0.05;

/// Whether one attack beats another: by more than 0.2 points of robust accuracy.
pub(super) fn beats(broken: usize, other: usize, samples: usize) -> bool {
    500 * broken.saturating_sub(other) > samples
}

/// Whether it is no accident that a row breaks more samples than another: an exact one-sided sign test over the samples
/// that they disagree on, at 5 %.
pub(super) fn surely(row: &Row, other: &Row) -> bool {
    let is_broken = |row: &Row| row.fates().into_iter().map(|fate| fate == Fate::Broken);
    let pairs: Vec<_> = is_broken(row).zip(is_broken(other)).filter(|(a, b)| a != b).collect();
    let won = pairs.iter().filter(|(ours, _)| *ours).count();
    tail(won, pairs.len(), 0.5) < SIGNIFICANCE
}
