//! Products of rows with a matrix of weights that does not change: fully connected layers, forwards and backwards.

use pulp::Simd;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;

use super::ending::{Clamp, Ending};
use super::tile::{self, Target, Tiled, VECTORS};
use crate::pool;

/// Rows that are taken at once: their values at a stretch of the depth stay in the cache.
const ROWS: usize = 96;

/// `out[.., n] = clamp(bias[n] + sum over k of x[.., k] * weights[k, n])`, in f32.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dense {
    /// Of what comes out.
    shape: TVec<usize>,
    /// Tiles of a few vectors of columns; within a tile, the depth; within it, the columns.
    weights: Arc<Vec<f32>>,
    depth: usize,
    ending: Ending,
}

impl Eq for Dense {}

impl Dense {
    /// `weight(k, n)`.
    pub(super) fn new(
        shape: &[usize],
        (depth, columns): (usize, usize),
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let lanes = tile::lanes();
        let mut weights = vec![];
        for first in (0..columns).step_by(VECTORS * lanes) {
            let width = (columns - first).min(VECTORS * lanes);
            for k in 0..depth {
                weights.extend((first..first + width).map(|n| weight(k, n)));
                weights.resize(weights.len().next_multiple_of(lanes), 0.0);
            }
        }
        let ending = Ending::new(vec![0.0; columns]);
        Self { shape: shape.into(), weights: weights.into(), depth, ending }
    }

    /// The same with this operator behind it, if that can be.
    pub(super) fn then(&self, op: &TypedBinOp, konst: &Tensor) -> TractResult<Option<Self>> {
        let ending = self.ending.then(op, konst, (&self.shape, 1))?;
        Ok(ending.map(|ending| Self { ending, ..self.clone() }))
    }
}

struct Running<'a> {
    of: &'a Dense,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Tiled for Running<'_> {
    #[inline(always)]
    fn work<S: Simd, const MR: usize>(self, simd: S) {
        let Running { of, x, out } = self;
        let (depth, columns, lanes) = (of.depth, of.ending.bias.len(), S::F32_LANES);
        let step = tile::stretch(depth);
        for (x, out) in x.chunks(ROWS * depth).zip(out.chunks_mut(ROWS * columns)) {
            for k in (0..depth).step_by(step) {
                let step = step.min(depth - k);
                for (tile, first) in (0..columns).step_by(VECTORS * lanes).enumerate() {
                    let width = (columns - first).min(VECTORS * lanes);
                    let vectors = width.div_ceil(lanes);
                    let weights = &of.weights[tile * VECTORS * lanes * depth..];
                    let weights = &weights[k * vectors * lanes..][..step * vectors * lanes];
                    let (weights, _) = S::as_simd_f32s(weights);
                    let start = (k == 0).then(|| &of.ending.bias[first..]);
                    let clamp = if k + step == depth { of.ending.clamp } else { Clamp::default() };
                    let rows = x.chunks(MR * depth).zip(out.chunks_mut(MR * columns));
                    for (x, out) in rows {
                        let rows = x.len() / depth;
                        let (x, out) = (&x[k..], &mut out[first..]);
                        let target = Target { out, stride: columns, rows, width, start, clamp };
                        tile::fill_from_rows::<S, MR>(simd, step, (x, depth), weights, target);
                    }
                }
            }
        }
    }
}

impl Op for Dense {
    fn name(&self) -> StaticName {
        "Dense".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{} to {}", self.depth, self.ending.bias.len())])
    }

    op_as_typed_op!();
}

impl EvalOp for Dense {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let mut out = pool::take(ctx, &self.shape)?;
        {
            let (x, mut out) = (x.try_as_plain_ram()?, out.try_as_plain_ram_mut()?);
            let x = x.as_slice::<f32>()?;
            let out = out.as_slice_mut::<f32>()?;
            tile::run(Running { of: self, x, out });
        }
        pool::give(ctx, x);
        Ok(tvec![out.into_tvalue()])
    }
}

impl TypedOp for Dense {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}
