//! The attacks: each proposes points; the evaluator's judge decides.

mod access;
mod any;
mod ascent;
mod fgsm;
mod noise;
mod pgd;
mod spec;
mod target;

pub use access::{Access, Blind, Decision, Gradient, Score};
pub use any::AnyAttack;
pub use fgsm::Fgsm;
pub use noise::{Noise, NoiseKind};
pub use pgd::Pgd;
pub use target::{Outcome, Sample, Session, Target};

use std::fmt::Debug;

use crate::error::Result;

spec::attacks! {
    "fgsm" => Fgsm,
    "noise" => Noise,
    "pgd" => Pgd,
}

/// A way of looking for adversarial points.
///
/// An attack proposes: it asks its [`Target`] about points, and the target remembers the best point that it was
/// ever asked about. Nothing that an attack returns is believed.
pub trait Attack: Debug + Send + Sync {
    /// What the attack may ask the target.
    type Access: Access;

    /// The name in the table and in reports.
    fn id(&self) -> &'static str;

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter), naming the field.
    fn validate(&self) -> Result<()>;

    /// Attacks every sample of the target's batch. Stop working on a sample once it is no longer open.
    ///
    /// # Errors
    /// When the model cannot be run, or the run was cancelled.
    fn run(&self, target: &mut Target<'_, Self::Access>) -> Result<()>;
}
