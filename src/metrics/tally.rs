//! Robust accuracy, success rate and worst case from per-sample fates.

use super::interval::wilson95;
use crate::evaluate::Fate;

/// How many samples met each [`Fate`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Misclassified without an attack.
    pub wrong: usize,
    /// Without finite logits at the clean input.
    pub unusable: usize,
    /// Attacked and not broken.
    pub robust: usize,
    /// Broken.
    pub broken: usize,
    /// The attack failed with an error.
    pub failed: usize,
    /// Not finished when the run was interrupted.
    pub unreached: usize,
}

impl Tally {
    /// Counts.
    #[must_use]
    pub fn of(fates: impl IntoIterator<Item = Fate>) -> Self {
        let mut tally = Self::default();
        for fate in fates {
            *match fate {
                Fate::Wrong => &mut tally.wrong,
                Fate::Unusable => &mut tally.unusable,
                Fate::Robust => &mut tally.robust,
                Fate::Broken => &mut tally.broken,
                Fate::Failed => &mut tally.failed,
                Fate::Unreached => &mut tally.unreached,
            } += 1;
        }
        tally
    }

    /// Correctly classified samples that the attack was done with.
    #[must_use]
    pub fn attacked(&self) -> usize {
        self.robust + self.broken + self.failed
    }

    /// The samples that the accuracies are a share of: all but those that an interruption left unfinished.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.wrong + self.unusable + self.attacked()
    }

    /// Robust accuracy: robust / finished, where clean-wrong samples and errors are not robust.
    ///
    /// None when nothing was finished.
    #[must_use]
    pub fn robust_accuracy(&self) -> Option<f64> {
        share(self.robust, self.finished())
    }

    /// The 95 % Wilson interval of [`robust_accuracy`](Self::robust_accuracy); [0, 1] when that is none.
    #[must_use]
    pub fn interval(&self) -> [f64; 2] {
        wilson95(self.robust, self.finished())
    }

    /// Attack success rate: broken / correctly classified (and finished); none when there is no such sample.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        share(self.broken, self.attacked())
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The worst case over attacks, sample by sample: broken when any attack broke it, else failed when any failed on it,
/// else robust. A sample that some attack did not reach is unreached. Every row has one fate per sample.
///
/// The worst case is no better than any of the rows, sample by sample.
#[must_use]
pub fn worst_case(rows: &[&[Fate]]) -> Vec<Fate> {
    let samples = rows.first().map_or(0, |row| row.len());
    let worst = |sample: usize| rows.iter().filter_map(|row| row.get(sample).copied()).max();
    (0..samples).filter_map(worst).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_a_share_of_all_samples() {
        use Fate::{Broken, Failed, Robust, Wrong};
        let tally = Tally::of([Wrong, Wrong, Robust, Broken, Broken, Failed, Robust, Broken]);
        assert_eq!(tally.robust_accuracy(), Some(0.25));
        assert_eq!(tally.success_rate(), Some(0.5));
        assert_eq!(tally.interval(), wilson95(2, 8));
    }

    #[test]
    fn nothing_attacked_has_no_success_rate() {
        let tally = Tally::of([Fate::Wrong, Fate::Unusable]);
        assert_eq!((tally.robust_accuracy(), tally.success_rate()), (Some(0.0), None));
    }

    #[test]
    fn an_unreached_row_has_no_accuracy() {
        let tally = Tally::of([Fate::Unreached]);
        assert_eq!((tally.robust_accuracy(), tally.interval()), (None, [0.0, 1.0]));
        let tally = Tally::of([Fate::Wrong, Fate::Robust, Fate::Unreached]);
        assert_eq!(tally.robust_accuracy(), Some(0.5));
    }

    #[test]
    fn the_worst_case_is_the_union() {
        use Fate::{Broken, Failed, Robust, Unreached, Wrong};
        let rows: [&[Fate]; 2] =
            [&[Wrong, Robust, Broken, Robust, Failed], &[Wrong, Robust, Robust, Unreached, Broken]];
        assert_eq!(worst_case(&rows), [Wrong, Robust, Broken, Unreached, Broken]);
        assert_eq!(worst_case(&[]), []);
    }
}
