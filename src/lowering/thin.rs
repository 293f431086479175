//! Convolutions of few rows for each group of channels, such as depthwise ones and those that end in an image of three channels:
//! windows are read where they are.

use pulp::Simd;

use super::ending::Ending;
use super::planes::Planes;
use super::tile::{self, Tiled};

/// The most rows of a group; more are worth gathering windows for.
pub(super) const ROWS: usize = 4;

/// `out[row, w] = bias[row] + sum over k of weights[k, row] * group[start(w) + offsets[k]]`, for each group of channels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Thin {
    pub(super) planes: Planes,
    /// Of each group.
    pub(super) channels: usize,
    pub(super) rows: usize,
    pub(super) passes: Vec<Pass>,
    /// Values of a plane of what comes out, and of a row of it.
    pub(super) out: (usize, usize),
}

/// Windows that look at the image in the same way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pass {
    /// Where values of a window lie, from its start on.
    pub(super) offsets: Vec<usize>,
    /// Group by group; within it the offsets; within those the rows.
    pub(super) weights: Vec<f32>,
    /// Windows in a column and in a row.
    pub(super) grid: [usize; 2],
    /// The first output of a plane, and from one to that below and beside it.
    pub(super) first: usize,
    pub(super) to: [usize; 2],
}

/// Memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    padded: Vec<f32>,
    sums: Vec<f32>,
}

impl Thin {
    /// Of all these images, into `out`.
    pub(super) fn run(
        &self,
        ending: &Ending,
        images: &[f32],
        out: &mut [f32],
        memory: &mut Memory,
    ) {
        tile::run(Running { of: self, ending, images, out, memory });
    }
}

struct Running<'a> {
    of: &'a Thin,
    ending: &'a Ending,
    images: &'a [f32],
    out: &'a mut [f32],
    memory: &'a mut Memory,
}

impl Tiled for Running<'_> {
    #[inline(always)]
    fn work<S: Simd, const MR: usize>(self, simd: S) {
        // So many sums at once hide what a multiply-add takes, and fit into the registers.
        match self.of.rows {
            1 => self.over::<S, 1, 8>(simd),
            2 => self.over::<S, 2, 4>(simd),
            3 => self.over::<S, 3, 4>(simd),
            _ => self.over::<S, 4, 2>(simd),
        }
    }
}

impl Running<'_> {
    #[inline(always)]
    fn over<S: Simd, const R: usize, const NV: usize>(self, simd: S) {
        let Running { of, ending, images, out, memory: Memory { padded, sums } } = self;
        let planes = &of.planes;
        let block = NV * S::F32_LANES;
        // The last block of windows looks beyond the last plane.
        let group = of.channels * planes.len();
        padded.resize(group + planes.row() + block, 0.0);
        let groups = ending.bias.len() / R;
        let outs = out.chunks_exact_mut(R * of.out.0);
        let of_each = images.chunks_exact(of.channels * planes.given()).zip(outs);
        for (at, (from, out)) in of_each.enumerate() {
            planes.lay_out(from, &mut padded[..group], at == 0);
            let at = at % groups;
            let bias = &ending.bias[at * R..][..R];
            for pass in &of.passes {
                let depth = pass.offsets.len();
                let (weights, _) = pass.weights[at * depth * R..][..depth * R].as_chunks::<R>();
                let length = pass.grid[0] * planes.row();
                let room = length.next_multiple_of(block);
                sums.resize(R * room, 0.0);
                for start in (0..length).step_by(block) {
                    let windows = padded.get(start..).unwrap_or_default();
                    let mut tile = [[simd.splat_f32s(0.0); NV]; R];
                    for (tile, bias) in tile.iter_mut().zip(bias) {
                        *tile = [simd.splat_f32s(*bias); NV];
                    }
                    for (offset, weights) in pass.offsets.iter().zip(weights) {
                        let (windows, _) = S::as_simd_f32s(&windows[*offset..][..block]);
                        for (tile, weight) in tile.iter_mut().zip(weights) {
                            let weight = simd.splat_f32s(*weight);
                            for (sum, windows) in tile.iter_mut().zip(windows) {
                                *sum = simd.mul_add_f32s(weight, *windows, *sum);
                            }
                        }
                    }
                    ending.clamp.all(simd, tile.as_flattened_mut());
                    for (tile, sums) in tile.iter().zip(sums.chunks_exact_mut(room)) {
                        let (to, _) = S::as_mut_simd_f32s(&mut sums[start..][..block]);
                        for (to, sum) in to.iter_mut().zip(tile) {
                            *to = *sum;
                        }
                    }
                }
                for (sums, out) in sums.chunks_exact(room).zip(out.chunks_exact_mut(of.out.0)) {
                    pass.scatter(sums, planes.row(), of.out.1, &mut out[pass.first..]);
                }
            }
        }
    }
}

impl Pass {
    /// Puts sums, in rows of which some values are of no window, where they belong.
    #[inline(always)]
    fn scatter(&self, sums: &[f32], row: usize, width: usize, out: &mut [f32]) {
        let [down, across] = self.to;
        for (y, sums) in sums.chunks_exact(row).take(self.grid[0]).enumerate() {
            let sums = &sums[..self.grid[1]];
            let to = &mut out[y * down * width..];
            if across == 1 {
                tile::copy(sums, &mut to[..sums.len()]);
            } else {
                to.iter_mut().step_by(across).zip(sums).for_each(|(to, sum)| *to = *sum);
            }
        }
    }
}
