//! Who is attacked when: one series per attack and norm, budgets ascending, work units in parallel.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::checkpoint::Checkpoint;
use super::events::{Observer, RowDone, UnitDone};
use super::judge::{Judge, Proposal};
use super::results::{Adversarial, Attempt, Clean, Fate, Passes, Row};
use crate::attack::{AnyAttack, Family, Outcome, Prepared, Sample, Session, Starts, Subject};
use crate::cancel::Cancel;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::goal::{Aim, Goal};
use crate::profile::{self, Stage};
use crate::threat::{Region, Threat};

/// The samples of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Samples<'a> {
    /// `labels.len() x features`.
    pub(super) inputs: &'a [f32],
    /// The true classes.
    pub(super) labels: &'a [usize],
    /// Features of one sample.
    pub(super) features: usize,
    /// Each sample's index in the data set.
    pub(super) ids: &'a [usize],
}

impl<'a> Samples<'a> {
    /// Those at these places of a data set.
    pub(super) fn of(data: &'a Dataset, places: Range<usize>) -> Self {
        let features = data.features();
        Self {
            inputs: &data.values()[places.start * features..places.end * features],
            labels: &data.labels()[places.clone()],
            ids: &data.ids()[places],
            features,
        }
    }

    pub(super) fn len(self) -> usize {
        self.labels.len()
    }

    /// The index in the data set of a sample of the run.
    pub(super) fn id(self, index: usize) -> usize {
        self.ids[index]
    }

    /// Some of them.
    pub(super) fn part(self, range: Range<usize>) -> Self {
        Self {
            inputs: &self.inputs[range.start * self.features..range.end * self.features],
            labels: &self.labels[range.clone()],
            ids: &self.ids[range],
            ..self
        }
    }

    pub(super) fn input(self, index: usize) -> &'a [f32] {
        &self.inputs[index * self.features..][..self.features]
    }
}

/// What every work unit needs.
pub(super) struct Scheduler<'a> {
    pub(super) judge: Judge<'a>,
    pub(super) samples: Samples<'a>,
    pub(super) clean: &'a [Clean],
    /// The logits at each clean input, empty where there are none.
    pub(super) logits: &'a [Vec<f32>],
    pub(super) seed: u64,
    pub(super) batch: usize,
    pub(super) query_limit: Option<u64>,
    pub(super) starts: Starts<'a>,
    /// Where what became of samples is kept.
    pub(super) checkpoint: Option<&'a Checkpoint>,
    /// Runs of an attack under a threat so far, by whose number a checkpoint knows them.
    pub(super) runs: AtomicUsize,
    pub(super) cancel: &'a Cancel,
    pub(super) observer: &'a dyn Observer,
}

/// A threat, with the aim on each sample (none: not attacked).
#[derive(Clone, Copy, Debug)]
pub(super) struct Aimed<'a> {
    pub(super) threat: &'a Threat,
    pub(super) aims: &'a [Option<Aim>],
}

impl Scheduler<'_> {
    /// One attack under threats of one norm, budgets ascending.
    pub(super) fn series(&self, attack: &dyn AnyAttack, threats: &[Aimed<'_>]) -> Vec<Row> {
        let mut preparations = vec![Passes::default(); threats.len()];
        let mut done = match attack.family() {
            Family::FixedBudget | Family::Transformation => {
                self.budgets(attack, threats, &mut preparations)
            }
            Family::MinimalNorm => self.curve(attack, threats),
        };
        // A point that holds outweighs what went wrong after it.
        let broken = done.iter_mut().flatten().filter(|a| a.fate == Fate::Broken);
        broken.for_each(|attempt| attempt.error = None);
        let row = |((aimed, attempts), preparation): ((&Aimed<'_>, _), _)| Row {
            attack: attack.id().into(),
            access: attack.access().into(),
            params: attack.params(),
            threat: aimed.threat.clone(),
            shared: attack.family() == Family::MinimalNorm,
            preparation,
            attempts,
        };
        threats.iter().zip(done).zip(preparations).map(row).collect()
    }

    /// A fixed-budget attack: one run per budget, and what it took to prepare it.
    fn budgets(
        &self,
        attack: &dyn AnyAttack,
        threats: &[Aimed<'_>],
        preparations: &mut [Passes],
    ) -> Vec<Vec<Attempt>> {
        let mut done: Vec<Vec<Attempt>> = Vec::with_capacity(threats.len());
        for (at, aimed) in threats.iter().enumerate() {
            let known: Vec<_> =
                threats[..at].iter().zip(&done).map(|(a, d)| (*a, &d[..])).collect();
            let prepare = || attack.prepare(&self.session(aimed.threat, None));
            let attempts = match profile::timed(Stage::Step, prepare) {
                Ok(Some(Prepared { attack, forward, backward })) => {
                    preparations[at] = Passes { forward, backward };
                    self.run(&*attack, *aimed, &known)
                }
                // A run that was cancelled reaches no sample.
                Ok(None) | Err(Error::Cancelled) => self.run(attack, *aimed, &known),
                Err(error) => self.unprepared(*aimed, &known, &error),
            };
            self.tell(attack, aimed.threat, &attempts);
            done.push(attempts);
        }
        self.share(threats, &mut done);
        done
    }

    /// Tells the observer that an attack is done under one threat.
    pub(super) fn tell(&self, attack: &dyn AnyAttack, threat: &Threat, attempts: &[Attempt]) {
        let count = |fate| attempts.iter().filter(|a| a.fate == fate).count();
        let (robust, broken) = (count(Fate::Robust), count(Fate::Broken));
        let (norm, eps) = (threat.norm, threat.budget.largest());
        self.observer.row_done(RowDone { attack: attack.id(), norm, eps, robust, broken });
    }

    /// One attack under one threat. Samples that `known` attempts broke, within this threat too, are not attacked again.
    pub(super) fn run(
        &self,
        attack: &dyn AnyAttack,
        aimed: Aimed<'_>,
        known: &[(Aimed<'_>, &[Attempt])],
    ) -> Vec<Attempt> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        if self.cancel.is_cancelled() {
            return vec![Attempt::settled(Fate::Unreached); self.samples.len()];
        }
        let (mut attempts, open) = self.settled(aimed, known);
        let mut left = open.clone();
        if let Some(checkpoint) = self.checkpoint {
            left.retain(|&index| match checkpoint.known(run, self.samples.id(index)) {
                Some(attempt) => {
                    attempts[index] = attempt.clone();
                    false
                }
                None => true,
            });
        }
        let (norm, eps) = (aimed.threat.norm, aimed.threat.budget.largest());
        self.observer.row_started(attack.id(), norm, eps, left.len());
        let units: Vec<_> = left
            .par_chunks(self.batch)
            .map(|unit| {
                let attempts = self.unit(attack, aimed, unit);
                if let Some(checkpoint) = self.checkpoint {
                    let ids = unit.iter().map(|&index| self.samples.id(index));
                    checkpoint.record(run, ids.zip(&attempts));
                }
                let broken = attempts.iter().filter(|a| a.fate == Fate::Broken).count();
                let (attack, samples) = (attack.id(), unit.len());
                self.observer.unit_done(UnitDone { attack, norm, eps, samples, broken });
                attempts
            })
            .collect();
        for (index, attempt) in left.iter().zip(units.into_iter().flatten()) {
            attempts[*index] = attempt;
        }
        leave_out_unfinished_stretches(&open, &mut attempts);
        attempts
    }

    /// An attack that could not be prepared: an error on every sample that it was to be run on.
    fn unprepared(
        &self,
        aimed: Aimed<'_>,
        known: &[(Aimed<'_>, &[Attempt])],
        error: &Error,
    ) -> Vec<Attempt> {
        let (mut attempts, open) = self.settled(aimed, known);
        for index in open {
            let error = Some(error.to_string());
            attempts[index] = Attempt { attacked: true, error, ..Attempt::settled(Fate::Failed) };
        }
        attempts
    }

    /// Every sample as it is without a run under a threat, and those that are to be attacked.
    fn settled(
        &self,
        aimed: Aimed<'_>,
        known: &[(Aimed<'_>, &[Attempt])],
    ) -> (Vec<Attempt>, Vec<usize>) {
        let mut open = vec![];
        let attempts: Vec<_> = (0..self.samples.len())
            .map(|index| {
                let clean = &self.clean[index];
                if clean.prediction.is_none() {
                    let unusable = clean.error.is_some();
                    return Attempt::settled(if unusable {
                        Fate::Unusable
                    } else {
                        Fate::Unreached
                    });
                }
                if !clean.correct {
                    return Attempt::settled(Fate::Wrong);
                }
                if aimed.aims[index].is_none() {
                    return Attempt::settled(Fate::Robust);
                }
                if let Some(found) = self.carried(index, aimed, known) {
                    let adversarial = Some(found);
                    return Attempt { adversarial, ..Attempt::settled(Fate::Broken) };
                }
                open.push(index);
                Attempt::settled(Fate::Unreached)
            })
            .collect();
        (attempts, open)
    }

    /// Attacks the samples `unit`.
    fn unit(&self, attack: &dyn AnyAttack, aimed: Aimed<'_>, unit: &[usize]) -> Vec<Attempt> {
        if aimed.threat.goal == Goal::EveryOther {
            return self.in_turn(attack, aimed, unit);
        }
        let sought = |&index: &usize| aimed.aims[index].map(|aim| (index, aim));
        let unit: Vec<_> = unit.iter().filter_map(sought).collect();
        self.together(attack, aimed, &unit, self.query_limit)
    }

    /// Attacks samples together, each with the aim that the attack is given.
    pub(super) fn together(
        &self,
        attack: &dyn AnyAttack,
        aimed: Aimed<'_>,
        unit: &[(usize, Aim)],
        query_limit: Option<u64>,
    ) -> Vec<Attempt> {
        if self.cancel.is_cancelled() {
            return vec![Attempt::settled(Fate::Unreached); unit.len()];
        }
        let session = self.session(aimed.threat, query_limit);
        let samples: Vec<_> = unit
            .iter()
            .map(|&(index, aim)| {
                let (id, clean) = (self.samples.id(index), self.samples.input(index));
                Sample { id, clean, aim }
            })
            .collect();
        let (mut outcomes, ended) =
            profile::timed(Stage::Step, || attack.attempt(&session, &samples));
        let error = ended.err();
        // One sample's error must not cost its neighbours anything, nor depend on who they are.
        let alone = matches!(error, None | Some(Error::Cancelled)) || unit.len() == 1;
        if !alone {
            let one = |one| self.together(attack, aimed, std::slice::from_ref(one), query_limit);
            return unit.iter().flat_map(one).collect();
        }
        outcomes.resize_with(samples.len(), Outcome::default);
        let _within = profile::enter(Stage::Judge);
        let proposals = unit.iter().zip(&samples).zip(&mut outcomes);
        let proposals: Vec<_> = proposals
            .map(|((&(index, sought), sample), outcome)| Proposal {
                sample: sample.id,
                region: aimed.threat.region(sample.id, sample.clean),
                aim: aimed.aims[index].unwrap_or(sought),
                point: self.proposed((attack, aimed), sample, outcome),
            })
            .collect();
        let judged = samples.iter().zip(outcomes).zip(self.judge.verify(proposals));
        judged
            .map(|((sample, outcome), verdict)| settle(sample.id, outcome, verdict, error.as_ref()))
            .collect()
    }

    /// The point that an attack found.
    fn proposed(
        &self,
        (attack, aimed): (&dyn AnyAttack, Aimed<'_>),
        sample: &Sample<'_>,
        outcome: &mut Outcome,
    ) -> Option<Vec<f32>> {
        let Some(transform) = attack.transform() else { return outcome.point.take() };
        // Rendered anew: a point that no transformation leads to is none.
        let shape = &self.judge.model.info().shape;
        let subject = Subject::new((sample.id, sample.clean), shape, aimed.threat, self.seed);
        transform.render(&subject, outcome.change.as_ref()?)
    }

    fn session<'s>(&'s self, threat: &'s Threat, query_limit: Option<u64>) -> Session<'s> {
        Session {
            seed: self.seed,
            query_limit,
            starts: self.starts,
            cancel: self.cancel.clone(),
            ..Session::new(self.judge.model, threat)
        }
    }

    /// What a threat allows around a sample.
    pub(super) fn region<'t>(&'t self, index: usize, threat: &'t Threat) -> Region<'t> {
        threat.region(self.samples.id(index), self.samples.input(index))
    }

    /// The first known point that breaks a sample under this threat as well.
    fn carried(
        &self,
        index: usize,
        aimed: Aimed<'_>,
        known: &[(Aimed<'_>, &[Attempt])],
    ) -> Option<Adversarial> {
        let region = self.region(index, aimed.threat);
        known.iter().filter(|(other, _)| other.aims[index] == aimed.aims[index]).find_map(
            |(_, attempts)| {
                let found = attempts[index].adversarial.as_ref()?;
                let distance = region.check(&found.point).ok()?;
                Some(Adversarial { distance, ..found.clone() })
            },
        )
    }

    /// Lets the points found under larger budgets count under the smaller ones that hold them.
    fn share(&self, threats: &[Aimed<'_>], done: &mut [Vec<Attempt>]) {
        for at in 0..done.len() {
            let (head, later) = done.split_at_mut(at + 1);
            let known: Vec<_> =
                threats[at + 1..].iter().zip(&*later).map(|(a, d)| (*a, &d[..])).collect();
            for (index, attempt) in head[at].iter_mut().enumerate() {
                if threats[at].aims[index].is_none()
                    || !matches!(attempt.fate, Fate::Robust | Fate::Failed)
                {
                    continue;
                }
                if let Some(found) = self.carried(index, threats[at], &known) {
                    attempt.fate = Fate::Broken;
                    attempt.adversarial = Some(found);
                }
            }
        }
    }
}

/// What became of a sample, from what an attack did, what the judge saw of it and how the attack ended.
fn settle(
    sample: usize,
    outcome: Outcome,
    mut verdict: Result<Option<Adversarial>>,
    ended: Option<&Error>,
) -> Attempt {
    if let Ok(Some(found)) = &mut verdict {
        (found.member, found.change) = (outcome.member, outcome.change);
    }
    let rejected = outcome.success && !matches!(verdict, Ok(Some(_)));
    let error = match (&verdict, ended) {
        (Err(error), _) => Some(error.to_string()),
        // A used-up limit is how an attack may end, not a fault.
        (Ok(_), None | Some(Error::QueryLimit { .. })) => {
            let non_finite =
                |(class, value)| Error::NonFiniteLogit { sample, class, value }.to_string();
            outcome.non_finite.map(non_finite)
        }
        (Ok(_), Some(error)) => Some(error.to_string()),
    };
    let (fate, error) = match (&verdict, ended) {
        // The samples of an interrupted unit that are broken by then are its easy ones: to count them alone would
        // bias the shares.
        (_, Some(Error::Cancelled)) => (Fate::Unreached, None),
        (Ok(Some(_)), _) => (Fate::Broken, error),
        _ => (Fate::without_success(error.as_ref()), error),
    };
    Attempt {
        fate,
        adversarial: verdict.ok().flatten(),
        attacked: fate != Fate::Unreached,
        rejected,
        forward: outcome.forward,
        backward: outcome.backward,
        zero_gradients: outcome.zero_gradients,
        error,
    }
}

/// Makes every sample that was not attacked share the fate of the next one that was to be (the last one's, beyond it)
/// where that was not finished.
fn leave_out_unfinished_stretches(open: &[usize], attempts: &mut [Attempt]) {
    let Some(last) = open.last() else { return };
    let mut finished = attempts[*last].fate != Fate::Unreached;
    let mut open = open.iter().rev().peekable();
    for (index, attempt) in attempts.iter_mut().enumerate().rev() {
        if open.next_if_eq(&&index).is_some() {
            finished = attempt.fate != Fate::Unreached;
        } else if !finished {
            *attempt = Attempt::settled(Fate::Unreached);
        }
    }
}
