//! The innermost loops: a few rows of weights times a few vectors of columns.
//!
//! Every output is one chain of fused multiply-adds over the depth, in its order, whatever the machine's vectors and however
//! rows, columns and depth are cut: the same bits for any batch.

use pulp::{Simd, WithSimd};

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
    match vectors {
        1 => multiply_by::<S, MR, 1>(simd, weights, columns, out),
        2 => multiply_by::<S, MR, 2>(simd, weights, columns, out),
        _ => multiply_by::<S, MR, VECTORS>(simd, weights, columns, out),
    }
}

#[inline(always)]
fn multiply_by<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    weights: &[f32],
    columns: &[S::f32s],
    out: &mut [[S::f32s; VECTORS]; MR],
) {
    let (weights, _) = weights.as_chunks::<MR>();
    let (columns, _) = columns.as_chunks::<NV>();
    let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
    for (sums, out) in sums.iter_mut().zip(&*out) {
        sums.copy_from_slice(&out[..NV]);
    }
    for (weights, columns) in weights.iter().zip(columns) {
        for row in 0..MR {
            let weight = simd.splat_f32s(weights[row]);
            for vector in 0..NV {
                sums[row][vector] = simd.mul_add_f32s(weight, columns[vector], sums[row][vector]);
            }
        }
    }
    for (sums, out) in sums.iter().zip(out) {
        out[..NV].copy_from_slice(sums);
    }
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
