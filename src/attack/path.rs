//! The first success along a path that leads away from the clean input.

use super::access::Decides;
use super::{Target, checks};
use crate::error::{Error, Result};

/// Where points are looked at on a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// The number of the path's last point; 0 is the clean input's.
    pub(super) length: usize,
    /// How many evenly spaced points to look at before halving.
    pub(super) steps: usize,
}

impl Search {
    /// `steps` points of a straight line, between which `halvings` halve.
    pub(super) fn new(steps: usize, halvings: u32) -> Self {
        Self { length: steps << halvings, steps }
    }

    /// Checks the parameters of [`new`](Self::new).
    pub(super) fn validate(steps: usize, halvings: u32) -> Result<()> {
        checks::at_least_one("steps", steps)?;
        if halvings <= 24 && steps <= 1 << 24 {
            return Ok(());
        }
        let expected =
            "expected at most 2^24 steps and 24 halvings, which is as fine as numbers are";
        Err(Error::parameter("halvings", format!("{halvings} of {steps} steps"), expected))
    }

    /// Asks about each slot's path from its beginning until a point succeeds, then halves the stretch before it until
    /// neighbours are left. `point` writes the point of a number into its argument.
    pub(super) fn run<A: Decides>(
        self,
        target: &mut Target<'_, A>,
        slots: &[usize],
        mut point: impl FnMut(&Target<'_, A>, usize, usize, &mut [f32]),
    ) -> Result<()> {
        let features = target.features();
        let steps = self.steps.min(self.length).max(1);
        let mut points = vec![];
        let mut ask = |target: &mut Target<'_, A>, asked: &[(usize, usize)]| -> Result<Vec<bool>> {
            points.resize(asked.len() * features, 0.0);
            for (&(slot, at), row) in asked.iter().zip(points.chunks_exact_mut(features.max(1))) {
                point(target, slot, at, row);
            }
            let slots: Vec<usize> = asked.iter().map(|&(slot, _)| slot).collect();
            target.decide(&slots, &points)
        };
        // Slot, the last point that failed, the first one that succeeded.
        let mut found: Vec<(usize, usize, usize)> = vec![];
        let mut open = slots.to_vec();
        for step in 0..=steps {
            open.retain(|&slot| target.is_open(slot));
            let at = |step: usize| step * self.length / steps;
            let asked: Vec<_> = open.iter().map(|&slot| (slot, at(step))).collect();
            let met = ask(target, &asked)?;
            let mut met = met.into_iter();
            open.retain(|&slot| {
                let success = met.next() == Some(true);
                if success {
                    found.push((slot, at(step.saturating_sub(1)), at(step)));
                }
                !success
            });
        }
        loop {
            found.retain(|&(slot, failed, met)| met - failed > 1 && target.is_open(slot));
            if found.is_empty() {
                return Ok(());
            }
            let middle =
                |&(slot, failed, met): &(usize, usize, usize)| (slot, failed.midpoint(met));
            let asked: Vec<_> = found.iter().map(middle).collect();
            let met = ask(target, &asked)?;
            for ((bracket, (_, at)), met) in found.iter_mut().zip(asked).zip(met) {
                *(if met { &mut bracket.2 } else { &mut bracket.1 }) = at;
            }
        }
    }

    /// The same along the straight lines from the clean inputs to `ends`, one row per slot of the batch.
    pub(super) fn towards<A: Decides>(
        self,
        target: &mut Target<'_, A>,
        slots: &[usize],
        ends: &[f32],
    ) -> Result<()> {
        let features = target.features();
        self.run(target, slots, |target, slot, at, point| {
            let share = at as f64 / self.length as f64;
            let ends = &ends[slot * features..][..features];
            for ((x, &c), &end) in point.iter_mut().zip(target.clean(slot)).zip(ends) {
                let (c, end) = (f64::from(c), f64::from(end));
                *x = (c + share * (end - c)) as f32;
            }
            target.region(slot).project(point);
        })
    }
}
