//! Runnable plans: built once per kind and batch size, shared by all threads.

use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::plan::SimpleState;

use super::graph::Graph;
use super::guard::guard;
use super::job::Job;
use super::source::Source;
use crate::error::{Error, Result};
use crate::grad::{self, LossHead, Objective, StraightThrough};
use crate::lowering::{self, lower};
use crate::pool::Pool;
use crate::profile::{self, Stage};

type State = SimpleState<TypedFact, Box<dyn TypedOp>>;

/// What a plan computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Logits.
    Forward,
    /// Logits, losses, input gradients.
    Gradient,
}

/// An optimised graph for one batch size, with the states that idle threads left behind.
#[derive(Debug)]
pub(super) struct Plan {
    plan: Arc<TypedRunnableModel>,
    batch: usize,
    shape: TVec<usize>,
    /// The inputs besides the attacked one.
    others: Vec<Source>,
    idle: Mutex<Vec<State>>,
}

impl Plan {
    /// Types, differentiates (if asked) and optimises the graph for `batch` samples.
    pub(super) fn build(graph: &Graph, kind: Kind, batch: usize) -> Result<Self> {
        let _within = profile::enter(Stage::Plan);
        let (mut model, _) = graph.forward(batch)?;
        let fail =
            |cause: TractError| Error::model(&graph.name, "tract cannot prepare it to run", cause);
        // Nodes that gradients pass straight through are known by their names.
        if graph.through.is_none() {
            model = guard(|| lowering::prepare(model)).map_err(fail)?;
        }
        if kind == Kind::Gradient {
            differentiate(&graph.name, &mut model, &graph.through)?;
        }
        let prepare = || -> TractResult<Arc<TypedRunnableModel>> {
            let mut model = model.into_decluttered()?;
            lower(&mut model)?;
            model.into_optimized()?.into_runnable()
        };
        let plan = guard(prepare).map_err(fail)?;
        let shape = std::iter::once(batch).chain(graph.shape.iter().copied()).collect();
        let others = graph.others().cloned().collect();
        Ok(Self { plan, batch, shape, others, idle: Mutex::default() })
    }

    /// Runs the plan on a job of its batch size and kind.
    pub(super) fn run(&self, job: Job<'_>) -> TractResult<()> {
        let _within = profile::enter(Stage::Forward);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut state = idle.map_or_else(|| self.plan.spawn(), Ok)?;
        state.turn_state.shared.entry::<Pool>().or_default().reset();
        if let Some(backward) = &job.backward {
            let objective =
                Objective { loss: Arc::clone(backward.loss), aims: backward.aims.to_vec() };
            state.turn_state.shared.insert(objective);
        }
        let mut inputs = tvec![Tensor::from_shape(&self.shape, job.inputs)?.into_tvalue()];
        for (index, source) in self.others.iter().enumerate() {
            inputs.push(job.others.tensor(index, source, self.batch)?.into_tvalue());
        }
        let results = guard(|| state.run(inputs))?;
        copy(&results, 0, job.logits)?;
        if let Some(backward) = job.backward {
            copy(&results, 1, backward.losses)?;
            copy(&results, 2, backward.gradient)?;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        Ok(())
    }
}

fn copy(results: &[TValue], output: usize, out: &mut [f32]) -> TractResult<()> {
    let result = results[output].try_as_plain_ram()?;
    let values = result.as_slice::<f32>()?;
    ensure!(
        values.len() == out.len(),
        "output {output} has {} values, not {}",
        values.len(),
        out.len()
    );
    out.copy_from_slice(values);
    Ok(())
}

/// Turns a forward graph (data in, logits out) into one with outputs logits, losses, d loss / d data.
fn differentiate(name: &str, model: &mut TypedModel, through: &StraightThrough) -> Result<()> {
    let fail = |cause: TractError| Error::model(name, "its gradient cannot be built", cause);
    let logits = model.output_outlets().map_err(fail)?[0];
    let input = model.input_outlets().map_err(fail)?[0];
    let nodes = grad::unsupported(model, logits, input, through).map_err(fail)?;
    if !nodes.is_empty() {
        return Err(Error::NotDifferentiable { model: name.into(), nodes });
    }
    let emit = |model: &mut TypedModel| -> TractResult<()> {
        let head = model.wire_node("ironbound.loss", LossHead, &[logits])?;
        let gradient = grad::backward(model, logits, head[1], input, through)?;
        model.select_output_outlets(&[logits, head[0], gradient])
    };
    guard(|| emit(model)).map_err(fail)
}
