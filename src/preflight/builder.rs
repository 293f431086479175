//! What to look at, and how far.

use std::borrow::Cow;
use std::sync::Arc;

use super::checks::CHECKS;
use super::rehearse::rehearse;
use super::subject::{self, Subject};
use crate::cancel::Cancel;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::finding::{Finding, Severity};
use crate::loss::Loss;
use crate::model::Classifier;
use crate::threat::{Bounds, Threat};

/// Checks of a model and its data, before anything is attacked.
///
/// # Cost
/// With n samples (64 at the most, unless told otherwise), a forward pass each; for 32 of them, another and, where
/// gradients are looked at, a backward one; a second look at 8; three in a batch. Building a plan that shows activations
/// takes about as long as loading the model. Only where something is suspicious are there more: three backward passes
/// through a plan that shows every cotangent where gradients vanish, and up to 12 n forward passes where the accuracy
/// suggests that the data are prepared in another way than the model expects.
///
/// # What it does not do
/// It never changes what an attack finds: a model is left in the state that an evaluation would bring it into.
///
/// # Example
/// ```
/// # fn main() -> ironbound::Result<()> {
/// use ironbound::{Dataset, Model, Preflight, Severity};
///
/// let model = Model::load("examples/assets/digits_cnn.onnx")?;
/// let data = Dataset::from_npz("examples/assets/digits_test.npz")?;
/// let findings = Preflight::new(&model, &data).run()?;
/// assert!(findings.iter().all(|finding| finding.severity == Severity::Info));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Preflight<'a> {
    model: &'a dyn Classifier,
    data: Option<&'a Dataset>,
    threats: Vec<Threat>,
    losses: Vec<Arc<dyn Loss>>,
    gradients: bool,
    samples: usize,
    offset: usize,
    limit: Option<usize>,
    seed: u64,
    cancel: Cancel,
}

impl std::fmt::Debug for Preflight<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preflight")
            .field("model", self.model.info())
            .field("threats", &self.threats)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

impl<'a> Preflight<'a> {
    /// How many samples are looked at unless told otherwise.
    pub const SAMPLES: usize = 64;

    /// A preflight of `model` on `data`, whose samples are brought into the shape of the model's input as an evaluation
    /// does it.
    #[must_use]
    pub fn new(model: &'a dyn Classifier, data: &'a Dataset) -> Self {
        Self { data: Some(data), ..Self::without_data(model) }
    }

    /// A preflight without data: on samples drawn uniformly from [0, 1] (divided by the scale of the model's
    /// preprocessing). What takes labels or real data is not looked at.
    #[must_use]
    pub fn without_data(model: &'a dyn Classifier) -> Self {
        Self {
            model,
            data: None,
            threats: vec![],
            losses: vec![],
            gradients: true,
            samples: Self::SAMPLES,
            offset: 0,
            limit: None,
            seed: 0,
            cancel: Cancel::default(),
        }
    }

    /// Adds a threat, whose bounds the data should fit.
    #[must_use]
    pub fn threat(mut self, threat: Threat) -> Self {
        self.threats.push(threat);
        self
    }

    /// Adds a loss that will be attacked; cross-entropy where none is given. The first is the one whose gradient is
    /// looked at.
    #[must_use]
    pub fn loss(mut self, loss: Arc<dyn Loss>) -> Self {
        self.losses.push(loss);
        self
    }

    /// Whether to look at gradients; yes by default.
    #[must_use]
    pub fn gradients(self, gradients: bool) -> Self {
        Self { gradients, ..self }
    }

    /// How many samples to look at, at the most: evenly spaced ones of the data.
    #[must_use]
    pub fn samples(self, samples: usize) -> Self {
        Self { samples, ..self }
    }

    /// Looks only at the `limit` samples (all, when none) from index `offset` on.
    #[must_use]
    pub fn range(self, offset: usize, limit: Option<usize>) -> Self {
        Self { offset, limit, ..self }
    }

    /// Keys the samples that are drawn where there is no data.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The flag that stops it.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Everything that is known: the notes of the model and of the data, then what the checks found. The same samples
    /// give the same findings.
    ///
    /// # Errors
    /// [`Error::Parameter`] for settings out of range; [`Error::Data`] for samples that do not fit the model;
    /// [`Error::Cancelled`]. A model that cannot be run is a finding.
    pub fn run(&self) -> Result<Vec<Finding>> {
        self.bound(|preflight| {
            let data = preflight.prepared()?;
            let found = preflight.checks(&data)?;
            let noted = preflight.data.map(|_| data.notes()).unwrap_or_default();
            Ok([&preflight.model.notes()[..], noted, &found].concat())
        })
    }

    /// Does something with this preflight, of a model that has all that it takes of the data.
    ///
    /// # Errors
    /// [`Error::Data`] when the data set lacks an input of the model; those of `then`.
    pub(crate) fn bound<T>(&self, then: impl FnOnce(&Preflight<'_>) -> Result<T>) -> Result<T> {
        let Some(data) = self.data else { return then(self) };
        data.bound_to(self.model, |model, data| {
            then(&Preflight { model, data: Some(data), ..self.clone() })
        })
    }

    /// What the checks find on `data`, which fits the model.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn checks(&self, data: &Dataset) -> Result<Vec<Finding>> {
        self.look(data).map(|(found, _)| found)
    }

    /// As [`checks`](Self::checks), with what was looked at; none when the model cannot be run.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn look<'s>(
        &'s self,
        data: &'s Dataset,
    ) -> Result<(Vec<Finding>, Option<Subject<'s>>)> {
        let mut found = vec![];
        if self.data.is_none() {
            found.push(subject::drawn(self.model, data.len()));
        }
        self.cancel.check()?;
        let look = || {
            // A model without gradients can be looked at all the same.
            if !(self.gradients && rehearse(self.model, data, true).is_ok()) {
                rehearse(self.model, data, false)?;
            }
            Subject::look(self.setting(), data)
        };
        let subject = match look() {
            Ok(subject) => subject,
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                found.push(check_failed(Severity::Error, "the model", &error.one_line()));
                return Ok((found, None));
            }
        };
        for (name, check) in CHECKS {
            self.cancel.check()?;
            match check(&subject) {
                Ok(findings) => found.extend(findings),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => {
                    let what = format!("the check of {name}");
                    found.push(check_failed(Severity::Warning, &what, &error.one_line()));
                }
            }
        }
        Ok((found, Some(subject)))
    }

    fn setting(&self) -> subject::Setting<'_> {
        subject::Setting {
            model: self.model,
            threats: &self.threats,
            losses: &self.losses,
            gradients: self.gradients,
            samples: self.samples,
            offset: self.offset,
            limit: self.limit,
            drawn: self.data.is_none(),
            cancel: &self.cancel,
        }
    }

    /// The data in the shape of the model's input, or drawn.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn prepared(&self) -> Result<Cow<'a, Dataset>> {
        if self.samples == 0 {
            return Err(Error::parameter("samples", 0, "expected at least 1"));
        }
        for threat in &self.threats {
            threat.bounds.validate(self.model.features())?;
            threat.domain.validate(self.model.features())?;
        }
        let Some(data) = self.data else {
            return subject::draw(self.model, self.samples, self.seed).map(Cow::Owned);
        };
        let data = data.shaped_for(self.model)?;
        data.validate(&Bounds::NONE, self.model.classes())?;
        if self.offset >= data.len() {
            let expected = format!("expected less than the number of samples, {}", data.len());
            return Err(Error::parameter("offset", self.offset, expected));
        }
        if self.limit == Some(0) {
            return Err(Error::parameter("limit", 0, "expected at least 1"));
        }
        Ok(data)
    }

    pub(crate) fn model(&self) -> &'a dyn Classifier {
        self.model
    }
}

/// Says that a check could not be run.
pub(crate) fn check_failed(severity: Severity, what: &str, error: &str) -> Finding {
    let message = format!("{what} could not be run: {error}");
    Finding::new(severity, "check-failed", message)
}
