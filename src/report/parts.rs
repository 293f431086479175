//! Some of the samples, and whether one lot of them fares worse than others.

use crate::evaluate::Fate;
use crate::metrics::{Disparity, Group, Tally, disparity};

/// Some of the samples.
pub(super) struct Part {
    /// Finished ones.
    pub(super) samples: usize,
    pub(super) correct: usize,
    pub(super) robust: usize,
    pub(super) robust_accuracy: Option<f64>,
    pub(super) interval: [f64; 2],
}

impl Part {
    /// The samples that `is_member` picks by their place.
    pub(super) fn of(fates: &[Fate], correct: &[bool], is_member: impl Fn(usize) -> bool) -> Self {
        let members = || (0..fates.len()).filter(|&at| is_member(at));
        let tally = Tally::of(members().map(|at| fates[at]));
        Self {
            samples: tally.finished(),
            correct: members().filter(|&at| correct[at] && fates[at] != Fate::Unreached).count(),
            robust: tally.robust,
            robust_accuracy: tally.robust_accuracy(),
            interval: tally.interval(),
        }
    }
}

/// Which of these (robust ones, samples) has the lowest share, the first of equals, and the test whether they differ; none where
/// nothing can differ.
pub(super) fn tested(parts: impl Iterator<Item = (usize, usize)>) -> Option<(usize, Disparity)> {
    let parts: Vec<_> = parts.map(|(hits, samples)| Group { hits, samples }).collect();
    let found = disparity(&parts)?;
    let share = |part: &Group| part.hits as f64 / part.samples as f64;
    let known = parts.iter().enumerate().filter(|(_, part)| part.samples > 0);
    let (worst, _) = known.min_by(|a, b| share(a.1).total_cmp(&share(b.1)))?;
    Some((worst, found))
}
