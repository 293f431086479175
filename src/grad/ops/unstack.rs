//! Takes a step out of a stack of steps.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Drops the leading axis, which is one long. Unlike tract's own operator it says nothing of where the other axes go:
/// tract 0.23.9 follows such axes out of a loop, to an input that is scanned along another one, and then turns the
/// loop's axes to and fro for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unstack;

impl Op for Unstack {
    fn name(&self) -> StaticName {
        "Unstack".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Unstack {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut tensor = args_1!(inputs).into_tensor();
        tensor.remove_axis(0)?;
        Ok(tvec![tensor.into_tvalue()])
    }
}

impl TypedOp for Unstack {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.clone();
        shape.remove_axis(0)?;
        Ok(tvec![inputs[0].datum_type.fact(shape)])
    }

    as_op!();
}
