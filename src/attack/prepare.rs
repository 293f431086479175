//! What an attack makes of a data set before it attacks a sample.

use rand::seq::SliceRandom;

use super::{AnyAttack, Gradient, Outcome, Sample, Session, Target};
use crate::error::{Error, Result};
use crate::goal::{Aim, Goal};
use crate::rng;

/// An attack that is ready, and what it took.
#[derive(Debug)]
pub struct Prepared {
    /// What is run on the samples in the place of the attack that made it.
    pub attack: Box<dyn AnyAttack>,
    /// Forward passes that making it took.
    pub forward: u64,
    /// Backward passes.
    pub backward: u64,
}

impl Prepared {
    /// Made by an attack on samples whose outcomes are these.
    fn new(attack: impl AnyAttack + 'static, outcomes: &[Outcome]) -> Self {
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum();
        let (forward, backward) = (sum(|outcome| outcome.forward), sum(|outcome| outcome.backward));
        Self { attack: Box::new(attack), forward, backward }
    }
}

/// What `craft` makes of the first `count` samples of the session's data set: it is given a target and all its slots. A query
/// limit does not hold for it.
///
/// # Errors
/// [`Error::Parameter`] where the goal is not the same for all samples, or there is none; the errors of `craft`.
pub(super) fn from_data<A: AnyAttack + 'static>(
    session: &Session<'_>,
    attack: &'static str,
    count: usize,
    craft: impl FnOnce(&mut Target<'_, Gradient>, &[usize]) -> Result<A>,
) -> Result<Option<Prepared>> {
    let samples = training(session, attack, count)?;
    let session = Session { query_limit: None, ..session.clone() };
    let mut target = Target::new(&session, attack, &samples);
    let all: Vec<usize> = (0..target.len()).collect();
    let made = craft(&mut target, &all)?;
    Ok(Some(Prepared::new(made, &target.into_outcomes())))
}

/// The slots in batches, each with the number of its epoch; every epoch has all of them, in an order of its own.
pub(super) fn batches(
    seed: u64,
    attack: &str,
    slots: &[usize],
    (epochs, size): (usize, usize),
) -> impl Iterator<Item = (usize, Vec<usize>)> {
    let mut order = slots.to_vec();
    (0..epochs).flat_map(move |epoch| {
        order.shuffle(&mut rng::stream(seed, attack, 0, epoch));
        order.chunks(size).map(|batch| (epoch, batch.to_vec())).collect::<Vec<_>>()
    })
}

/// The first `count` samples of the session's data set, with the aim that its goal has on each of them.
///
/// # Errors
/// [`Error::Parameter`] where the goal is not the same for all, or there is no sample.
fn training<'a>(session: &Session<'a>, attack: &str, count: usize) -> Result<Vec<Sample<'a>>> {
    let target = match session.threat.goal {
        Goal::Untargeted => None,
        Goal::Class(class) => Some(class),
        _ => {
            let expected = format!("{attack} is one for all samples: untargeted, or a class");
            return Err(Error::parameter("goal", "one per sample", expected));
        }
    };
    let starts = session.starts;
    let features = session.model.features().max(1);
    let rows = starts.points.chunks_exact(features).zip(starts.labels).zip(starts.ids);
    let sample = |((clean, &label), &id): ((&'a [f32], &usize), &usize)| {
        let aim = match target {
            None => Aim::untargeted(label),
            Some(target) => Aim::targeted(label, target),
        };
        (target != Some(label)).then_some(Sample { id, clean, aim })
    };
    let samples: Vec<_> = rows.take(count).filter_map(sample).collect();
    if samples.is_empty() {
        let expected =
            format!("{attack} needs samples of the data set, of another class, to learn from");
        return Err(Error::parameter("train", 0, expected));
    }
    Ok(samples)
}
