//! A scale and a shift for each channel: batch norms that are in no convolution, forwards and backwards.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::{Add, Mul};

use super::ending::{Ending, per_row, rows_of};
use crate::simd::vectorized;

/// Values beside each other that are worth a loop of their own.
const LEAST: usize = 8;

/// `out = clamp(scale[row] * x + bias[row])`, where the values of a row lie beside each other and rows follow in turns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Affine {
    /// Of what comes out, and comes in.
    shape: TVec<usize>,
    scale: Arc<Vec<f32>>,
    /// Values of a row.
    trail: usize,
    ending: Ending,
}

impl Eq for Affine {}

impl Affine {
    /// The operator for a product or a sum with a constant, if there is one.
    pub(super) fn of(op: &TypedBinOp, konst: &Tensor, x: &TypedFact) -> TractResult<Option<Self>> {
        let Some(shape) = x.shape.as_concrete() else { return Ok(None) };
        let (is_product, is_sum) = (op.0.is::<Mul>(), op.0.is::<Add>());
        let rows = rows_of(konst, shape).filter(|(_, trail)| *trail >= LEAST);
        let Some((rows, trail)) = rows.filter(|_| is_product || is_sum) else { return Ok(None) };
        let is_f32 = x.datum_type == f32::datum_type() && x.is_plain();
        let Some(values) = per_row(konst, shape, (rows, trail))?.filter(|_| is_f32) else {
            return Ok(None);
        };
        let (scale, bias) =
            if is_product { (values, vec![0.0; rows]) } else { (vec![1.0; rows], values) };
        let (scale, ending) = (scale.into(), Ending::new(bias));
        Ok(Some(Self { shape: shape.into(), scale, trail, ending }))
    }

    /// The same with this operator behind it, if that can be.
    pub(super) fn then(&self, op: &TypedBinOp, konst: &Tensor) -> TractResult<Option<Self>> {
        let ending = self.ending.then(op, konst, (&self.shape, self.trail))?;
        Ok(ending.map(|ending| Self { ending, ..self.clone() }))
    }

    #[inline(always)]
    fn apply(&self, values: &mut [f32]) {
        let (floor, ceiling) = self.ending.clamp.ends();
        let rows = self.scale.iter().zip(&*self.ending.bias).cycle();
        for (values, (scale, bias)) in values.chunks_exact_mut(self.trail).zip(rows) {
            for value in values {
                let moved = *value * scale + bias;
                let raised = if moved < floor { floor } else { moved };
                *value = if raised > ceiling { ceiling } else { raised };
            }
        }
    }
}

impl Op for Affine {
    fn name(&self) -> StaticName {
        "Affine".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Affine {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut x = args_1!(inputs).into_tensor();
        {
            let mut x = x.try_as_plain_ram_mut()?;
            let values = x.as_slice_mut::<f32>()?;
            vectorized(
                #[inline(always)]
                || self.apply(values),
            );
        }
        Ok(tvec![x.into_tvalue()])
    }
}

impl TypedOp for Affine {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}
