//! Attacks that no ball holds: each sample is transformed, within ranges of the transformation's own parameters.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Access, Target};
use crate::corruption::{Canvas, ParameterSet};
use crate::error::Result;
use crate::rng::{self, Stream};
use crate::threat::{Bounds, Threat};

/// A sample to transform.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its index in the data set.
    pub id: usize,
    /// The sample.
    pub clean: &'a [f32],
    /// Its shape.
    pub shape: &'a [usize],
    /// What its values can be.
    pub bounds: &'a Bounds,
    /// The session's seed.
    pub seed: u64,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(
        (id, clean): (usize, &'a [f32]),
        shape: &'a [usize],
        threat: &'a Threat,
        seed: u64,
    ) -> Self {
        Self { id, clean, shape, bounds: &threat.bounds, seed }
    }

    /// The sample as an image.
    pub(super) fn canvas(&self) -> Result<Canvas<'a>> {
        Canvas::new(self.shape, self.bounds, ParameterSet::Auto)
    }

    /// The random numbers of one of the sample's changes.
    pub(super) fn stream(&self, attack: &str, draw: usize) -> Stream {
        rng::stream(self.seed, attack, self.id, draw)
    }
}

/// What a [transformation](super::Family::Transformation) attack does to samples. The judge renders what the attack says it
/// did by itself, and believes in nothing else.
pub trait Transform: Debug + Send + Sync {
    /// All that it may do, in words: attacks that say the same are one threat, with one worst case.
    fn ranges(&self) -> String;

    /// The sample after a change; none when that is not within the ranges.
    fn render(&self, subject: &Subject<'_>, change: &Value) -> Option<Vec<f32>>;
}

/// An attack by changes of one type.
pub(super) trait Changes: Debug + Send + Sync {
    /// The parameters of one transformation.
    type Change: Serialize + DeserializeOwned;

    /// As [`Transform::ranges`].
    fn ranges(&self) -> String;

    /// The changes to try on a sample, in this order.
    fn changes(&self, subject: &Subject<'_>) -> Result<Vec<Self::Change>>;

    /// Whether a change is one that [`changes`](Self::changes) may hold.
    fn allows(&self, subject: &Subject<'_>, change: &Self::Change) -> bool;

    /// The sample after a change that is allowed.
    fn apply(&self, subject: &Subject<'_>, change: &Self::Change) -> Result<Vec<f32>>;
}

impl<T: Changes> Transform for T {
    fn ranges(&self) -> String {
        Changes::ranges(self)
    }

    fn render(&self, subject: &Subject<'_>, change: &Value) -> Option<Vec<f32>> {
        let change: T::Change = serde_json::from_value(change.clone()).ok()?;
        let allowed = self.allows(subject, &change);
        allowed.then(|| self.apply(subject, &change).ok()).flatten()
    }
}

/// Tries one change after the other on each sample until one succeeds.
pub(super) fn run_all<T: Changes, A: Access>(attack: &T, target: &mut Target<'_, A>) -> Result<()> {
    let all: Vec<usize> = (0..target.len()).collect();
    run(attack, target, &all)
}

/// The same on some of the slots.
pub(super) fn run<T: Changes, A: Access>(
    attack: &T,
    target: &mut Target<'_, A>,
    slots: &[usize],
) -> Result<()> {
    let mut open: Vec<(usize, Vec<T::Change>)> = vec![];
    for &slot in slots {
        open.push((slot, attack.changes(&target.subject(slot))?));
    }
    let most = open.iter().map(|(_, changes)| changes.len()).max().unwrap_or(0);
    let mut points = vec![];
    for at in 0..most {
        // Whatever else the attack may ask, this takes one forward pass.
        open.retain(|(slot, changes)| {
            at < changes.len() && !target.is_broken(*slot) && target.affords(*slot, 1)
        });
        points.clear();
        for (slot, changes) in &open {
            let start = points.len();
            points.extend(attack.apply(&target.subject(*slot), &changes[at])?);
            target.region(*slot).project(&mut points[start..]);
        }
        let asked: Vec<usize> = open.iter().map(|(slot, _)| *slot).collect();
        target.submit(&asked, &points)?;
        for (slot, changes) in &open {
            target.explain(*slot, serde_json::to_value(&changes[at]).ok());
        }
    }
    Ok(())
}
