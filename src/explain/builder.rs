//! What to explain, and how.

use ndarray::{ArrayD, IxDyn};

use super::{Explanation, Explanations, Focus, Method, ScoreKind, Subject};
use crate::cancel::Cancel;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::goal::{Aim, argmax};
use crate::model::{Batch, Classifier, expect_len};
use crate::progress::Progress;
use crate::threat::Bounds;

/// Explains samples of a data set.
///
/// Defaults: every sample, the logit of the predicted class, [integrated gradients](super::IntegratedGradients), seed 0. The
/// same seed gives the same bits, whatever other samples are explained.
#[derive(Clone, Debug)]
pub struct Explain<'a> {
    model: &'a dyn Classifier,
    data: &'a Dataset,
    samples: Option<Vec<usize>>,
    method: Method,
    focus: Focus,
    score: ScoreKind,
    seed: u64,
    cancel: Cancel,
    progress: Progress<'a>,
}

impl<'a> Explain<'a> {
    /// Explains what `model` makes of `data`, which is brought into the shape of the model's input where that is
    /// unambiguous: see [`Dataset::reshaped_for`].
    #[must_use]
    pub fn new(model: &'a dyn Classifier, data: &'a Dataset) -> Self {
        let (method, focus, score) = Default::default();
        Self {
            model,
            data,
            samples: None,
            method,
            focus,
            score,
            seed: 0,
            cancel: Cancel::default(),
            progress: Progress::default(),
        }
    }

    /// Explains these samples only, named by their indices in the file, in this order.
    #[must_use]
    pub fn samples(self, ids: impl IntoIterator<Item = usize>) -> Self {
        Self { samples: Some(ids.into_iter().collect()), ..self }
    }

    /// Explains by another method.
    #[must_use]
    pub fn method(self, method: impl Into<Method>) -> Self {
        Self { method: method.into(), ..self }
    }

    /// Explains another class.
    #[must_use]
    pub fn focus(self, focus: Focus) -> Self {
        Self { focus, ..self }
    }

    /// Explains another number of the class.
    #[must_use]
    pub fn score(self, score: ScoreKind) -> Self {
        Self { score, ..self }
    }

    /// Keys every random draw.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The flag that stops the run.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Tells how far it is: the steps that are done, and how many there are; from any thread, in any order.
    #[must_use]
    pub fn progress(self, told: &'a (dyn Fn(usize, usize) + Sync)) -> Self {
        Self { progress: Progress::new(told), ..self }
    }

    /// Explains.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a setting out of range, and for a sample or a class that is not there; [`Error::Data`] for
    /// samples that do not fit the model; [`Error::NonFiniteLogit`] and [`Error::NonFiniteGradient`]; [`Error::Cancelled`];
    /// the model's errors.
    pub fn run(&self) -> Result<Explanations> {
        self.method.explainer().validate()?;
        self.data.bound_to(self.model, |model, data| {
            let data = data.shaped_for(model)?;
            Explain { model, ..self.clone() }.run_bound(&data)
        })
    }

    fn run_bound(&self, data: &Dataset) -> Result<Explanations> {
        let classes = self.model.classes();
        if let Focus::Class(class) = self.focus
            && class >= classes
        {
            let expected = format!("the model has {classes} classes, 0 to {}", classes.max(1) - 1);
            return Err(Error::parameter("class", class, expected));
        }
        data.validate(&Bounds::NONE, classes)?;
        let places: Vec<usize> = match &self.samples {
            None => (0..data.len()).collect(),
            Some(ids) => ids.iter().map(|id| place(data, *id)).collect::<Result<_>>()?,
        };
        let total = places.len();
        let explanations = places.into_iter().enumerate().map(|(at, place)| {
            let explanation = self.one(data, place);
            self.progress.tell(at + 1, total);
            explanation
        });
        Ok(Explanations {
            model: self.model.info().clone(),
            data: data.into(),
            method: self.method.clone(),
            focus: self.focus,
            score: self.score,
            seed: self.seed,
            explanations: explanations.collect::<Result<_>>()?,
        })
    }

    fn one(&self, data: &Dataset, place: usize) -> Result<Explanation> {
        let (input, sample, label) = (data.sample(place), data.id(place), data.labels()[place]);
        let mut logits = vec![];
        self.model.logits_alone(Batch { inputs: input, samples: &[sample] }, &mut logits)?;
        expect_len(self.model, "logits", logits.len(), self.model.classes())?;
        if let Some(class) = logits.iter().position(|z| !z.is_finite()) {
            return Err(Error::NonFiniteLogit { sample, class, value: logits[class] });
        }
        let prediction = argmax(&logits);
        let class = match self.focus {
            Focus::Prediction => prediction,
            Focus::Label => label,
            Focus::Class(class) => class,
        };
        let subject = Subject {
            model: self.model,
            loss: self.score.loss(),
            aim: Aim::targeted(class, class),
            input,
            sample,
            seed: self.seed,
            cancel: &self.cancel,
        };
        let attribution = self.method.explainer().attribute(&subject)?;
        Ok(Explanation {
            sample,
            label,
            prediction,
            class,
            score: subject.score_of(&logits),
            input: shaped(&subject, input.to_vec())?,
            map: shaped(&subject, attribution.values)?,
            completeness: attribution.completeness,
        })
    }
}

/// Where a sample of the file is in a data set.
pub(crate) fn place(data: &Dataset, id: usize) -> Result<usize> {
    data.ids().iter().position(|known| *known == id).ok_or_else(|| {
        let expected = match data.ids() {
            [first, .., last] => format!("{} has samples {first} to {last}", data.path()),
            _ => format!("{} has sample {} only", data.path(), data.id(0)),
        };
        Error::parameter("samples", id, expected)
    })
}

fn shaped<T>(subject: &Subject<'_>, values: Vec<T>) -> Result<ArrayD<T>> {
    let found = values.len();
    ArrayD::from_shape_vec(IxDyn(subject.shape()), values).map_err(|_| {
        let expected = format!("expected one per feature of a sample, {:?}", subject.shape());
        Error::parameter("map", format!("{found} numbers"), expected)
    })
}
