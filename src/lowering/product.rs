//! The product of a matrix of weights with the windows of images, which are gathered as they are wanted.

use pulp::Simd;

use super::ending::Clamp;
use super::tile::{self, Tiled, VECTORS};

/// Values of columns that are gathered before the weights pass over them: they stay in the second cache.
const GATHERED: usize = 1 << 16;

/// Tiles that these make, and more than which reach far enough along a row of outputs.
const TILES: std::ops::RangeInclusive<usize> = 4..=64;

/// `out[row, w] = bias[row] + sum over k of weights[row, k] * image[start(w) + offsets[k]]`, for each image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Product {
    /// Panels of a few rows: within a panel, the depth; within it, the rows.
    weights: Vec<f32>,
    offsets: Vec<usize>,
    grid: Grid,
}

/// Where windows start and where their outputs go, of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Values of an image, with its margins.
    pub(super) image: usize,
    /// From a window to that below, and to its neighbour.
    pub(super) from: (usize, usize),
    /// Values that come of an image.
    pub(super) outputs: usize,
    /// Those of one row of weights.
    pub(super) plane: usize,
    /// The first output of a plane.
    pub(super) first: usize,
    /// From an output to that below, and to its neighbour.
    pub(super) to: (usize, usize),
}

/// Windows beside each other in a row of the grid.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: usize,
    to: usize,
    length: usize,
}

impl Product {
    /// `weight(row, k)`.
    pub(super) fn new(
        rows: usize,
        offsets: Vec<usize>,
        grid: Grid,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let (depth, panel) = (offsets.len(), tile::panel());
        let mut weights = vec![0.0; rows.div_ceil(panel) * depth * panel];
        for row in 0..rows {
            let to = &mut weights[row / panel * depth * panel..];
            for k in 0..depth {
                to[k * panel + row % panel] = weight(row, k);
            }
        }
        Self { weights, offsets, grid }
    }

    /// Of so many images, into `out`; both may begin at a group of channels. The bias tells how many rows there are.
    pub(super) fn run(
        &self,
        count: usize,
        (bias, clamp): (&[f32], Clamp),
        images: &[f32],
        out: &mut [f32],
        gathered: &mut Gathered,
    ) {
        let Gathered { columns, runs } = gathered;
        tile::run(Running { product: self, count, bias, clamp, images, out, columns, runs });
    }
}

/// Columns, as they are gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    columns: Vec<f32>,
    runs: Vec<Vec<Run>>,
}

struct Running<'a> {
    product: &'a Product,
    /// Images.
    count: usize,
    bias: &'a [f32],
    clamp: Clamp,
    images: &'a [f32],
    out: &'a mut [f32],
    columns: &'a mut Vec<f32>,
    runs: &'a mut Vec<Vec<Run>>,
}

impl Tiled for Running<'_> {
    #[inline(always)]
    fn work<S: Simd, const MR: usize>(self, simd: S) {
        let Running { product, count, bias, clamp, images, out, columns, runs } = self;
        let Product { weights, offsets, grid } = product;
        let wide = VECTORS * S::F32_LANES;
        let depth = offsets.len();
        let total = count * grid.height * grid.width;
        let step = tile::stretch(depth).max(1);
        let most = (GATHERED / (wide * step)).clamp(*TILES.start(), *TILES.end());
        columns.resize(most * wide * step, 0.0);
        runs.resize_with(most, Vec::new);
        for first in (0..total).step_by(most * wide) {
            let tiles = (total - first).min(most * wide).div_ceil(wide);
            for (tile, runs) in runs[..tiles].iter_mut().enumerate() {
                let start = first + tile * wide;
                grid.runs(start, total.min(start + wide), runs);
            }
            // A product of no depth still has its bias.
            for k in (0..depth.max(1)).step_by(step) {
                let offsets = &offsets[k..depth.min(k + step)];
                for (columns, runs) in columns.chunks_exact_mut(wide * step).zip(&runs[..tiles]) {
                    let wide = vectors::<S>(runs) * S::F32_LANES;
                    for (offset, to) in offsets.iter().zip(columns.chunks_exact_mut(wide)) {
                        load(&images[*offset..], places(runs, |run| run.from), grid.from.1, to);
                    }
                }
                for panel in 0..bias.len().div_ceil(MR) {
                    let weights = &weights[(panel * depth + k) * MR..][..offsets.len() * MR];
                    let rows = panel * MR..bias.len().min((panel + 1) * MR);
                    for (columns, runs) in columns.chunks_exact(wide * step).zip(&runs[..tiles]) {
                        let vectors = vectors::<S>(runs);
                        let (columns, _) = S::as_simd_f32s(columns);
                        let columns = &columns[..offsets.len() * vectors];
                        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; MR];
                        for (row, sums) in rows.clone().zip(&mut sums) {
                            if k == 0 {
                                *sums = [simd.splat_f32s(bias[row]); VECTORS];
                            } else {
                                let lanes = pulp::bytemuck::cast_slice_mut(sums);
                                load(
                                    &out[row * grid.plane..],
                                    places(runs, |run| run.to),
                                    grid.to.1,
                                    lanes,
                                );
                            }
                        }
                        tile::multiply(simd, vectors, weights, columns, &mut sums);
                        if k + step >= depth {
                            clamp.all(simd, sums.as_flattened_mut());
                        }
                        for (row, sums) in rows.clone().zip(&sums) {
                            let lanes = pulp::bytemuck::cast_slice(sums);
                            store(&mut out[row * grid.plane..], runs, grid.to.1, lanes);
                        }
                    }
                }
            }
        }
    }
}

impl Grid {
    /// The windows from `start` to `end`, counted over all images.
    fn runs(&self, start: usize, end: usize, runs: &mut Vec<Run>) {
        runs.clear();
        let windows = self.height * self.width;
        let is_flat =
            self.to == (self.width, 1) && self.from == (self.width * self.from.1, self.from.1);
        let mut at = start;
        while at < end {
            let (image, window) = (at / windows, at % windows);
            let (y, x) = (window / self.width, window % self.width);
            let row = if is_flat { windows - window } else { self.width - x };
            let length = row.min(end - at);
            let from = image * self.image + y * self.from.0 + x * self.from.1;
            let to = image * self.outputs + self.first + y * self.to.0 + x * self.to.1;
            runs.push(Run { from, to, length });
            at += length;
        }
    }
}

/// Vectors that a tile of these columns takes.
#[inline(always)]
fn vectors<S: Simd>(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.length).sum::<usize>().div_ceil(S::F32_LANES)
}

/// Where runs begin, and how long they are.
#[inline(always)]
fn places(runs: &[Run], start: impl Fn(&Run) -> usize) -> impl Iterator<Item = (usize, usize)> {
    runs.iter().map(move |run| (start(run), run.length))
}

#[inline(always)]
fn load(
    values: &[f32],
    places: impl Iterator<Item = (usize, usize)>,
    step: usize,
    mut to: &mut [f32],
) {
    for (start, length) in places {
        let (part, rest) = to.split_at_mut(length);
        let from = &values[start..];
        if step == 1 {
            tile::copy(&from[..length], part);
        } else {
            part.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, from)| *to = *from);
        }
        to = rest;
    }
}

#[inline(always)]
fn store(out: &mut [f32], runs: &[Run], step: usize, mut from: &[f32]) {
    for run in runs {
        let (part, rest) = from.split_at(run.length);
        let to = &mut out[run.to..];
        if step == 1 {
            tile::copy(part, &mut to[..run.length]);
        } else {
            to.iter_mut().step_by(step).zip(part).for_each(|(to, from)| *to = *from);
        }
        from = rest;
    }
}
