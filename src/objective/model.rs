//! A model with an objective, as a classifier.

use std::collections::HashMap;
use std::sync::Arc;

use super::Objective;
use super::chain::{Aimed, Chain};
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::goal::Aim;
use crate::loss::Loss;
use crate::model::{Batch, Bound, Classifier, Given, LossGradient, Model, ModelInfo, expect_len};

/// A model whose outputs are judged by an [`Objective`]: a classifier with class 0 while the objective is not achieved, and a
/// class for each of its alternatives, whose score is the alternative's value.
///
/// Samples carry the label 0: see [`Dataset::without_labels`](crate::Dataset::without_labels). An untargeted attack looks for
/// any alternative, and a targeted one for the alternative `target - 1`. Clean accuracy is the share of samples at which the
/// objective is not achieved without an attack, robust accuracy that of samples at which no attack achieved it.
///
/// # Example: a regression that an attacker wants to raise
/// ```
/// use std::sync::Arc;
///
/// use ironbound::attack::Pgd;
/// use ironbound::objective::Above;
/// use ironbound::{Dataset, Evaluation, LossKind, Model, ModelOptions, Norm, ObjectiveModel, Threat};
///
/// # fn main() -> ironbound::Result<()> {
/// let options = ModelOptions { outputs: Some(vec![]), ..ModelOptions::default() };
/// let model = Model::load_with("examples/assets/digits_cnn.onnx", &options)?;
/// let above = Above { output: 3, value: 12.0 };
/// let model = ObjectiveModel::new(model, Arc::new(above))?;
/// let data = Dataset::from_npz("examples/assets/digits_test.npz")?.subset(0, Some(10))?.without_labels();
/// let pgd = Pgd { loss: LossKind::Margin, ..Pgd::default() };
/// let results =
///     Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.1)).attack(pgd).run()?;
/// assert_eq!(results.rows[0].attempts.len(), 10);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ObjectiveModel<'a> {
    model: Inner<'a>,
    objective: Arc<dyn Objective>,
    info: ModelInfo,
    /// The outputs at the clean inputs by index in the data set, where the objective needs them.
    clean: Option<HashMap<usize, Vec<f32>>>,
}

#[derive(Debug)]
enum Inner<'a> {
    Owned(Box<dyn Classifier + 'a>),
    Borrowed(&'a dyn Classifier),
}

impl Inner<'_> {
    fn get(&self) -> &dyn Classifier {
        match self {
            Self::Owned(model) => &**model,
            Self::Borrowed(model) => *model,
        }
    }
}

impl<'a> ObjectiveModel<'a> {
    /// Joins a model that was loaded with [`ModelOptions::outputs`](crate::ModelOptions::outputs) with an objective.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the model was loaded as a classifier, or its outputs do not fit the objective.
    pub fn new(model: Model, objective: Arc<dyn Objective>) -> Result<Self> {
        if !model.has_raw_outputs() {
            let expected =
                "expected a model loaded with `outputs`, whose values are left as they are";
            return Err(Error::parameter("outputs", "not given", expected));
        }
        Self::over(model, objective)
    }

    /// The same for a model of one's own, whose `logits` are the outputs; here they may be fewer than two.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn over(model: impl Classifier + 'a, objective: Arc<dyn Objective>) -> Result<Self> {
        Self::build(Inner::Owned(Box::new(model)), objective)
    }

    fn build(model: Inner<'a>, objective: Arc<dyn Objective>) -> Result<Self> {
        let of = model.get();
        let alternatives = objective.alternatives(of.classes())?;
        let name = objective.name();
        let mut info = of.info().clone();
        info.classes = 1 + alternatives;
        if let Some(options) = info.options.as_object_mut() {
            options.insert("objective".into(), name.clone().into());
        }
        let message = format!(
            "the attacker's objective is `{name}`, on the values of `{}`: accuracy is the share of samples at which it is \
             not achieved",
            info.output
        );
        info.notes.push(Finding::info("objective", message));
        Ok(Self { model, objective, info, clean: None })
    }

    fn alternatives(&self) -> usize {
        self.info.classes - 1
    }

    /// The outputs at a row's clean input; none where the objective does not need them.
    fn clean_of(&self, samples: &[usize], row: usize) -> Result<&[f32]> {
        if !self.objective.needs_clean() {
            return Ok(&[]);
        }
        let known = self.clean.as_ref().zip(samples.get(row));
        let outputs = known.and_then(|(clean, sample)| clean.get(sample));
        outputs.map(Vec::as_slice).ok_or_else(|| Error::Model {
            model: self.info.path.clone(),
            problem: format!(
                "the objective `{}` compares with the clean input, which is not known of row {row}: run the model \
                 through an evaluation, or on what `anchor` gives",
                self.objective.name()
            ),
            source: None,
        })
    }

    fn to_scores(&self, samples: &[usize], outputs: &[f32], scores: &mut Vec<f32>) -> Result<()> {
        scores.clear();
        for (row, outputs) in outputs.chunks_exact(self.model.get().classes()).enumerate() {
            let (objective, clean) = (&self.objective, self.clean_of(samples, row)?);
            Chain { objective, alternatives: self.alternatives(), clean }.scores(outputs, scores);
        }
        Ok(())
    }

    /// Rows that share an aim and what they are compared with: one query of the model each.
    fn groups(&self, aims: &[Aim]) -> Vec<(Aim, Vec<usize>)> {
        if self.objective.needs_clean() {
            return aims.iter().enumerate().map(|(row, &aim)| (aim, vec![row])).collect();
        }
        let mut groups: Vec<(Aim, Vec<usize>)> = vec![];
        for (row, &aim) in aims.iter().enumerate() {
            match groups.iter_mut().find(|(of, _)| *of == aim) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((aim, vec![row])),
            }
        }
        groups
    }
}

impl Classifier for ObjectiveModel<'_> {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn notes(&self) -> Vec<Finding> {
        let own = self.info.notes.last().cloned();
        self.model.get().notes().into_iter().chain(own).collect()
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        let mut outputs = vec![];
        self.model.get().logits(batch, &mut outputs)?;
        self.to_scores(batch.samples, &outputs, logits)
    }

    fn logits_alone(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        let mut outputs = vec![];
        self.model.get().logits_alone(batch, &mut outputs)?;
        self.to_scores(batch.samples, &outputs, logits)
    }

    fn has_run(&self, gradients: bool) -> bool {
        self.model.get().has_run(gradients)
    }

    fn bind<'b>(&'b self, given: &Given<'_>) -> Result<Option<Bound<'b>>> {
        let Some(bound) = self.model.get().bind(given)? else { return Ok(None) };
        let mut model =
            ObjectiveModel::build(Inner::Owned(bound.model), Arc::clone(&self.objective))?;
        model.clean.clone_from(&self.clean);
        Ok(Some(Bound { model: Box::new(model), inputs: bound.inputs }))
    }

    fn compares_with_clean(&self) -> bool {
        self.objective.needs_clean() && self.clean.is_none()
    }

    fn is_flat_at_clean(&self) -> bool {
        self.objective.needs_clean()
    }

    fn anchor<'b>(&'b self, clean: Batch<'_>) -> Result<Option<Box<dyn Classifier + 'b>>> {
        if !self.compares_with_clean() {
            return Ok(None);
        }
        let of = self.model.get();
        let mut known = HashMap::new();
        for (at, &sample) in clean.samples.iter().enumerate() {
            let inputs = &clean.inputs[at * of.features()..][..of.features()];
            let mut outputs = vec![];
            of.logits_alone(Batch { inputs, samples: &[sample] }, &mut outputs)?;
            known.insert(sample, outputs);
        }
        let objective = Arc::clone(&self.objective);
        let (model, info) = (Inner::Borrowed(of), self.info.clone());
        Ok(Some(Box::new(ObjectiveModel { model, objective, info, clean: Some(known) })))
    }

    fn preferred_batch(&self) -> usize {
        self.model.get().preferred_batch()
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        let (of, classes) = (self.model.get(), self.info.classes);
        let (features, outputs) = (of.features(), of.classes());
        out.logits.resize(aims.len() * classes, 0.0);
        out.loss.resize(aims.len(), 0.0);
        out.gradient.resize(batch.inputs.len(), 0.0);
        let (mut answer, mut scores) = (LossGradient::default(), vec![]);
        for (aim, rows) in self.groups(aims) {
            let mut inputs = Vec::with_capacity(rows.len() * features);
            rows.iter()
                .for_each(|r| inputs.extend_from_slice(&batch.inputs[r * features..][..features]));
            let samples: Vec<usize> =
                rows.iter().filter_map(|&row| batch.samples.get(row).copied()).collect();
            let chained: Arc<dyn Loss> = Arc::new(Aimed {
                objective: Arc::clone(&self.objective),
                alternatives: self.alternatives(),
                clean: self.clean_of(batch.samples, rows[0])?.to_vec(),
                loss: Arc::clone(loss),
                aim,
            });
            let part = Batch { inputs: &inputs, samples: &samples };
            // The aim of the outputs themselves plays no part.
            let unused = vec![Aim::untargeted(0); rows.len()];
            of.loss_and_gradient(part, &unused, &chained, &mut answer)?;
            expect_len(of, "outputs", answer.logits.len(), rows.len() * outputs)?;
            self.to_scores(&samples, &answer.logits, &mut scores)?;
            for (at, row) in rows.into_iter().enumerate() {
                out.logits[row * classes..][..classes]
                    .copy_from_slice(&scores[at * classes..][..classes]);
                out.loss[row] = answer.loss[at];
                out.gradient[row * features..][..features]
                    .copy_from_slice(&answer.gradient[at * features..][..features]);
            }
        }
        Ok(())
    }
}
