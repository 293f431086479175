//! The innermost loops: a few rows of weights times a few vectors of columns.
//!
//! Every output is one chain of fused multiply-adds over the depth, in its order, whatever the machine's vectors and however
//! rows, columns and depth are cut: the same bits for any batch.

use pulp::{Simd, WithSimd};

use super::ending::Clamp;
use crate::simd::arch;

/// At most so much of the depth is taken at once: a tile's columns stay in the cache. 32 channels of a 3x3 kernel.
pub(super) const DEPTH: usize = 288;

/// Vectors of columns in the widest tile.
pub(super) const VECTORS: usize = 3;

/// Registers that hold the sums of eight rows.
const MANY: usize = 32;

/// Rows of a tile, and so of a panel of weights: what fits into this machine's registers beside the columns.
pub(super) fn panel() -> usize {
    struct Registers;

    impl WithSimd for Registers {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::REGISTER_COUNT
        }
    }

    if arch().dispatch(Registers) >= MANY { 8 } else { 4 }
}

/// Work in tiles of `MR` rows.
pub(super) trait Tiled {
    /// To be inlined, with all that it calls.
    fn work<S: Simd, const MR: usize>(self, simd: S);
}

/// Does the work in tiles of [`panel`] rows.
pub(super) fn run(work: impl Tiled) {
    struct Rows<T>(T);

    impl<T: Tiled> WithSimd for Rows<T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            if S::REGISTER_COUNT >= MANY {
                self.0.work::<S, 8>(simd);
            } else {
                self.0.work::<S, 4>(simd);
            }
        }
    }

    arch().dispatch(Rows(work));
}

/// Columns in a vector of this machine.
pub(super) fn lanes() -> usize {
    struct Lanes;

    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }

    arch().dispatch(Lanes)
}

/// How much of a depth is taken at once: equal parts.
pub(super) fn stretch(depth: usize) -> usize {
    depth.div_ceil(depth.div_ceil(DEPTH).max(1)).max(1)
}

/// `out[r, c] += sum over k of weights[k, r] * columns[k, c]`, with so many vectors of columns.
#[inline(always)]
pub(super) fn multiply<S: Simd, const MR: usize>(
    simd: S,
    vectors: usize,
    weights: &[f32],
    columns: &[S::f32s],
    out: &mut [[S::f32s; VECTORS]; MR],
) {
    let (weights, _) = weights.as_chunks::<MR>();
    match vectors {
        1 => multiply_by::<S, MR, 1>(simd, weights, columns, out),
        2 => multiply_by::<S, MR, 2>(simd, weights, columns, out),
        _ => multiply_by::<S, MR, VECTORS>(simd, weights, columns, out),
    }
}

#[inline(always)]
fn multiply_by<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    weights: &[[f32; MR]],
    columns: &[S::f32s],
    out: &mut [[S::f32s; VECTORS]; MR],
) {
    let depth = weights.len().min(columns.len() / NV);
    let weights = &weights[..depth];
    let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
    for (sums, out) in sums.iter_mut().zip(&*out) {
        sums.copy_from_slice(&out[..NV]);
    }
    add_products(
        simd,
        depth,
        #[inline(always)]
        |k| weights[k],
        columns,
        &mut sums,
    );
    for (sums, out) in sums.iter().zip(out) {
        out[..NV].copy_from_slice(sums);
    }
}

#[inline(always)]
fn add_products<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    depth: usize,
    weights: impl Fn(usize) -> [f32; MR],
    columns: &[S::f32s],
    out: &mut [[S::f32s; NV]; MR],
) {
    let (columns, _) = columns.as_chunks::<NV>();
    let columns = &columns[..depth];
    // In registers.
    let mut sums = *out;
    for k in 0..depth {
        let (weights, columns) = (weights(k), &columns[k]);
        for row in 0..MR {
            let weight = simd.splat_f32s(weights[row]);
            for vector in 0..NV {
                sums[row][vector] = simd.mul_add_f32s(weight, columns[vector], sums[row][vector]);
            }
        }
    }
    *out = sums;
}

/// Where a tile of sums goes.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// From its first value on.
    pub(super) out: &'a mut [f32],
    /// From a row to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) width: usize,
    /// What the sums of each row start from; none where it is what the target holds.
    pub(super) start: Option<&'a [f32]>,
    pub(super) clamp: Clamp,
}

/// `target[r, c] = clamp(start[c] + sum over k below the depth of weights(k)[r] * columns[k, c])`.
#[inline(always)]
pub(super) fn fill<S: Simd, const MR: usize>(
    simd: S,
    depth: usize,
    weights: impl Fn(usize) -> [f32; MR],
    columns: &[S::f32s],
    target: Target<'_>,
) {
    match target.width.div_ceil(S::F32_LANES) {
        1 => fill_by::<S, MR, 1>(simd, depth, weights, columns, target),
        2 => fill_by::<S, MR, 2>(simd, depth, weights, columns, target),
        _ => fill_by::<S, MR, VECTORS>(simd, depth, weights, columns, target),
    }
}

#[inline(always)]
fn fill_by<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    depth: usize,
    weights: impl Fn(usize) -> [f32; MR],
    columns: &[S::f32s],
    target: Target<'_>,
) {
    let Target { out, stride, rows, width, start, clamp } = target;
    let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
    for (row, sums) in sums.iter_mut().enumerate() {
        if row >= rows {
            continue;
        }
        let from = start.unwrap_or_else(|| &out[row * stride..]);
        // What is there beyond the width does no harm: copying less would take longer.
        if let Some(from) = from.get(..NV * S::F32_LANES) {
            let (from, _) = S::as_simd_f32s(from);
            sums.copy_from_slice(from);
        } else {
            // Apart, so that the sums need not leave the registers.
            let mut part = [simd.splat_f32s(0.0); NV];
            copy(&from[..width], &mut pulp::bytemuck::cast_slice_mut(&mut part)[..width]);
            *sums = part;
        }
    }
    add_products(simd, depth, weights, columns, &mut sums);
    clamp.all(simd, sums.as_flattened_mut());
    for (row, sums) in sums.iter().enumerate() {
        if row >= rows {
            continue;
        }
        let to = &mut out[row * stride..];
        if width == NV * S::F32_LANES {
            let (to, _) = S::as_mut_simd_f32s(&mut to[..NV * S::F32_LANES]);
            to.copy_from_slice(sums);
        } else {
            let part = *sums;
            copy(&pulp::bytemuck::cast_slice(&part)[..width], &mut to[..width]);
        }
    }
}

/// The same with rows of weights as they lie, so far apart.
#[inline(always)]
pub(super) fn fill_from_rows<S: Simd, const MR: usize>(
    simd: S,
    depth: usize,
    (weights, stride): (&[f32], usize),
    columns: &[S::f32s],
    target: Target<'_>,
) {
    if target.rows == 1 {
        fill_from::<S, 1>(simd, depth, (weights, stride), columns, target);
    } else {
        fill_from::<S, MR>(simd, depth, (weights, stride), columns, target);
    }
}

#[inline(always)]
fn fill_from<S: Simd, const MR: usize>(
    simd: S,
    depth: usize,
    (weights, stride): (&[f32], usize),
    columns: &[S::f32s],
    target: Target<'_>,
) {
    let rows = rows_of::<MR>(weights, stride, target.rows, depth);
    fill::<S, MR>(
        simd,
        depth,
        #[inline(always)]
        |k| {
            let mut values = [0.0; MR];
            // A loop, not `from_fn`, which is not always inlined.
            for (value, row) in values.iter_mut().zip(&rows) {
                *value = row[k];
            }
            values
        },
        columns,
        target,
    );
}

/// A stretch of each of a few rows as they lie; the last stands for those that lack.
#[inline(always)]
pub(super) fn rows_of<const MR: usize>(
    x: &[f32],
    stride: usize,
    count: usize,
    stretch: usize,
) -> [&[f32]; MR] {
    let mut rows = [&x[..0]; MR];
    for (at, row) in rows.iter_mut().enumerate() {
        *row = &x[at.min(count - 1) * stride..][..stretch];
    }
    rows
}

/// Short copies, which a call would cost more than.
#[inline(always)]
pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
    from.iter().zip(to).for_each(|(from, to)| *to = *from);
    let ((from, from_rest), (to, to_rest)) =
        (from_rest.as_chunks::<4>(), to_rest.as_chunks_mut::<4>());
    from.iter().zip(to).for_each(|(from, to)| *to = *from);
    from_rest.iter().zip(to_rest).for_each(|(from, to)| *to = *from);
}
