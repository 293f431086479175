//! The loss at the end of the forward graph.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::goal::Aim;
use crate::loss::Loss;
use crate::profile;

/// What [`LossHead`] computes in a run: shared with the plan's state before the run.
#[derive(Clone, Debug)]
pub(crate) struct Objective {
    pub loss: Arc<dyn Loss>,
    /// One aim per row.
    pub aims: Vec<Aim>,
}

/// Logits (`N x K`) in; losses (`N`) and d loss / d logits (`N x K`) out.
///
/// The [`Objective`] arrives by the state's shared resources, so one plan serves every loss and goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LossHead;

impl Op for LossHead {
    fn name(&self) -> StaticName {
        "LossHead".into()
    }

    op_as_typed_op!();
}

impl EvalOp for LossHead {
    not_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let objective = ctx.shared.and_then(|shared| shared.get::<Objective>());
        let Objective { loss, aims } = objective.context("no objective was set for this run")?;
        let logits = inputs[0].try_as_plain_ram()?;
        let (rows, classes) = (inputs[0].shape()[0], inputs[0].shape()[1]);
        ensure!(aims.len() == rows, "{} aims for {rows} rows", aims.len());
        let mut losses = Tensor::zero::<f32>(&[rows])?;
        let mut gradient = Tensor::zero::<f32>(&[rows, classes])?;
        {
            let mut losses = losses.try_as_plain_ram_mut()?;
            let mut gradient = gradient.try_as_plain_ram_mut()?;
            let rows = logits.as_slice::<f32>()?.chunks_exact(classes);
            let out = gradient.as_slice_mut::<f32>()?.chunks_exact_mut(classes);
            let out = losses.as_slice_mut::<f32>()?.iter_mut().zip(out);
            for ((logits, aim), (value, gradient)) in rows.zip(aims).zip(out) {
                *value = loss.value_and_gradient(logits, *aim, gradient);
            }
        }
        profile::turn_back();
        Ok(tvec![losses.into_tvalue(), gradient.into_tvalue()])
    }
}

impl TypedOp for LossHead {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let logits = inputs[0];
        ensure!(logits.rank() == 2 && logits.datum_type == f32::datum_type());
        Ok(tvec![f32::fact(&logits.shape[..1]), f32::fact(&*logits.shape)])
    }

    as_op!();
}
