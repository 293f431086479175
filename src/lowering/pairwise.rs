//! Sums and products of two tensors of one shape: such as residual connections', whose memory is used again.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::{Add, Mul};

use super::ending::{Clamp, Ending};
use crate::pool;
use crate::simd::vectorized;

/// `clamp(a + b)` or `clamp(a * b)`, in f32.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pairwise {
    shape: TVec<usize>,
    is_sum: bool,
    clamp: Clamp,
}

impl Eq for Pairwise {}

impl Pairwise {
    /// The operator for a sum or a product of what changes, if there is one.
    pub(super) fn of(op: &TypedBinOp, facts: &[&TypedFact], out: &TypedFact) -> Option<Self> {
        let (is_sum, is_product) = (op.0.is::<Add>(), op.0.is::<Mul>());
        let is_fit = |fact: &&TypedFact| {
            fact.datum_type == f32::datum_type()
                && fact.is_plain()
                && fact.konst.is_none()
                && fact.shape == out.shape
        };
        let is_ours = (is_sum || is_product) && facts.iter().all(is_fit);
        let shape = out.shape.as_concrete().filter(|_| is_ours)?;
        Some(Self { shape: shape.into(), is_sum, clamp: Clamp::default() })
    }

    /// The same with this operator behind it, if that can be.
    pub(super) fn then(&self, op: &TypedBinOp, konst: &Tensor) -> TractResult<Option<Self>> {
        if op.0.is::<Add>() {
            return Ok(None);
        }
        let bare = Ending { bias: Arc::default(), clamp: self.clamp };
        let ending = bare.then(op, konst, (&self.shape, 1))?;
        Ok(ending.map(|Ending { clamp, .. }| Self { clamp, ..self.clone() }))
    }

    #[inline(always)]
    fn apply(&self, a: &mut [f32], b: &[f32]) {
        let (floor, ceiling) = self.clamp.ends();
        let held = |value: f32| {
            let raised = if value < floor { floor } else { value };
            if raised > ceiling { ceiling } else { raised }
        };
        if self.is_sum {
            a.iter_mut().zip(b).for_each(|(a, b)| *a = held(*a + b));
        } else {
            a.iter_mut().zip(b).for_each(|(a, b)| *a = held(*a * b));
        }
    }
}

impl Op for Pairwise {
    fn name(&self) -> StaticName {
        if self.is_sum { "PairwiseSum".into() } else { "PairwiseProduct".into() }
    }

    op_as_typed_op!();
}

impl EvalOp for Pairwise {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (mut a, mut b) = args_2!(inputs);
        if b.is_exclusive() {
            std::mem::swap(&mut a, &mut b);
        }
        let mut out = if a.is_exclusive() {
            a.into_tensor()
        } else {
            let mut out = pool::take(ctx, &self.shape)?;
            let values = a.try_as_plain_ram()?;
            out.try_as_plain_ram_mut()?
                .as_slice_mut::<f32>()?
                .copy_from_slice(values.as_slice::<f32>()?);
            out
        };
        {
            let (mut out, b) = (out.try_as_plain_ram_mut()?, b.try_as_plain_ram()?);
            let (out, b) = (out.as_slice_mut::<f32>()?, b.as_slice::<f32>()?);
            vectorized(
                #[inline(always)]
                || self.apply(out, b),
            );
        }
        pool::give(ctx, b);
        Ok(tvec![out.into_tvalue()])
    }
}

impl TypedOp for Pairwise {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}
