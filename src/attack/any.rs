//! Attacks of any access class behind one type.

use std::fmt::Debug;

use serde::Serialize;

use super::{
    Access, Attack, Family, Outcome, Prepared, Sample, Session, Target, Transform, family,
};
use crate::error::Result;
use crate::loss::LossKind;
use crate::model::ModelInfo;
use crate::norm::Norm;

/// An attack whose access class is not part of its type: what the evaluator runs.
///
/// Every [`Attack`] that serializes is one, so an attack of one's own needs no more than `#[derive(Serialize)]`.
pub trait AnyAttack: Debug + Send + Sync {
    /// The name in the table and in reports.
    fn id(&self) -> &'static str;

    /// The name of the access class.
    fn access(&self) -> &'static str;

    /// Whether it keeps to the budget or looks for the smallest perturbation.
    fn family(&self) -> Family {
        Family::FixedBudget
    }

    /// The norms that it works in.
    fn norms(&self) -> &'static [Norm] {
        family::NORMS
    }

    /// Every parameter, for the record.
    fn params(&self) -> serde_json::Value;

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter), naming the field.
    fn validate(&self) -> Result<()>;

    /// The loss that it climbs; none by default, for attacks without one.
    fn loss(&self) -> Option<&LossKind> {
        None
    }

    /// What it does to samples, for a [transformation](Family::Transformation); none by default.
    fn transform(&self) -> Option<&dyn Transform> {
        None
    }

    /// What it makes of the session's data set, [`Session::starts`], before it attacks a sample; none by default. It is made once
    /// per threat, and run on the samples in the place of the attack.
    ///
    /// # Errors
    /// When the model cannot be run, or the run was cancelled.
    fn prepare(&self, session: &Session<'_>) -> Result<Option<Prepared>> {
        let _ = session;
        Ok(None)
    }

    /// Checks that the attack can work on a model.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter), naming the field that does not fit.
    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        let _ = model;
        Ok(())
    }

    /// Attacks a batch: one outcome per sample, in order, and how the attack ended. What was found before an error
    /// (the model cannot be run, the run was cancelled, the norm is not one of its [`norms`](Self::norms)) is kept.
    /// A [minimal-norm](Family::MinimalNorm) attack disregards the session's budget.
    fn attempt(&self, session: &Session<'_>, samples: &[Sample<'_>]) -> (Vec<Outcome>, Result<()>);

    /// Attacks a batch: one outcome per sample, in order.
    ///
    /// # Errors
    /// When the model cannot be run, or the run was cancelled.
    fn run(&self, session: &Session<'_>, samples: &[Sample<'_>]) -> Result<Vec<Outcome>> {
        let (outcomes, ended) = self.attempt(session, samples);
        ended.map(|()| outcomes)
    }
}

impl<T: Attack + Serialize> AnyAttack for T {
    fn id(&self) -> &'static str {
        Attack::id(self)
    }

    fn access(&self) -> &'static str {
        T::Access::NAME
    }

    fn family(&self) -> Family {
        Attack::family(self)
    }

    fn norms(&self) -> &'static [Norm] {
        Attack::norms(self)
    }

    fn params(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_else(|error| error.to_string().into())
    }

    fn validate(&self) -> Result<()> {
        Attack::validate(self)
    }

    fn loss(&self) -> Option<&LossKind> {
        Attack::loss(self)
    }

    fn transform(&self) -> Option<&dyn Transform> {
        Attack::transform(self)
    }

    fn prepare(&self, session: &Session<'_>) -> Result<Option<Prepared>> {
        Attack::prepare(self, session)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        Attack::check_model(self, model)
    }

    fn attempt(&self, session: &Session<'_>, samples: &[Sample<'_>]) -> (Vec<Outcome>, Result<()>) {
        let outcomes = vec![Outcome::default(); samples.len()];
        self.resume(Attack::id(self), session, samples, outcomes)
    }
}

/// An attack that can go on where another one stopped.
pub(super) trait Resume: AnyAttack {
    /// Goes on under the name `name` with samples of which something has been asked already.
    fn resume(
        &self,
        name: &'static str,
        session: &Session<'_>,
        samples: &[Sample<'_>],
        outcomes: Vec<Outcome>,
    ) -> (Vec<Outcome>, Result<()>);
}

impl<T: Attack + Serialize> Resume for T {
    fn resume(
        &self,
        name: &'static str,
        session: &Session<'_>,
        samples: &[Sample<'_>],
        outcomes: Vec<Outcome>,
    ) -> (Vec<Outcome>, Result<()>) {
        let mut target = Target::resume(session, name, samples, outcomes);
        if Attack::family(self) != Family::FixedBudget {
            target.lift_budget();
        }
        let ended = family::expect_norm(self, session.threat.norm)
            .and_then(|()| Attack::run(self, &mut target));
        (target.into_outcomes(), ended)
    }
}
