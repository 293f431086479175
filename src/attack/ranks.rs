//! The likeliest other classes, as targets to try one after the other.

use super::{Gradient, Target};
use crate::error::Result;
use crate::goal::{Aim, likeliest};

/// The classes to try for each slot, likeliest first; of a targeted one, its target alone.
#[derive(Debug)]
pub(super) struct Ranks {
    by_slot: Vec<Vec<usize>>,
}

impl Ranks {
    /// The `count` classes of the largest logits at the clean input, the label excepted: one forward query.
    pub(super) fn ask(target: &mut Target<'_, Gradient>, count: usize) -> Result<Self> {
        let given = |slot| target.aim(slot).target.into_iter().collect();
        let mut by_slot: Vec<Vec<usize>> = (0..target.len()).map(given).collect();
        let open = |slot: &usize| target.affords(*slot, 1) && !target.is_broken(*slot);
        let asked: Vec<usize> =
            (0..target.len()).filter(open).filter(|&slot| by_slot[slot].is_empty()).collect();
        let points: Vec<f32> = asked.iter().flat_map(|&slot| target.clean(slot)).copied().collect();
        let mut logits = vec![];
        target.logits(&asked, &points, &mut logits)?;
        for (&slot, logits) in asked.iter().zip(logits.chunks_exact(target.classes())) {
            by_slot[slot] = likeliest(logits, target.aim(slot).label);
            by_slot[slot].truncate(count);
        }
        Ok(Self { by_slot })
    }

    /// The most classes that any slot has.
    pub(super) fn len(&self) -> usize {
        self.by_slot.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Each slot's aim at its class of this rank, where it has one.
    pub(super) fn aims(&self, target: &Target<'_, Gradient>, rank: usize) -> Vec<Option<Aim>> {
        let aim = |(slot, classes): (usize, &Vec<usize>)| {
            classes.get(rank).map(|&class| Aim::targeted(target.aim(slot).label, class))
        };
        self.by_slot.iter().enumerate().map(aim).collect()
    }
}
