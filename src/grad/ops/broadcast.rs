//! Broadcasting that tract's simplifications leave alone.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Repeats a tensor along its axes of length 1.
///
/// `MultiBroadcastTo` would do the same, but tract 0.23.9 drops it in front of an `EinSum` even where no other operand
/// restores the length (`declutter_broadcast`), which then changes the result's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broadcast {
    pub shape: TVec<usize>,
}

impl Op for Broadcast {
    fn name(&self) -> StaticName {
        "Broadcast".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Broadcast {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        Ok(tvec![inputs[0].broadcast_to_shape(&self.shape)?.into_tvalue()])
    }
}

impl TypedOp for Broadcast {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].datum_type.fact(&*self.shape)])
    }

    as_op!();
}
