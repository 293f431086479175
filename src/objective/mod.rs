//! Objectives for models that are no classifiers: functions of their outputs that an attacker wants to make positive.

mod chain;
mod cosine;
mod dnf;
mod from_function;
mod kind;
mod model;
mod moved;
#[cfg(test)]
mod tests;
mod threshold;

pub use cosine::Cosine;
pub use dnf::{Dnf, Term};
pub use from_function::{Function, function};
pub use kind::ObjectiveKind;
pub use model::ObjectiveModel;
pub use moved::{Moved, Way};
pub use threshold::{Above, Below};

use std::fmt::Debug;

use crate::error::Result;

/// What an attacker wants of a model's outputs: that one of some values, its *alternatives*, becomes positive.
///
/// An [`ObjectiveModel`] makes a classifier of it, so that every attack and every metric applies: class 0 while no value is
/// positive, else the alternative with the largest. Implement it for an objective of your own, or wrap a [`function`].
pub trait Objective: Debug + Send + Sync {
    /// The name that reports print, with the parameters.
    fn name(&self) -> String;

    /// Whether it compares with the outputs at the clean input.
    fn needs_clean(&self) -> bool {
        false
    }

    /// How many values there are for a model of `outputs` outputs.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) when a model of so many outputs cannot have this objective.
    fn alternatives(&self, outputs: usize) -> Result<usize>;

    /// The value of one alternative at one sample's outputs; writes its gradient into `gradient` (of the same length).
    ///
    /// `clean` holds the outputs at the clean input for an objective that [needs](Self::needs_clean) them, else nothing.
    fn value_and_gradient(
        &self,
        alternative: usize,
        outputs: &[f32],
        clean: &[f32],
        gradient: &mut [f32],
    ) -> f32;
}
