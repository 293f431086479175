//! The backward pass of reading along an axis by index.

use std::ops::AddAssign;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// (cotangent, indices as `i64`) -> cotangent of the data that `Gather` read along `axis`, of length `len` there: a
/// value read more than once takes the sum. Negative indices count from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScatterAdd {
    pub axis: usize,
    pub len: usize,
}

impl Op for ScatterAdd {
    fn name(&self) -> StaticName {
        "ScatterAdd".into()
    }

    op_as_typed_op!();
}

impl EvalOp for ScatterAdd {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (cotangent, indices) = args_2!(inputs);
        let rows = self.rows(&indices)?;
        let shape = self.shape(cotangent.shape(), indices.rank());
        let mut output = Tensor::zero_dt(cotangent.datum_type(), &shape)?;
        if cotangent.len() > 0 {
            let block = shape[self.axis + 1..].iter().product();
            dispatch_floatlike!(scatter(cotangent.datum_type())(
                &cotangent,
                &rows,
                block,
                self.len,
                &mut output
            ))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for ScatterAdd {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let cotangent = inputs[0].shape.to_tvec();
        Ok(tvec![inputs[0].datum_type.fact(self.shape(&cotangent, inputs[1].rank()))])
    }

    as_op!();
}

impl ScatterAdd {
    /// The data's shape, from that of the cotangent.
    fn shape<D: Clone + From<usize>>(&self, cotangent: &[D], indices_rank: usize) -> TVec<D> {
        let mut shape: TVec<D> = cotangent[..self.axis].into();
        shape.push(self.len.into());
        shape.extend(cotangent[self.axis + indices_rank..].iter().cloned());
        shape
    }

    fn rows(&self, indices: &Tensor) -> TractResult<Vec<usize>> {
        let len = self.len as i64;
        let row = |&index: &i64| {
            ensure!((-len..len).contains(&index), "index {index} of {len} values");
            Ok(if index < 0 { index + len } else { index } as usize)
        };
        indices.try_as_plain_ram()?.as_slice::<i64>()?.iter().map(row).collect()
    }
}

fn scatter<T: Datum + Copy + AddAssign>(
    cotangent: &Tensor,
    rows: &[usize],
    block: usize,
    len: usize,
    output: &mut Tensor,
) -> TractResult<()> {
    let cotangent = cotangent.try_as_plain_ram()?;
    let mut output = output.try_as_plain_ram_mut()?;
    let cotangents = cotangent.as_slice::<T>()?.chunks_exact(rows.len() * block);
    let outputs = output.as_slice_mut::<T>()?.chunks_exact_mut(len * block);
    for (cotangents, output) in cotangents.zip(outputs) {
        for (cotangents, &row) in cotangents.chunks_exact(block).zip(rows) {
            let output = &mut output[row * block..][..block];
            output.iter_mut().zip(cotangents).for_each(|(sum, &value)| *sum += value);
        }
    }
    Ok(())
}
