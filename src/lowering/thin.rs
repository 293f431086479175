//! Products with few rows, such as those that end in an image of three channels: their windows are read where they are.

use pulp::Simd;

use super::product::{Grid, Product};
use super::tile;

/// The most rows; more are worth gathering windows for.
pub(super) const ROWS: usize = 4;
/// Vectors of windows that are taken at once.
const VECTORS: usize = 4;

/// Whether a row of windows can be read as vectors.
pub(super) fn suits<S: Simd>(rows: usize, grid: &Grid) -> bool {
    rows <= ROWS && grid.from.1 == 1 && grid.width >= S::F32_LANES
}

/// A [product](Product::run) of `R` rows. The last vector of a row of windows overlaps the one before.
#[inline(always)]
pub(super) fn run<S: Simd, const R: usize, const MR: usize>(
    simd: S,
    product: &Product,
    (count, floor): (usize, Option<f32>),
    images: &[f32],
    out: &mut [f32],
) {
    let Product { bias, offsets, grid, .. } = product;
    let lanes = S::F32_LANES;
    let last = grid.width - lanes;
    for image in 0..count {
        for y in 0..grid.height {
            let from = &images[image * grid.image + y * grid.from.0..];
            let to = image * grid.outputs + grid.first + y * grid.to.0;
            for x in (0..grid.width).step_by(VECTORS * lanes) {
                let mut sums = [[simd.splat_f32s(0.0); VECTORS]; R];
                for (sums, bias) in sums.iter_mut().zip(bias) {
                    *sums = [simd.splat_f32s(*bias); VECTORS];
                }
                let at: [usize; VECTORS] = std::array::from_fn(|at| last.min(x + at * lanes));
                for (offset, weights) in offsets.iter().zip(product.rows_at::<R, MR>()) {
                    let from = &from[*offset..];
                    for vector in 0..VECTORS {
                        let windows = S::as_simd_f32s(&from[at[vector]..][..lanes]).0[0];
                        for row in 0..R {
                            let weight = simd.splat_f32s(weights[row]);
                            let sum = &mut sums[row][vector];
                            *sum = simd.mul_add_f32s(weight, windows, *sum);
                        }
                    }
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let out = &mut out[row * grid.plane + to..];
                    tile::raise(simd, floor, sums);
                    for (sum, &at) in sums.iter().zip(&at) {
                        if grid.to.1 == 1 {
                            S::as_mut_simd_f32s(&mut out[at..][..lanes]).0[0] = *sum;
                        } else {
                            let values: &[f32] =
                                pulp::bytemuck::cast_slice(std::slice::from_ref(sum));
                            let to = out[at * grid.to.1..].iter_mut().step_by(grid.to.1);
                            to.zip(values).for_each(|(to, value)| *to = *value);
                        }
                    }
                }
            }
        }
    }
}
