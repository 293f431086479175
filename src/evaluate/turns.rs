//! A goal of several targets: one after the other.

use super::results::{Attempt, Fate};
use super::scheduler::{Aimed, Scheduler};
use crate::attack::{AnyAttack, Family};
use crate::goal::{Aim, likeliest};

impl Scheduler<'_> {
    /// Attacks the samples `unit` towards each wrong class, the likeliest at the clean input first, a sample until it is
    /// broken. A minimal-norm attack goes through all of them: the closest point counts.
    pub(super) fn in_turn(
        &self,
        attack: &dyn AnyAttack,
        aimed: Aimed<'_>,
        unit: &[usize],
    ) -> Vec<Attempt> {
        // A query limit is one for all turns together, of which each sample has spent another part.
        let together = if self.query_limit.is_some() { 1 } else { unit.len().max(1) };
        unit.chunks(together).flat_map(|group| self.turns(attack, aimed, group)).collect()
    }

    fn turns(&self, attack: &dyn AnyAttack, aimed: Aimed<'_>, group: &[usize]) -> Vec<Attempt> {
        let classes = |&index: &usize| likeliest(&self.logits[index], self.samples.labels[index]);
        let classes: Vec<Vec<usize>> = group.iter().map(classes).collect();
        let mut attempts: Vec<Option<Attempt>> = vec![None; group.len()];
        for turn in 0..classes.iter().map(Vec::len).max().unwrap_or(0) {
            let spent =
                attempts[0].as_ref().map_or(0, |attempt| attempt.forward + attempt.backward);
            let left = self.query_limit.map(|limit| limit.saturating_sub(spent));
            let goes_on = |attempt: &Attempt| match attempt.fate {
                Fate::Unreached => false,
                Fate::Broken => attack.family() == Family::MinimalNorm && left != Some(0),
                _ => left != Some(0),
            };
            let open: Vec<usize> = (0..group.len())
                .filter(|&at| attempts[at].as_ref().is_none_or(goes_on) && turn < classes[at].len())
                .collect();
            let sought = |&at: &usize| {
                let label = self.samples.labels[group[at]];
                (group[at], Aim::targeted(label, classes[at][turn]))
            };
            let sought: Vec<_> = open.iter().map(sought).collect();
            let done = self.together(attack, aimed, &sought, left);
            for (at, then) in open.into_iter().zip(done) {
                let first = attempts[at].take();
                attempts[at] = Some(first.map_or_else(|| then.clone(), |first| both(first, &then)));
            }
        }
        attempts.into_iter().map(|a| a.unwrap_or_else(|| Attempt::settled(Fate::Robust))).collect()
    }
}

/// Two attempts on one sample as one: passes add up, the closer point stays.
fn both(first: Attempt, then: &Attempt) -> Attempt {
    let found = [&first.adversarial, &then.adversarial].into_iter().flatten();
    let closest = found.min_by(|a, b| a.distance.total_cmp(&b.distance)).cloned();
    Attempt {
        fate: first.fate.max(then.fate),
        adversarial: closest,
        attacked: first.attacked && then.attacked,
        rejected: first.rejected || then.rejected,
        forward: first.forward + then.forward,
        backward: first.backward + then.backward,
        zero_gradients: first.zero_gradients + then.zero_gradients,
        error: first.error.or_else(|| then.error.clone()),
    }
}
