//! What attacks and the evaluator need of a model.

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bound::Bound;
use super::given::Given;
use super::inspect::Inspector;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::goal::Aim;
use crate::loss::Loss;

/// What a report says of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelInfo {
    /// The file, or the name that it was given.
    pub path: String,
    /// SHA-256 of the file's bytes, lower-case hexadecimal.
    pub sha256: String,
    /// The name of the attacked input or inner tensor.
    pub input: String,
    /// The output that holds the logits (or probabilities).
    pub output: String,
    /// The tensor whose values are the attacked scores: the output, or one upstream of it.
    pub logits: String,
    /// The shape of one sample, without the batch axis.
    pub shape: Vec<usize>,
    /// The version of ONNX's operator set that the file states; 0 for none.
    pub opset: i64,
    /// How many classes the logits have.
    pub classes: usize,
    /// How the file was loaded: the [`ModelOptions`](crate::ModelOptions), null for a classifier of one's own.
    pub options: serde_json::Value,
    /// What loading showed a reader must know, such as which tensor is attacked and why.
    pub notes: Vec<Finding>,
}

impl ModelInfo {
    /// Refuses another model than the one whose file has this SHA-256.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the one that it has.
    pub fn expect_sha256(&self, sha256: &str) -> Result<()> {
        if self.sha256.eq_ignore_ascii_case(sha256) {
            return Ok(());
        }
        let expected = format!("the SHA-256 of {} is {}", self.path, self.sha256);
        Err(Error::parameter("expect-sha256", sha256, expected))
    }
}

/// Points to run: rows of one sample's features each, and which samples they are variants of.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// `rows x features`.
    pub inputs: &'a [f32],
    /// The index in the data set of each row's sample, by which a model finds what else it is given of that sample.
    /// Empty for points that belong to no data set.
    pub samples: &'a [usize],
}

impl<'a> From<&'a [f32]> for Batch<'a> {
    fn from(inputs: &'a [f32]) -> Self {
        Self { inputs, samples: &[] }
    }
}

/// A batch's logits, losses and input gradients, each row-major; reused from call to call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossGradient {
    /// `samples x classes`.
    pub logits: Vec<f32>,
    /// One loss per sample.
    pub loss: Vec<f32>,
    /// d loss / d input, `samples x features`.
    pub gradient: Vec<f32>,
}

/// A differentiable classifier. [`Model`](crate::Model) is one; implement it to attack a function of your own.
///
/// A sample's result must not depend on its neighbours in the batch, nor on the batch's size.
pub trait Classifier: Debug + Send + Sync {
    /// What a report says of the model.
    fn info(&self) -> &ModelInfo;

    /// What a reader of a report must know: [`ModelInfo::notes`] and what running showed since.
    fn notes(&self) -> Vec<Finding> {
        self.info().notes.clone()
    }

    /// The model file behind it, if there is one whose graph computes exactly these logits: what
    /// [`Preflight`](crate::Preflight) looks into.
    fn inspector(&self) -> Option<Inspector<'_>> {
        None
    }

    /// Features of one sample.
    fn features(&self) -> usize {
        self.info().shape.iter().product()
    }

    /// Classes, two or more.
    fn classes(&self) -> usize {
        self.info().classes
    }

    /// Writes the logits of a batch into `logits` (`rows x classes`, resized).
    ///
    /// # Errors
    /// When the model cannot be run.
    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()>;

    /// Writes the logits of rows, each as if run on its own, as a deployed model would run it: what a judge believes.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    fn logits_alone(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        self.logits(batch, logits)
    }

    /// Whether it has been run before, with `gradients` or without, so that a first run has nothing left to settle or to
    /// refuse.
    fn has_run(&self, gradients: bool) -> bool {
        let _ = gradients;
        false
    }

    /// Finds what the model takes of a data set besides the attacked input; none when it takes nothing else.
    ///
    /// # Errors
    /// [`Error::Data`], naming the input, when the data set lacks it.
    fn bind<'a>(&'a self, given: &Given<'_>) -> Result<Option<Bound<'a>>> {
        let _ = given;
        Ok(None)
    }

    /// Whether it compares points with the clean input of their sample, which it must be [given](Self::anchor) before.
    fn compares_with_clean(&self) -> bool {
        false
    }

    /// Whether its scores may have a zero slope at every clean input by their nature, as a distance from there has.
    fn is_flat_at_clean(&self) -> bool {
        false
    }

    /// The model with what it compares points with at the clean inputs of a data set, one row per sample, in the model's
    /// shape; none when it compares them with nothing, or knows it.
    ///
    /// # Errors
    /// When the model cannot be run.
    fn anchor<'a>(&'a self, clean: Batch<'_>) -> Result<Option<Box<dyn Classifier + 'a>>> {
        let _ = clean;
        Ok(None)
    }

    /// Writes the logits of a batch in double precision, and says whether it could: audits take differences of them.
    ///
    /// The inputs are those of [`logits`](Self::logits), not rounded. What is written must be, but for rounding, what
    /// `logits` gives.
    ///
    /// # Errors
    /// When the model cannot be run.
    fn precise_logits(
        &self,
        inputs: &[f64],
        samples: &[usize],
        logits: &mut Vec<f64>,
    ) -> Result<bool> {
        let _ = (inputs, samples, logits);
        Ok(false)
    }

    /// How many samples are worth running together: fewer leave it idle, more only take memory.
    fn preferred_batch(&self) -> usize {
        1
    }

    /// Writes logits, losses and input gradients of a batch into `out`; one aim per row.
    ///
    /// # Errors
    /// When the model cannot be run or differentiated.
    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()>;
}

/// Refuses an answer of the wrong length, which would leave samples unanswered.
pub(crate) fn expect_len(
    model: &dyn Classifier,
    what: &str,
    found: usize,
    expected: usize,
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let problem = format!("the model returned {found} {what}, expected {expected}");
    Err(Error::Model { model: model.info().path.clone(), problem, source: None })
}
