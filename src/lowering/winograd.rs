//! Convolutions of 3x3 kernels at stride 1 with 16 instead of 36 multiplications per four outputs: Winograd's F(2x2, 3x3), after
//! Lavin & Gray 2015, <https://arxiv.org/abs/1509.09308>, section 4.1.

use pulp::Simd;

use super::ending::Ending;
use super::planes::Planes;
use super::tile::{self, Tiled, VECTORS};

/// Places in a transformed patch of 4x4.
const PLACES: usize = 16;
/// Patches that are transformed together: a whole number of the widest tiles on every machine.
const PATCHES: usize = 48;
/// Channels and rows from which on the transforms are worth their while.
pub(super) const LEAST: usize = 16;

type Lane = [f32; PATCHES];

/// A convolution of images, channels first, which come with any margins of zeros.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Winograd {
    /// Panels of a few rows; within a panel the places, within those the channels, within those the rows.
    weights: Vec<f32>,
    channels: usize,
    rows: usize,
    /// Even columns apart from odd ones.
    planes: Planes,
    /// Height and width of what comes of an image.
    out: [usize; 2],
}

/// Memory that is used again.
#[derive(Debug)]
pub(super) struct Transformed {
    padded: Vec<f32>,
    /// Place by place, tile by tile, channel by channel.
    patches: Vec<f32>,
    products: Vec<Lane>,
    steps: Box<Steps>,
}

/// What is between one step of a transform and the next.
#[derive(Debug)]
struct Steps {
    /// Row by row and column by column of a patch.
    values: [[Lane; 4]; 4],
    half: [[Lane; 4]; 4],
    done: [Lane; 4],
}

impl Default for Transformed {
    fn default() -> Self {
        let lane = [0.0; PATCHES];
        let steps = Steps { values: [[lane; 4]; 4], half: [[lane; 4]; 4], done: [lane; 4] };
        Self { padded: vec![], patches: vec![], products: vec![], steps: steps.into() }
    }
}

/// Patches beside each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    image: usize,
    y: usize,
    x: usize,
    length: usize,
}

impl Winograd {
    /// `weight(row, channel)` is the kernel, row by row.
    pub(super) fn new(
        (rows, channels): (usize, usize),
        [size, before, out]: [[usize; 2]; 3],
        weight: impl Fn(usize, usize) -> [f32; 9],
    ) -> Self {
        let panel = tile::panel();
        let mut weights = vec![0.0; rows.div_ceil(panel) * PLACES * channels * panel];
        for row in 0..rows {
            for channel in 0..channels {
                for (place, value) in transformed(weight(row, channel)).into_iter().enumerate() {
                    let at = (row / panel * PLACES + place) * channels + channel;
                    weights[at * panel + row % panel] = value;
                }
            }
        }
        let padded = out.map(|side| 2 * side.div_ceil(2) + 2);
        let planes = Planes::new(size, before, padded, [1, 2]);
        Self { weights, channels, rows, planes, out }
    }

    /// Of all these images, into `out`.
    pub(super) fn run(
        &self,
        ending: &Ending,
        images: &[f32],
        out: &mut [f32],
        memory: &mut Transformed,
    ) {
        tile::run(Running { of: self, ending, images, out, memory });
    }

    /// Patches in a column and in a row of an image.
    fn grid(&self) -> [usize; 2] {
        self.out.map(|side| side.div_ceil(2))
    }

    /// The patches from `start` on.
    fn runs(&self, start: usize, end: usize, runs: &mut Vec<Run>) {
        let [down, across] = self.grid();
        runs.clear();
        let mut at = start;
        while at < end {
            let (image, patch) = (at / (down * across), at % (down * across));
            let (y, x) = (patch / across, patch % across);
            let length = (across - x).min(end - at);
            runs.push(Run { image, y, x, length });
            at += length;
        }
    }

    /// The values of a channel's patches, row by row and column by column of a patch.
    #[inline(always)]
    fn gather(&self, padded: &[f32], channel: usize, runs: &[Run], to: &mut [[Lane; 4]; 4]) {
        let start = |row: usize, column: usize| self.planes.place_of_padded([row, column]);
        let mut at = 0;
        for run in runs {
            let plane = (run.image * self.channels + channel) * self.planes.len();
            let plane = &padded[plane..][..self.planes.len()];
            for (row, to) in to.iter_mut().enumerate() {
                for (column, to) in to.iter_mut().enumerate() {
                    let from = &plane[start(2 * run.y + row, 2 * run.x + column)..];
                    tile::copy(&from[..run.length], &mut to[at..][..run.length]);
                }
            }
            at += run.length;
        }
    }

    /// The outputs of one row of weights.
    #[inline(always)]
    fn scatter(&self, row: usize, runs: &[Run], ends: &[Lane; 4], out: &mut [f32]) {
        let [height, width] = self.out;
        let mut at = 0;
        for run in runs {
            let plane = (run.image * self.rows + row) * height * width;
            for (line, [even, odd]) in ends.as_chunks::<2>().0.iter().enumerate() {
                let y = 2 * run.y + line;
                if y == height {
                    continue;
                }
                let end = width.min(2 * (run.x + run.length));
                let to = &mut out[plane + y * width..][2 * run.x..end];
                let (pairs, rest) = to.as_chunks_mut::<2>();
                let (even, odd) = (&even[at..][..run.length], &odd[at..][..run.length]);
                for ((to, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
                    *to = [*even, *odd];
                }
                // Of an odd width, the last patch has one column.
                rest.iter_mut().zip(even.last()).for_each(|(to, even)| *to = *even);
            }
            at += run.length;
        }
    }
}

/// G g G' of a kernel.
fn transformed(g: [f32; 9]) -> [f32; PLACES] {
    let line = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns: [[f32; 4]; 3] = std::array::from_fn(|x| line([g[x], g[3 + x], g[6 + x]]));
    let rows: [[f32; 4]; 4] =
        std::array::from_fn(|y| line([columns[0][y], columns[1][y], columns[2][y]]));
    std::array::from_fn(|place| rows[place / 4][place % 4])
}

/// What `combine` makes of four lanes.
#[inline(always)]
fn lanes<const N: usize>(
    from: [&Lane; 4],
    combine: impl Fn([f32; 4]) -> [f32; N],
    mut to: [&mut Lane; N],
) {
    for at in 0..PATCHES {
        let values = combine([from[0][at], from[1][at], from[2][at], from[3][at]]);
        for (to, value) in to.iter_mut().zip(values) {
            to[at] = value;
        }
    }
}

/// B' d of four values.
#[inline(always)]
fn of_patch([a, b, c, d]: [f32; 4]) -> [f32; 4] {
    [a - c, b + c, c - b, b - d]
}

/// A' m of four values.
#[inline(always)]
fn of_product([a, b, c, d]: [f32; 4]) -> [f32; 2] {
    [a + b + c, b - c - d]
}

struct Running<'a> {
    of: &'a Winograd,
    ending: &'a Ending,
    images: &'a [f32],
    out: &'a mut [f32],
    memory: &'a mut Transformed,
}

impl Tiled for Running<'_> {
    #[inline(always)]
    fn work<S: Simd, const MR: usize>(self, simd: S) {
        let Running { of, ending, images, out, memory } = self;
        let Transformed { padded, patches, products, steps } = memory;
        let planes = images.len() / of.planes.given();
        padded.resize(planes * of.planes.len(), 0.0);
        of.planes.lay_out(images, padded);
        let count = planes / of.channels;
        let total = count * of.grid()[0] * of.grid()[1];
        let wide = VECTORS * S::F32_LANES;
        patches.resize(PLACES * of.channels * PATCHES, 0.0);
        products.resize(PLACES * MR, [0.0; PATCHES]);
        let mut runs = vec![];
        for first in (0..total).step_by(PATCHES) {
            of.runs(first, total.min(first + PATCHES), &mut runs);
            // The last tile may be narrower.
            let vectors = (total - first).min(PATCHES).div_ceil(S::F32_LANES);
            let tiles = vectors.div_ceil(VECTORS);
            let of_tile = |tile: usize| (vectors - tile * VECTORS).min(VECTORS);
            for channel in 0..of.channels {
                let widths = (0..tiles).map(|tile| of_tile(tile) * S::F32_LANES);
                transform(of, padded, channel, &runs, (wide, widths, steps), patches);
            }
            for panel in 0..of.rows.div_ceil(MR) {
                let size = of.channels * MR;
                let weights = &of.weights[panel * PLACES * size..][..PLACES * size];
                for (place, products) in products.chunks_exact_mut(MR).enumerate() {
                    let weights = &weights[place * size..][..size];
                    let patches = &patches[place * of.channels * PATCHES..];
                    for tile in 0..tiles {
                        let width = of_tile(tile) * S::F32_LANES;
                        let columns = &patches[tile * of.channels * wide..][..of.channels * width];
                        let (columns, _) = S::as_simd_f32s(columns);
                        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; MR];
                        tile::multiply(simd, of_tile(tile), weights, columns, &mut sums);
                        for (product, sums) in products.iter_mut().zip(&sums) {
                            let (to, _) = S::as_mut_simd_f32s(&mut product[tile * wide..][..wide]);
                            to.copy_from_slice(sums);
                        }
                    }
                }
                for row in panel * MR..of.rows.min((panel + 1) * MR) {
                    let place = |place: usize| &products[place * MR + row % MR];
                    let ends = finish(place, ending.bias[row], ending.clamp.ends(), steps);
                    of.scatter(row, &runs, ends, out);
                }
            }
        }
    }
}

/// B' d B of a channel's patches.
#[inline(always)]
fn transform(
    of: &Winograd,
    padded: &[f32],
    channel: usize,
    runs: &[Run],
    (wide, widths, steps): (usize, impl Iterator<Item = usize> + Clone, &mut Steps),
    patches: &mut [f32],
) {
    let Steps { values, half, done } = steps;
    of.gather(padded, channel, runs, values);
    let [a, b, c, d] = &mut *half;
    for column in 0..4 {
        let from = [0, 1, 2, 3].map(|row: usize| &values[row][column]);
        lanes(from, of_patch, [&mut a[column], &mut b[column], &mut c[column], &mut d[column]]);
    }
    for (row, [a, b, c, d]) in half.iter().enumerate() {
        let [e, f, g, h] = &mut *done;
        lanes([a, b, c, d], of_patch, [e, f, g, h]);
        for (column, lane) in done.iter().enumerate() {
            let place = (4 * row + column) * of.channels * PATCHES;
            for (tile, width) in widths.clone().enumerate() {
                let at = place + tile * of.channels * wide + channel * width;
                patches[at..at + width].copy_from_slice(&lane[tile * wide..][..width]);
            }
        }
    }
}

/// A' m A, with the bias, between the ends.
#[inline(always)]
fn finish<'a, 's>(
    place: impl Fn(usize) -> &'a Lane,
    bias: f32,
    (floor, ceiling): (f32, f32),
    Steps { half, done, .. }: &'s mut Steps,
) -> &'s [Lane; 4] {
    let [upper, lower, ..] = half;
    for column in 0..4 {
        let from = [0, 1, 2, 3].map(|row| place(4 * row + column));
        lanes(from, of_product, [&mut upper[column], &mut lower[column]]);
    }
    let last = |values: [f32; 4]| {
        of_product(values).map(|value| {
            let value = value + bias;
            let value = if value < floor { floor } else { value };
            if value > ceiling { ceiling } else { value }
        })
    };
    let [a, b, c, d] = &mut *done;
    lanes([&upper[0], &upper[1], &upper[2], &upper[3]], last, [a, b]);
    lanes([&lower[0], &lower[1], &lower[2], &lower[3]], last, [c, d]);
    done
}
