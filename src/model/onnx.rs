//! A model file, loaded.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD, ArrayViewD};
use sha2::{Digest, Sha256};

use super::bound::Bound;
use super::classifier::{Batch, Classifier, LossGradient, ModelInfo};
use super::given::{Given, SampleArray};
use super::graph::Graph;
use super::inner::Inner;
use super::inspect::Inspector;
use super::job::{Backward, Job, Others};
use super::notes;
use super::options::ModelOptions;
use super::plan::Kind;
use super::runner::Runner;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::goal::{Aim, argmax};
use crate::loss::Loss;
use crate::profile::{self, Stage};

/// An ONNX classifier that can be run and differentiated, on any number of samples, from any number of threads.
///
/// Plans are built on first use, a few per model, and shared. Where the graph takes no batch but one, or gives other
/// results in a batch than alone, the model says so once ([`log::warn!`] and [`one_by_one`](Self::one_by_one)) and
/// runs one sample at a time, with the same results.
#[derive(Debug)]
pub struct Model {
    pub(super) runner: Runner,
    info: ModelInfo,
}

impl Model {
    /// Loads a file: its only or first input and output, no preprocessing.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Model`] or [`Error::Node`] when it is no ONNX model, or
    /// one that tract cannot run.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &ModelOptions::default())
    }

    /// Loads a file.
    ///
    /// # Errors
    /// As [`load`](Self::load); also [`Error::UnknownTensor`] and [`Error::Parameter`] for options that do not fit.
    pub fn load_with(path: impl AsRef<Path>, options: &ModelOptions) -> Result<Self> {
        let path = path.as_ref();
        let bytes = profile::timed(Stage::Load, || std::fs::read(path))
            .map_err(|source| Error::Io { path: path.into(), source })?;
        Self::build(&bytes, &path.display().to_string(), path.parent(), options)
    }

    /// Loads a model from the bytes of a file; `name` stands for the path in messages and reports.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::from_bytes_with(bytes, name, &ModelOptions::default())
    }

    /// Loads a model from the bytes of a file.
    ///
    /// # Errors
    /// As [`load_with`](Self::load_with).
    pub fn from_bytes_with(bytes: &[u8], name: &str, options: &ModelOptions) -> Result<Self> {
        Self::build(bytes, name, None, options)
    }

    fn build(
        bytes: &[u8],
        name: &str,
        folder: Option<&Path>,
        options: &ModelOptions,
    ) -> Result<Self> {
        let _within = profile::enter(Stage::Load);
        let graph = Graph::parse(bytes, name, folder, options)?;
        let (forward, logits) = graph.forward(1)?;
        let mut notes = notes::notes(&graph, &logits);
        notes.extend(graph.nodes.note(name, &options.straight_through, &forward)?);
        let info = ModelInfo {
            path: name.into(),
            sha256: hex(&Sha256::digest(bytes)),
            input: graph.input.clone(),
            output: graph.output.clone(),
            shape: graph.shape.clone(),
            classes: logits.classes,
            options: serde_json::to_value(options).unwrap_or_default(),
            opset: graph.opset,
            logits: notes::tensor(&graph, &logits),
            notes: [notes, graph.notes.clone()].concat(),
        };
        Ok(Self { runner: Runner::new(graph), info })
    }

    /// The inputs besides the attacked one that have no constant value: each takes an array of the data set with its
    /// name.
    #[must_use]
    pub fn further_inputs(&self) -> Vec<&str> {
        let graph = &self.runner.graph;
        let inner = graph.inner.iter().flat_map(Inner::sources);
        let mut names: Vec<&str> = graph.others().chain(inner).map(|s| &*s.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the outputs are left as they are, for an objective.
    pub(crate) fn has_raw_outputs(&self) -> bool {
        self.runner.graph.raw
    }

    /// Why the model runs one sample at a time, once that is known.
    #[must_use]
    pub fn one_by_one(&self) -> Option<&str> {
        self.runner.one_by_one()
    }

    /// The logits of samples, `batch x shape`; gives `batch x classes`.
    ///
    /// # Errors
    /// [`Error::Data`] when the shape does not fit; [`Error::Model`] when the model cannot be run.
    pub fn logits(&self, inputs: ArrayViewD<'_, f32>) -> Result<Array2<f32>> {
        let mut logits = vec![];
        Classifier::logits(self, self.flat(&inputs)?[..].into(), &mut logits)?;
        let shape = (inputs.shape()[0], self.info.classes);
        Array2::from_shape_vec(shape, logits).map_err(|error| self.misfit(error.to_string()))
    }

    /// The predicted classes of samples, `batch x shape`: the first argmax of the logits.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn predict(&self, inputs: ArrayViewD<'_, f32>) -> Result<Vec<usize>> {
        let mut logits = vec![];
        Classifier::logits(self, self.flat(&inputs)?[..].into(), &mut logits)?;
        Ok(logits.chunks_exact(self.info.classes).map(argmax).collect())
    }

    /// Losses and d loss / d input of samples, `batch x shape`, one aim each.
    ///
    /// # Errors
    /// As [`logits`](Self::logits); also [`Error::NotDifferentiable`], naming every node without a rule.
    pub fn loss_and_gradient(
        &self,
        inputs: ArrayViewD<'_, f32>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
    ) -> Result<(Array1<f32>, ArrayD<f32>)> {
        let mut out = LossGradient::default();
        Classifier::loss_and_gradient(self, self.flat(&inputs)?[..].into(), aims, loss, &mut out)?;
        let gradient = ArrayD::from_shape_vec(inputs.raw_dim(), out.gradient)
            .map_err(|error| self.misfit(error.to_string()))?;
        Ok((out.loss.into(), gradient))
    }

    /// The nodes of the file that round and so make every gradient zero, in forward order, as (name, operator): those
    /// that [`straight_through`](ModelOptions::straight_through) would have to name. Empty where a gradient gets through.
    ///
    /// # Errors
    /// [`Error::NotDifferentiable`], naming every node without a rule; [`Error::Model`] when one cannot be applied.
    pub fn gradient_cuts(&self) -> Result<Vec<(String, String)>> {
        let graph = &self.runner.graph;
        let (forward, _) = graph.forward(1)?;
        graph.nodes.cuts(&graph.name, &forward, &graph.through)
    }

    /// The values of a batch in row-major order.
    fn flat(&self, inputs: &ArrayViewD<'_, f32>) -> Result<Vec<f32>> {
        if inputs.ndim() == 0 || inputs.shape()[1..] != self.info.shape {
            return Err(self.misfit(format!(
                "the batch has shape {:?}, expected any number of samples of shape {:?}",
                inputs.shape(),
                self.info.shape
            )));
        }
        Ok(inputs.iter().copied().collect())
    }

    /// Writes logits; `arrays` holds what the model takes besides the attacked input, `alone` runs row by row.
    pub(super) fn run_forward(
        &self,
        batch: Batch<'_>,
        arrays: &[&SampleArray],
        logits: &mut Vec<f32>,
        alone: bool,
    ) -> Result<()> {
        let rows = self.rows(batch, arrays)?;
        logits.resize(rows * self.info.classes, 0.0);
        let others = Others { arrays, samples: batch.samples };
        let job = Job { rows, inputs: batch.inputs, others, logits, backward: None };
        if alone { self.runner.run_singly(job) } else { self.runner.run(job) }
    }

    /// Writes logits, losses and gradients; `arrays` as in [`run_forward`](Self::run_forward).
    pub(super) fn run_backward(
        &self,
        batch: Batch<'_>,
        arrays: &[&SampleArray],
        (aims, loss): (&[Aim], &Arc<dyn Loss>),
        out: &mut LossGradient,
    ) -> Result<()> {
        let rows = self.rows(batch, arrays)?;
        let classes = self.info.classes;
        if aims.len() != rows {
            return Err(self.misfit(format!("{} aims for {rows} samples", aims.len())));
        }
        let class_of = |aim: &Aim| aim.label.max(aim.target.unwrap_or(0));
        if let Some(row) = aims.iter().position(|aim| class_of(aim) >= classes) {
            return Err(self.misfit(format!(
                "the aim of row {row} names class {}, the model has classes 0 to {}",
                class_of(&aims[row]),
                classes - 1
            )));
        }
        out.logits.resize(rows * classes, 0.0);
        out.loss.resize(rows, 0.0);
        out.gradient.resize(batch.inputs.len(), 0.0);
        let others = Others { arrays, samples: batch.samples };
        let backward = Backward { loss, aims, losses: &mut out.loss, gradient: &mut out.gradient };
        let backward = Some(backward);
        let inputs = batch.inputs;
        self.runner.run(Job { rows, inputs, others, logits: &mut out.logits, backward })
    }

    /// Writes logits in double precision, and says whether the graph runs in it.
    pub(super) fn run_precise(
        &self,
        inputs: &[f64],
        others: Others<'_>,
        logits: &mut Vec<f64>,
    ) -> Result<bool> {
        logits.clear();
        let features = self.features();
        for (row, input) in inputs.chunks_exact(features).enumerate() {
            let others =
                Others { samples: others.samples.get(row..=row).unwrap_or_default(), ..others };
            match self.runner.precise(input, others)? {
                Some(of_row) => logits.extend(of_row),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// How many rows a batch holds.
    pub(super) fn rows(&self, batch: Batch<'_>, arrays: &[&SampleArray]) -> Result<usize> {
        let (inputs, features) = (batch.inputs, self.features());
        if !inputs.len().is_multiple_of(features) {
            return Err(self.misfit(format!(
                "the batch has {} values, not a multiple of the {features} of one sample",
                inputs.len()
            )));
        }
        let rows = inputs.len() / features;
        if !arrays.is_empty() && batch.samples.len() != rows {
            return Err(self.misfit(format!(
                "{} sample indices for {rows} rows: without them the model's other inputs cannot be found",
                batch.samples.len()
            )));
        }
        Ok(rows)
    }

    pub(super) fn misfit(&self, problem: String) -> Error {
        Error::Data { file: self.info.path.clone(), problem, source: None }
    }
}

impl Classifier for Model {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn inspector(&self) -> Option<Inspector<'_>> {
        Some(Self::inspector(self))
    }

    fn notes(&self) -> Vec<Finding> {
        let one_by_one = self.one_by_one().map(|reason| {
            Finding::info("one-by-one", format!("the model runs one sample at a time: {reason}"))
        });
        self.info.notes.iter().cloned().chain(one_by_one).collect()
    }

    fn bind<'a>(&'a self, given: &Given<'_>) -> Result<Option<Bound<'a>>> {
        self.bind_to(given)
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        self.run_forward(batch, &[], logits, false)
    }

    fn logits_alone(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        self.run_forward(batch, &[], logits, true)
    }

    fn has_run(&self, gradients: bool) -> bool {
        self.runner.has_run(if gradients { Kind::Gradient } else { Kind::Forward })
    }

    fn precise_logits(
        &self,
        inputs: &[f64],
        samples: &[usize],
        logits: &mut Vec<f64>,
    ) -> Result<bool> {
        self.run_precise(inputs, Others { arrays: &[], samples }, logits)
    }

    fn preferred_batch(&self) -> usize {
        self.runner.preferred_batch()
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.run_backward(batch, &[], (aims, loss), out)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
