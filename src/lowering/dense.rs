//! Products of rows with a matrix of weights that does not change: fully connected layers, forwards and backwards.

use std::cell::RefCell;

use pulp::Simd;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::tile::{self, Tiled, VECTORS};

/// Rows that are taken at once: their values at a stretch of the depth stay in the cache.
const ROWS: usize = 96;

/// `out[.., n] = max(floor, bias[n] + sum over k of x[.., k] * weights[k, n])`, in f32.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dense {
    /// Of what comes out.
    shape: TVec<usize>,
    /// Tiles of a few vectors of columns; within a tile, the depth; within it, the columns.
    weights: Arc<Vec<f32>>,
    depth: usize,
    bias: Arc<Vec<f32>>,
    floor: Option<f32>,
}

impl Eq for Dense {}

/// Labels and extents of the axes that are longer than 1, on which alone it hangs where a value lies.
fn long(labels: &[char], shape: &[usize]) -> Vec<(char, usize)> {
    labels.iter().copied().zip(shape.iter().copied()).filter(|(_, dim)| *dim > 1).collect()
}

/// What a product's axes are for.
struct Roles {
    summed: Vec<(char, usize)>,
    brought: Vec<(char, usize)>,
}

impl Roles {
    /// None unless every axis of the weights is summed over or brought in, and these are the last.
    fn of(from: &[(char, usize)], matrix: &[(char, usize)], to: &[(char, usize)]) -> Option<Self> {
        let lead = from.iter().zip(to).take_while(|(one, other)| one == other).count();
        let (summed, brought) = (&from[lead..], &to[lead..]);
        let is_covered = matrix.len() == summed.len() + brought.len()
            && summed.iter().chain(brought).all(|axis| matrix.contains(axis));
        is_covered.then(|| Self { summed: summed.into(), brought: brought.into() })
    }
}

/// Where the entries along axes with these extents and strides lie, in order.
fn places(axes: &[(usize, usize)]) -> Vec<usize> {
    axes.iter().fold(vec![0], |places, (dim, stride)| {
        places.iter().flat_map(|place| (0..*dim).map(move |at| place + at * stride)).collect()
    })
}

impl Dense {
    /// The operator for a product with weights, and which input has the rows, if it is one: the axes that are summed over are the
    /// rows' last, those that the weights bring in the output's.
    pub(super) fn of_einsum(
        op: &EinSum,
        facts: &[&TypedFact],
        out: &TypedFact,
    ) -> TractResult<Option<(usize, Self)>> {
        let is_f32 = |fact: &&TypedFact| fact.datum_type == f32::datum_type() && fact.is_plain();
        let &[_, _] = facts else { return Ok(None) };
        if op.q_params.is_some()
            || !facts.iter().all(is_f32)
            || op.operating_dt != f32::datum_type()
        {
            return Ok(None);
        }
        let labels = |slot| op.axes.axes(slot).map(|axis| axis.repr).collect::<Vec<char>>();
        let Some(shape) = out.shape.as_concrete() else { return Ok(None) };
        let to = long(&labels(InOut::Out(0)), shape);
        for (slot, other) in [(0, 1), (1, 0)] {
            let (Some(konst), Some(rows)) = (&facts[other].konst, facts[slot].shape.as_concrete())
            else {
                continue;
            };
            let matrix = labels(InOut::In(other));
            let from = long(&labels(InOut::In(slot)), rows);
            let Some(roles) = Roles::of(&from, &long(&matrix, konst.shape()), &to) else {
                continue;
            };
            let strides = |group: &[(char, usize)]| -> Vec<(usize, usize)> {
                let stride = |label: char| {
                    let at =
                        matrix.iter().position(|other| *other == label).unwrap_or(matrix.len());
                    konst.shape().get(at + 1..).unwrap_or_default().iter().product()
                };
                group.iter().map(|(label, dim)| (*dim, stride(*label))).collect()
            };
            let (depths, columns) =
                (places(&strides(&roles.summed)), places(&strides(&roles.brought)));
            let values = konst.try_as_plain_ram()?;
            let values = values.as_slice::<f32>()?;
            let weight = |k: usize, n: usize| values[depths[k] + columns[n]];
            return Ok(Some((slot, Self::new(shape, (depths.len(), columns.len()), weight))));
        }
        Ok(None)
    }

    fn new(
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
        let bias = vec![0.0; columns].into();
        Self { shape: shape.into(), weights: weights.into(), depth, bias, floor: None }
    }

    /// The same with a bias for each column behind it, if there is nothing behind yet.
    pub(super) fn biased(&self, bias: &Tensor) -> TractResult<Option<Self>> {
        let is_free = self.floor.is_none() && self.bias.iter().all(|bias| *bias == 0.0);
        let mut lead = self.shape.len();
        while lead > 0 && self.shape[lead..].iter().product::<usize>() < self.bias.len() {
            lead -= 1;
        }
        let fits = bias.rank() == self.shape.len()
            && bias.shape()[..lead].iter().all(|dim| *dim == 1)
            && (bias.len() == 1 || bias.shape()[lead..] == self.shape[lead..]);
        if !is_free || !fits {
            return Ok(None);
        }
        let values = bias.try_as_plain_ram()?;
        let values = values.as_slice::<f32>()?.iter().copied().cycle();
        let bias = values.take(self.bias.len()).collect::<Vec<_>>();
        Ok(Some(Self { bias: bias.into(), ..self.clone() }))
    }

    /// The same with a rectifier behind it, which knows no other yet.
    pub(super) fn rectified(&self, floor: f32) -> Option<Self> {
        self.floor.is_none().then(|| Self { floor: Some(floor), ..self.clone() })
    }
}

thread_local! {
    /// Rows, in panels.
    static PANELS: RefCell<Vec<f32>> = RefCell::default();
}

struct Running<'a> {
    of: &'a Dense,
    x: &'a [f32],
    out: &'a mut [f32],
    panels: &'a mut Vec<f32>,
}

impl Tiled for Running<'_> {
    #[inline(always)]
    fn work<S: Simd, const MR: usize>(self, simd: S) {
        if self.x.len() == self.of.depth {
            self.over::<S, 1>(simd);
        } else {
            self.over::<S, MR>(simd);
        }
    }
}

impl Running<'_> {
    #[inline(always)]
    fn over<S: Simd, const MR: usize>(self, simd: S) {
        let Running { of, x, out, panels } = self;
        let (depth, columns, lanes) = (of.depth, of.bias.len(), S::F32_LANES);
        let step = tile::stretch(depth);
        panels.resize(ROWS * step, 0.0);
        for (x, out) in x.chunks(ROWS * depth).zip(out.chunks_mut(ROWS * columns)) {
            for k in (0..depth).step_by(step) {
                let step = step.min(depth - k);
                for (x, panel) in x.chunks(MR * depth).zip(panels.chunks_exact_mut(MR * step)) {
                    for (row, x) in x.chunks_exact(depth).enumerate() {
                        let to = panel[row..].iter_mut().step_by(MR);
                        to.zip(&x[k..k + step]).for_each(|(to, x)| *to = *x);
                    }
                }
                let is_last = k + step == depth;
                for (tile, first) in (0..columns).step_by(VECTORS * lanes).enumerate() {
                    let width = (columns - first).min(VECTORS * lanes);
                    let vectors = width.div_ceil(lanes);
                    let weights = &of.weights[tile * VECTORS * lanes * depth..];
                    let weights = &weights[k * vectors * lanes..][..step * vectors * lanes];
                    let (weights, _) = S::as_simd_f32s(weights);
                    let rows = out.chunks_mut(MR * columns);
                    for (out, panel) in rows.zip(panels.chunks_exact(MR * step)) {
                        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; MR];
                        for (out, sums) in out.chunks_exact(columns).zip(&mut sums) {
                            let from = if k == 0 { &of.bias } else { out };
                            let to = pulp::bytemuck::cast_slice_mut(sums);
                            tile::copy(&from[first..][..width], &mut to[..width]);
                        }
                        tile::multiply(simd, vectors, panel, weights, &mut sums);
                        tile::raise(simd, of.floor.filter(|_| is_last), sums.as_flattened_mut());
                        for (out, sums) in out.chunks_exact_mut(columns).zip(&sums) {
                            let from: &[f32] = pulp::bytemuck::cast_slice(sums);
                            tile::copy(&from[..width], &mut out[first..][..width]);
                        }
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
        Ok(vec![format!("{} to {}", self.depth, self.bias.len())])
    }

    op_as_typed_op!();
}

impl EvalOp for Dense {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let x = x.try_as_plain_ram()?;
        let mut out = Tensor::zero::<f32>(&self.shape)?;
        {
            let (x, mut out) = (x.as_slice::<f32>()?, out.try_as_plain_ram_mut()?);
            let out = out.as_slice_mut::<f32>()?;
            PANELS.with_borrow_mut(|panels| tile::run(Running { of: self, x, out, panels }));
        }
        Ok(tvec![out.into_tvalue()])
    }
}

impl TypedOp for Dense {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}
