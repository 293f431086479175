//! What happened, for whoever shows it.

use crate::norm::Norm;

/// What a run is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Samples.
    pub samples: usize,
    /// Attacks times threats.
    pub rows: usize,
}

/// A work unit that ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitDone<'a> {
    /// The attack's name.
    pub attack: &'a str,
    /// The threat's norm.
    pub norm: Norm,
    /// The threat's (largest) budget; infinite in the one run of a minimal-norm attack.
    pub eps: f64,
    /// Samples in the unit.
    pub samples: usize,
    /// Samples of the unit that were broken.
    pub broken: usize,
}

/// An attack that is done under one threat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowDone<'a> {
    /// The attack's name.
    pub attack: &'a str,
    /// The threat's norm.
    pub norm: Norm,
    /// The threat's (largest) budget.
    pub eps: f64,
    /// Samples that are still robust.
    pub robust: usize,
    /// Samples that are broken, at this or a smaller budget.
    pub broken: usize,
}

/// Whoever watches a run. Every method does nothing unless it is written; none may block for long.
///
/// [`unit_done`](Self::unit_done) is called from worker threads, in any order;
/// the others from one thread, in the order in which they are listed.
pub trait Observer: Sync {
    /// The run begins.
    fn started(&self, plan: Plan) {
        let _ = plan;
    }

    /// The clean pass is over: `correct` of `finished` samples.
    fn clean_done(&self, correct: usize, finished: usize) {
        let _ = (correct, finished);
    }

    /// An attack begins under one threat, with `open` samples left to attack. `eps` is infinite for a minimal-norm
    /// attack, which has one run for all budgets.
    fn row_started(&self, attack: &str, norm: Norm, eps: f64, open: usize) {
        let _ = (attack, norm, eps, open);
    }

    /// A work unit ended.
    fn unit_done(&self, unit: UnitDone<'_>) {
        let _ = unit;
    }

    /// An attack is done under one threat.
    fn row_done(&self, row: RowDone<'_>) {
        let _ = row;
    }

    /// The run is over; `partial` when it was interrupted.
    fn finished(&self, partial: bool) {
        let _ = partial;
    }
}

/// An observer that shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
