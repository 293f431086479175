//! The backward pass of reading single values or blocks by index.

use std::ops::AddAssign;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::indexing::Indexing;

/// (cotangent, indices) -> cotangent of the data, of shape `shape`, that was read: a value read more than once takes
/// the sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexAdd {
    pub indexing: Indexing,
    pub shape: TVec<usize>,
}

impl Op for IndexAdd {
    fn name(&self) -> StaticName {
        "IndexAdd".into()
    }

    op_as_typed_op!();
}

impl EvalOp for IndexAdd {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (cotangent, indices) = args_2!(inputs);
        let (places, block) = self.indexing.places(&indices, &self.shape)?;
        ensure!(
            places.len() * block == cotangent.len(),
            "a cotangent of shape {:?} for {} blocks of {block}",
            cotangent.shape(),
            places.len()
        );
        let mut output = Tensor::zero_dt(cotangent.datum_type(), &self.shape)?;
        if cotangent.len() > 0 {
            dispatch_floatlike!(accumulate(cotangent.datum_type())(
                &cotangent,
                &places,
                block,
                &mut output
            ))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for IndexAdd {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].datum_type.fact(&*self.shape)])
    }

    as_op!();
}

fn accumulate<T: Datum + Copy + AddAssign>(
    cotangent: &Tensor,
    places: &[usize],
    block: usize,
    output: &mut Tensor,
) -> TractResult<()> {
    let cotangent = cotangent.try_as_plain_ram()?;
    let mut output = output.try_as_plain_ram_mut()?;
    let output = output.as_slice_mut::<T>()?;
    for (values, &place) in cotangent.as_slice::<T>()?.chunks_exact(block).zip(places) {
        let sums = &mut output[place..][..block];
        sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
    }
    Ok(())
}
