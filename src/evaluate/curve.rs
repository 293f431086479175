//! Minimal-norm attacks: one run, judged at every budget.

use super::results::{Adversarial, Attempt, Fate};
use super::scheduler::{Aimed, Scheduler};
use crate::attack::AnyAttack;

/// The run that threats share which differ only in the budget.
struct Run<'a> {
    of: Aimed<'a>,
    /// Each sample without a limit on the size.
    attempts: Vec<Attempt>,
}

impl Scheduler<'_> {
    /// A minimal-norm attack under threats of one norm. A sample whose point lies beyond a budget is robust under it, as
    /// far as this attack can tell; a larger budget holds every point that a smaller one holds.
    pub(super) fn curve(&self, attack: &dyn AnyAttack, threats: &[Aimed<'_>]) -> Vec<Vec<Attempt>> {
        let mut runs: Vec<Run<'_>> = vec![];
        for aimed in threats {
            if !runs.iter().any(|run| run.of.threat.differs_in_budget_only(aimed.threat)) {
                let threat = aimed.threat.unlimited();
                let attempts = self.run(attack, Aimed { threat: &threat, ..*aimed }, &[]);
                runs.push(Run { of: *aimed, attempts });
            }
        }
        let row = |aimed: &Aimed<'_>| {
            let own = runs.iter().find(|run| run.of.threat.differs_in_budget_only(aimed.threat));
            let attempts: Vec<_> = own
                .into_iter()
                .flat_map(|run| run.attempts.iter().enumerate())
                .map(|(index, attempt)| self.judged_within(index, attempt, *aimed, &runs))
                .collect();
            self.tell(attack, aimed.threat, &attempts);
            attempts
        };
        threats.iter().map(row).collect()
    }

    /// What an unlimited attempt comes to under a threat: the closest known point that the threat holds counts.
    fn judged_within(
        &self,
        index: usize,
        attempt: &Attempt,
        aimed: Aimed<'_>,
        runs: &[Run<'_>],
    ) -> Attempt {
        if !matches!(attempt.fate, Fate::Broken | Fate::Robust | Fate::Failed)
            || aimed.aims[index].is_none()
        {
            return attempt.clone();
        }
        let found = self.closest(index, aimed, runs);
        let fate = match found {
            Some(_) => Fate::Broken,
            None => Fate::without_success(attempt.error.as_ref()),
        };
        Attempt { fate, adversarial: found, ..attempt.clone() }
    }

    fn closest(&self, index: usize, aimed: Aimed<'_>, runs: &[Run<'_>]) -> Option<Adversarial> {
        let region = self.region(index, aimed.threat);
        let known = runs.iter().filter(|run| run.of.aims[index] == aimed.aims[index]);
        let held = known.filter_map(|run| {
            let found = run.attempts[index].adversarial.as_ref()?;
            let distance = region.check(&found.point).ok()?;
            Some(Adversarial { distance, ..found.clone() })
        });
        held.min_by(|a, b| a.distance.total_cmp(&b.distance))
    }
}
