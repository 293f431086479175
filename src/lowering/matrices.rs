//! Products of matrices that both change, such as attention's, forwards and backwards.

use std::cell::RefCell;

use pulp::Simd;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::Mul;

use super::ending::Clamp;
use super::tile::{self, Target, Tiled, VECTORS};
use crate::pool;

/// Terms of a product that are worth the way here.
const LEAST: usize = 512;

/// What sums start from.
const ZEROS: [f32; 256] = [0.0; 256];

/// `out[.., m, n] = factor * sum over k of left[.., m, k] * right[.., k, n]`, in f32, wherever these axes lie.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrices {
    /// Of what comes out.
    shape: TVec<usize>,
    /// Whether the left matrices come second.
    swaps: bool,
    /// Where the left, the right and the resulting matrices begin.
    starts: Arc<Vec<[usize; 3]>>,
    rows: usize,
    columns: usize,
    depth: usize,
    /// From a value to that below, and to its neighbour.
    left: [usize; 2],
    right: [usize; 2],
    /// From a row to the next; values of a row lie beside each other.
    out: usize,
    factor: f32,
}

impl Eq for Matrices {}

/// An axis: how long it is, and how far apart its values lie in the left, the right and the resulting tensors, nothing where they
/// lack it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) dim: usize,
    pub(super) strides: [usize; 3],
}

impl Axis {
    const NONE: Self = Self { dim: 1, strides: [0; 3] };

    fn is_in(&self, tensors: [bool; 3]) -> bool {
        self.strides.map(|stride| stride > 0) == tensors
    }
}

/// Those that lie within one another everywhere become one; the innermost is the last.
fn merged(mut axes: Vec<Axis>, order: usize) -> Vec<Axis> {
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.strides[order]));
    let mut all: Vec<Axis> = vec![];
    for axis in axes {
        match all.last_mut() {
            Some(last) if last.strides == axis.strides.map(|stride| stride * axis.dim) => {
                *last = Axis { dim: last.dim * axis.dim, ..axis };
            }
            _ => all.push(axis),
        }
    }
    all
}

impl Matrices {
    /// The operator for a sum of products over these axes, all longer than 1, if there is one.
    /// `begins` is where the tensors' first values lie.
    pub(super) fn of(
        shape: &[usize],
        axes: &[Axis],
        begins: [usize; 3],
        factor: f32,
    ) -> Option<Self> {
        let those = |tensors: [bool; 3], order: usize| {
            let all = axes.iter().copied().filter(|axis| axis.is_in(tensors)).collect();
            merged(all, order)
        };
        let mut around = those([true, true, true], 2);
        let mut rows = those([true, false, true], 2);
        let mut columns = those([false, true, true], 2);
        let mut depth = those([true, true, false], 0);
        let count = |kind: &[bool; 3]| axes.iter().filter(|axis| axis.is_in(*kind)).count();
        let known = [[true, true, true], [true, false, true], [false, true, true]];
        let known = known.iter().chain(&[[true, true, false]]).map(count).sum::<usize>();
        let (rows_end, columns_end) = (rows.pop(), columns.pop());
        let depth_end = depth.pop().unwrap_or(Axis::NONE);
        if known != axes.len() || !depth.is_empty() {
            return None;
        }
        around.extend(rows);
        around.extend(columns);
        let is_beside = |axis: &Option<Axis>| axis.is_some_and(|axis| axis.strides[2] == 1);
        let swaps = !is_beside(&columns_end);
        if swaps && !is_beside(&rows_end) {
            return None;
        }
        let (rows, columns) = if swaps { (columns_end, rows_end) } else { (rows_end, columns_end) };
        let (rows, columns) = (rows.unwrap_or(Axis::NONE), columns.unwrap_or(Axis::NONE));
        let (left, right) = if swaps { (1, 0) } else { (0, 1) };
        let begins = [begins[left], begins[right], begins[2]];
        let starts = around.iter().fold(vec![begins], |starts, axis| {
            let strides = [axis.strides[left], axis.strides[right], axis.strides[2]];
            let moved = |start: [usize; 3], at: usize| {
                std::array::from_fn(|tensor| start[tensor] + at * strides[tensor])
            };
            starts
                .into_iter()
                .flat_map(|start| (0..axis.dim).map(move |at| moved(start, at)))
                .collect()
        });
        let is_worth_it = rows.dim * columns.dim * depth_end.dim >= LEAST;
        is_worth_it.then(|| Self {
            shape: shape.into(),
            swaps,
            starts: starts.into(),
            rows: rows.dim,
            columns: columns.dim,
            depth: depth_end.dim,
            left: [rows.strides[left], depth_end.strides[left]],
            right: [depth_end.strides[right], columns.strides[right]],
            out: rows.strides[2],
            factor,
        })
    }

    /// The same with this operator behind it, if that can be.
    pub(super) fn then(&self, op: &TypedBinOp, konst: &Tensor) -> TractResult<Option<Self>> {
        let by = konst.as_uniform().filter(|_| op.0.is::<Mul>());
        let Some(by) = by else { return Ok(None) };
        let factor = self.factor * by.cast_to_scalar::<f32>()?;
        Ok(Some(Self { factor, ..self.clone() }))
    }

    /// Whether rows are copied to panels; those that lie along the depth need not be.
    fn has_panels(&self) -> bool {
        self.left[1] > 1
    }
}

/// Parts of the matrices in the order in which they are wanted.
#[derive(Debug, Default)]
struct Memory {
    panels: Vec<f32>,
    columns: Vec<f32>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

struct Running<'a> {
    of: &'a Matrices,
    left: &'a [f32],
    right: &'a [f32],
    out: &'a mut [f32],
    memory: &'a mut Memory,
}

impl Tiled for Running<'_> {
    #[inline(always)]
    fn work<S: Simd, const MR: usize>(self, simd: S) {
        let Running { of, left, right, out, memory: Memory { panels, columns } } = self;
        let lanes = S::F32_LANES;
        let step = tile::stretch(of.depth);
        panels.resize(of.rows.next_multiple_of(MR) * step, 0.0);
        columns.resize(step * VECTORS * lanes, 0.0);
        let vectors = of.columns.div_ceil(lanes);
        // Tiles of much the same width: narrow ones load more for each sum.
        let wide = vectors.div_ceil(vectors.div_ceil(VECTORS)) * lanes;
        for start in &*of.starts {
            let (left, right) = (&left[start[0]..], &right[start[1]..]);
            let out = &mut out[start[2]..];
            for k in (0..of.depth).step_by(step) {
                let step = step.min(of.depth - k);
                let (left, right) = (&left[k * of.left[1]..], &right[k * of.right[0]..]);
                if of.has_panels() {
                    let rows = (0..of.rows).step_by(MR);
                    for (row, panel) in rows.zip(panels.chunks_exact_mut(MR * step)) {
                        let left = &left[row * of.left[0]..];
                        let ways = [of.left[1], of.left[0]];
                        // A width that is known makes for better copies.
                        if row + MR <= of.rows {
                            lay_out(left, ways, MR, panel, MR);
                        } else {
                            lay_out(left, ways, of.rows - row, panel, MR);
                        }
                    }
                }
                for first in (0..of.columns).step_by(wide) {
                    let width = wide.min(of.columns - first);
                    let room = width.next_multiple_of(lanes);
                    let columns = &mut columns[..step * room];
                    lay_out(&right[first * of.right[1]..], of.right, width, columns, room);
                    #[expect(clippy::float_cmp, reason = "only one itself changes nothing")]
                    let is_scaled = of.factor != 1.0;
                    if is_scaled {
                        columns.iter_mut().for_each(|value| *value *= of.factor);
                    }
                    let (columns, _) = S::as_simd_f32s(columns);
                    for row in (0..of.rows).step_by(MR) {
                        let rows = MR.min(of.rows - row);
                        let target = Target {
                            out: &mut out[row * of.out + first..],
                            stride: of.out,
                            rows,
                            width,
                            start: (k == 0).then_some(&ZEROS[..]),
                            clamp: Clamp::default(),
                        };
                        if of.has_panels() {
                            let (panel, _) = panels[row * step..][..MR * step].as_chunks::<MR>();
                            let panel = &panel[..step];
                            if rows == 1 {
                                tile::fill::<S, 1>(
                                    simd,
                                    step,
                                    #[inline(always)]
                                    |k| [panel[k][0]],
                                    columns,
                                    target,
                                );
                            } else {
                                tile::fill::<S, MR>(
                                    simd,
                                    step,
                                    #[inline(always)]
                                    |k| panel[k],
                                    columns,
                                    target,
                                );
                            }
                        } else {
                            let left = (&left[row * of.left[0]..], of.left[0]);
                            tile::fill_from_rows::<S, MR>(simd, step, left, columns, target);
                        }
                    }
                }
            }
        }
    }
}

/// Copies a matrix, so many columns wide, to rows of that `room`: values of `from` lie so far below and beside each other.
#[inline(always)]
fn lay_out(from: &[f32], [down, across]: [usize; 2], width: usize, to: &mut [f32], room: usize) {
    if across <= 1 {
        for (row, to) in to.chunks_exact_mut(room).enumerate() {
            tile::copy(&from[row * down..][..width], &mut to[..width]);
        }
        return;
    }
    let (height, mut done) = (to.len() / room, 0);
    if down <= 1 {
        done = width - width % BLOCK;
        for first in (0..done).step_by(BLOCK) {
            turn(&from[first * across..], across, height, &mut to[first..], room);
        }
    }
    for column in done..width {
        let values = from[column * across..].iter().step_by(down.max(1));
        let to = to[column..].iter_mut().step_by(room);
        to.zip(values).for_each(|(to, value)| *to = *value);
    }
}

/// Columns that are laid out at once, and rows.
const BLOCK: usize = 4;

/// Lays out a block of columns that lie row by row.
#[inline(always)]
fn turn(from: &[f32], across: usize, height: usize, to: &mut [f32], room: usize) {
    let columns = tile::rows_of::<BLOCK>(from, across, BLOCK, height);
    let whole = height - height % BLOCK;
    for first in (0..whole).step_by(BLOCK) {
        let mut block = [[0.0; BLOCK]; BLOCK];
        for (block, column) in block.iter_mut().zip(&columns) {
            block.copy_from_slice(&column[first..][..BLOCK]);
        }
        for row in 0..BLOCK {
            let to = &mut to[(first + row) * room..][..BLOCK];
            for (to, column) in to.iter_mut().zip(&block) {
                *to = column[row];
            }
        }
    }
    for row in whole..height {
        let to = &mut to[row * room..][..BLOCK];
        for (to, column) in to.iter_mut().zip(&columns) {
            *to = column[row];
        }
    }
}

impl Op for Matrices {
    fn name(&self) -> StaticName {
        "Matrices".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let Self { rows, columns, depth, starts, .. } = self;
        Ok(vec![format!("{} of {rows} x {depth} times {depth} x {columns}", starts.len())])
    }

    op_as_typed_op!();
}

impl EvalOp for Matrices {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (mut left, mut right) = args_2!(inputs);
        if self.swaps {
            std::mem::swap(&mut left, &mut right);
        }
        let mut out = pool::take(ctx, &self.shape)?;
        {
            let (left, right) = (left.try_as_plain_ram()?, right.try_as_plain_ram()?);
            let mut out = out.try_as_plain_ram_mut()?;
            let (left, right) = (left.as_slice::<f32>()?, right.as_slice::<f32>()?);
            let out = out.as_slice_mut::<f32>()?;
            MEMORY.with_borrow_mut(|memory| {
                tile::run(Running { of: self, left, right, out, memory });
            });
        }
        pool::give(ctx, left);
        pool::give(ctx, right);
        Ok(tvec![out.into_tvalue()])
    }
}

impl TypedOp for Matrices {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}
