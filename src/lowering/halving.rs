//! Max-pooling of 2x2 windows beside each other, which halves height and width.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::MaxPool;

use crate::pool;
use crate::simd::vectorized;

/// The largest of each 2x2 values of f32 images, channels first; an odd row or column at the end is of no window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MaxHalving {
    /// Of what comes out.
    shape: TVec<usize>,
    /// Height and width of what comes in.
    size: [usize; 2],
}

impl MaxHalving {
    /// The operator for a pool, if there is one.
    pub(super) fn of(op: &MaxPool, facts: &[&TypedFact]) -> TractResult<Option<Self>> {
        let [x] = facts else { return Ok(None) };
        let spec = &op.pool_spec;
        let Some(shape) = x.shape.as_concrete() else { return Ok(None) };
        let is_f32 = x.datum_type == f32::datum_type() && x.is_plain();
        if !is_f32 || op.with_index_outputs.is_some() || spec.data_format.c_is_last() {
            return Ok(None);
        }
        let image = spec.data_format.shape(shape)?;
        let [height, width] = image.hw_dims()[..] else { return Ok(None) };
        let is_halving = spec.kernel_shape[..] == [2, 2]
            && spec.strides()[..] == [2, 2]
            && spec.dilations()[..] == [1, 1]
            && spec
                .computed_padding(image.hw_dims())
                .iter()
                .zip([height, width])
                .all(|(axis, side)| axis.pad_before == 0 && axis.convoluted == side / 2);
        let out = spec.output_shape(shape)?.shape;
        Ok(is_halving.then(|| Self { shape: out, size: [height, width] }))
    }
}

impl Op for MaxHalving {
    fn name(&self) -> StaticName {
        "MaxHalving".into()
    }

    op_as_typed_op!();
}

impl EvalOp for MaxHalving {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let mut out = pool::take(ctx, &self.shape)?;
        {
            let (x, mut out) = (x.try_as_plain_ram()?, out.try_as_plain_ram_mut()?);
            let (x, out) = (x.as_slice::<f32>()?, out.as_slice_mut::<f32>()?);
            vectorized(
                #[inline(always)]
                || halve(x, self.size, out),
            );
        }
        pool::give(ctx, x);
        Ok(tvec![out.into_tvalue()])
    }
}

impl TypedOp for MaxHalving {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}

#[inline(always)]
fn halve(x: &[f32], [height, width]: [usize; 2], out: &mut [f32]) {
    let half = width / 2;
    let planes = x.chunks_exact(height * width).zip(out.chunks_exact_mut(height / 2 * half));
    for (plane, out) in planes {
        for (rows, out) in plane.chunks_exact(2 * width).zip(out.chunks_exact_mut(half)) {
            let (upper, lower) = rows.split_at(width);
            let from = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
            let done = largest::<8>(0, from, out);
            let done = largest::<4>(done, from, out);
            largest::<1>(done, from, out);
        }
    }
}

/// From a window on, as many as there are by so many: rows are short, and loops over them too short for vectors.
#[inline(always)]
fn largest<const N: usize>(
    first: usize,
    (upper, lower): (&[[f32; 2]], &[[f32; 2]]),
    out: &mut [f32],
) -> usize {
    let larger = |a: f32, b: f32| if a < b { b } else { a };
    let from = upper[first..].as_chunks::<N>().0.iter().zip(lower[first..].as_chunks::<N>().0);
    for ((upper, lower), out) in from.zip(out[first..].as_chunks_mut::<N>().0) {
        for at in 0..N {
            let ([a, b], [c, d]) = (upper[at], lower[at]);
            out[at] = larger(larger(larger(a, b), c), d);
        }
    }
    first + (upper.len() - first) / N * N
}
