//! Convolutions of 3x3 kernels at stride 1 with fewer multiplications, after Winograd: 36 instead of 144 for 4x4 outputs or, of small
//! images, 16 instead of 36 for 2x2. Lavin & Gray 2015, <https://arxiv.org/abs/1509.09308>, section 4.

use pulp::Simd;

use super::ending::Ending;
use super::filtering::{Filtering, Four, Two};
use super::planes::Planes;
use super::tile::{self, Tiled, VECTORS};

/// Patches that are transformed together: a whole number of the widest tiles on every machine.
const PATCHES: usize = 48;
/// Channels and rows from which on the transforms are worth their while.
pub(super) const LEAST: usize = 16;
/// Channels and rows for each patch of 4x4 outputs of an image, beyond which its weights take longer to read than the smaller ones of
/// 2x2 outputs take to multiply by.
const MOST: usize = 64;

/// Values that are copied at once; those behind a run are its neighbour's, which come later.
const BLOCK: usize = 8;

type Lane = [f32; PATCHES];
/// With room for the last run's block.
type Room = [f32; PATCHES + BLOCK];

/// A convolution of images, channels first, which come with any margins of zeros.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Winograd {
    /// Panels of a few rows; within a panel the places, within those the channels, within those the rows.
    weights: Vec<f32>,
    channels: usize,
    rows: usize,
    /// Height and width of what comes of a patch.
    side: usize,
    /// Columns apart by their remainder by the side.
    planes: Planes,
    /// Height and width of what comes of an image.
    out: [usize; 2],
}

/// Memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Transformed {
    padded: Vec<f32>,
    /// Row by row and column by column of a patch, as are the ends.
    values: Vec<Room>,
    /// Place by place, tile by tile, channel by channel.
    patches: Vec<f32>,
    products: Vec<Lane>,
    ends: Vec<Lane>,
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
    /// `weight(row, channel)` is the kernel, row by row. Where maxima are taken of the outputs, those of flat parts of an image should
    /// still tie: the gradient of a maximum is the first one's.
    pub(super) fn new(
        (rows, channels): (usize, usize),
        [size, before, out]: [[usize; 2]; 3],
        is_pooled: bool,
        weight: impl Fn(usize, usize) -> [f32; 9],
    ) -> Self {
        let patches = out[0].div_ceil(4) * out[1].div_ceil(4);
        if rows.max(channels) <= MOST * patches && !is_pooled {
            Self::by::<Four, 4, 6>((rows, channels), [size, before, out], weight)
        } else {
            Self::by::<Two, 2, 4>((rows, channels), [size, before, out], weight)
        }
    }

    fn by<F: Filtering<M, P>, const M: usize, const P: usize>(
        (rows, channels): (usize, usize),
        [size, before, out]: [[usize; 2]; 3],
        weight: impl Fn(usize, usize) -> [f32; 9],
    ) -> Self {
        let panel = tile::panel();
        let mut weights = vec![0.0; rows.div_ceil(panel) * P * P * channels * panel];
        for row in 0..rows {
            for channel in 0..channels {
                let kernel = of_kernel::<F, M, P>(weight(row, channel));
                for (place, value) in kernel.as_flattened().iter().enumerate() {
                    let at = (row / panel * P * P + place) * channels + channel;
                    weights[at * panel + row % panel] = *value;
                }
            }
        }
        let padded = out.map(|side| side.next_multiple_of(M) + 2);
        let planes = Planes::new(size, before, padded, [1, M]);
        Self { weights, channels, rows, side: M, planes, out }
    }

    /// Of all these images, into `out`.
    pub(super) fn run(
        &self,
        ending: &Ending,
        images: &[f32],
        out: &mut [f32],
        memory: &mut Transformed,
    ) {
        let running = Running { of: self, ending, images, out, memory };
        match self.side {
            4 => tile::run(By::<Four, 4, 6>(running, Four)),
            _ => tile::run(By::<Two, 2, 4>(running, Two)),
        }
    }

    /// Patches in a column and in a row of an image.
    fn grid(&self) -> [usize; 2] {
        self.out.map(|side| side.div_ceil(self.side))
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

    /// The values of a channel's patches, each from such a start in a patch.
    #[inline(always)]
    fn gather(
        &self,
        padded: &[f32],
        channel: usize,
        runs: &[Run],
        starts: &[usize],
        to: &mut [Room],
    ) {
        let mut at = 0;
        for run in runs {
            let plane = (run.image * self.channels + channel) * self.planes.len();
            let first = plane + self.side * run.y * self.planes.row() + run.x;
            let length = run.length.next_multiple_of(BLOCK);
            for (start, to) in starts.iter().zip(&mut *to) {
                let (from, _) = padded[first + start..][..length].as_chunks::<BLOCK>();
                let (to, _) = to[at..][..length].as_chunks_mut::<BLOCK>();
                for (from, to) in from.iter().zip(to) {
                    *to = *from;
                }
            }
            at += run.length;
        }
    }

    /// The outputs of one row of weights.
    #[inline(always)]
    fn scatter<const M: usize>(&self, row: usize, runs: &[Run], ends: &[Lane], out: &mut [f32]) {
        let [height, width] = self.out;
        let mut at = 0;
        for run in runs {
            let plane = (run.image * self.rows + row) * height * width;
            let lines = ends.as_chunks::<M>().0.iter().zip(M * run.y..height);
            let end = width.min(M * (run.x + run.length));
            for (columns, y) in lines {
                let to = &mut out[plane + y * width..][M * run.x..end];
                interleave(columns, at, to);
            }
            at += run.length;
        }
    }
}

/// The values of columns from a place on, in turns; the last ones may be cut off.
#[inline(always)]
fn interleave<const M: usize>(columns: &[Lane; M], at: usize, to: &mut [f32]) {
    let (patches, rest) = to.as_chunks_mut::<M>();
    let (fours, single) = patches.as_chunks_mut::<4>();
    let done = at + 4 * fours.len();
    for (four, to) in fours.iter_mut().enumerate() {
        let mut from = [[0.0; 4]; M];
        for (from, column) in from.iter_mut().zip(columns) {
            from.copy_from_slice(&column[at + 4 * four..][..4]);
        }
        for (patch, to) in to.iter_mut().enumerate() {
            for (to, from) in to.iter_mut().zip(&from) {
                *to = from[patch];
            }
        }
    }
    for (patch, to) in single.iter_mut().enumerate() {
        for (to, column) in to.iter_mut().zip(columns) {
            *to = column[done + patch];
        }
    }
    for (to, column) in rest.iter_mut().zip(columns) {
        *to = column[done + single.len()];
    }
}

/// G g G' of a kernel.
fn of_kernel<F: Filtering<M, P>, const M: usize, const P: usize>(
    kernel: [f32; 9],
) -> [[f32; P]; P] {
    let kernel = kernel.map(f64::from);
    let columns: [[f64; P]; 3] =
        std::array::from_fn(|x| F::filter([kernel[x], kernel[3 + x], kernel[6 + x]]));
    std::array::from_fn(|y| {
        F::filter([columns[0][y], columns[1][y], columns[2][y]]).map(|value| value as f32)
    })
}

struct Running<'a> {
    of: &'a Winograd,
    ending: &'a Ending,
    images: &'a [f32],
    out: &'a mut [f32],
    memory: &'a mut Transformed,
}

/// By a way of filtering.
struct By<'a, F, const M: usize, const P: usize>(Running<'a>, F);

impl<F: Filtering<M, P>, const M: usize, const P: usize> Tiled for By<'_, F, M, P> {
    #[inline(always)]
    fn work<S: Simd, const MR: usize>(self, simd: S) {
        let Running { of, ending, images, out, memory } = self.0;
        let Transformed { padded, values, patches, products, ends } = memory;
        let planes = images.len() / of.planes.given();
        padded.resize(planes * of.planes.len() + BLOCK, 0.0);
        of.planes.lay_out(images, padded, true);
        let count = planes / of.channels;
        let total = count * of.grid()[0] * of.grid()[1];
        let wide = VECTORS * S::F32_LANES;
        values.resize(P * P, [0.0; PATCHES + BLOCK]);
        patches.resize(P * P * of.channels * PATCHES, 0.0);
        products.resize(P * P * MR, [0.0; PATCHES]);
        ends.resize(M * M, [0.0; PATCHES]);
        let places = (0..P * P).map(|place| of.planes.place_of_padded([place / P, place % P]));
        let starts: Vec<usize> = places.collect();
        let mut runs = vec![];
        for first in (0..total).step_by(PATCHES) {
            of.runs(first, total.min(first + PATCHES), &mut runs);
            // The last tile may be narrower.
            let vectors = (total - first).min(PATCHES).div_ceil(S::F32_LANES);
            let tiles = vectors.div_ceil(VECTORS);
            let of_tile = |tile: usize| (vectors - tile * VECTORS).min(VECTORS);
            for channel in 0..of.channels {
                of.gather(padded, channel, &runs, &starts, values);
                let (values, _) = values.as_chunks::<P>();
                transform::<F, S, M, P>(simd, values, (of.channels, channel), vectors, patches);
            }
            for panel in 0..of.rows.div_ceil(MR) {
                let size = of.channels * MR;
                let weights = &of.weights[panel * P * P * size..][..P * P * size];
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
                            for (to, sum) in to.iter_mut().zip(sums) {
                                *to = *sum;
                            }
                        }
                    }
                }
                for row in panel * MR..of.rows.min((panel + 1) * MR) {
                    finish::<F, S, M, P>(simd, products, (row, MR), vectors, ending, ends);
                    of.scatter::<M>(row, &runs, ends, out);
                }
            }
        }
    }
}

/// B' d B of a channel's patches.
#[inline(always)]
fn transform<F: Filtering<M, P>, S: Simd, const M: usize, const P: usize>(
    simd: S,
    values: &[[Room; P]],
    (channels, channel): (usize, usize),
    vectors: usize,
    patches: &mut [f32],
) {
    let (patches, _) = S::as_mut_simd_f32s(patches);
    let room = patches.len() / (P * P);
    for vector in 0..vectors {
        let mut half = [[simd.splat_f32s(0.0); P]; P];
        for column in 0..P {
            let mut from = [simd.splat_f32s(0.0); P];
            for (from, row) in from.iter_mut().zip(values) {
                *from = S::as_simd_f32s(&row[column]).0[vector];
            }
            for (half, value) in half.iter_mut().zip(F::values(simd, from)) {
                half[column] = value;
            }
        }
        let (tile, within) = (vector / VECTORS, vector % VECTORS);
        let width = (vectors - tile * VECTORS).min(VECTORS);
        let at = tile * channels * VECTORS + channel * width + within;
        for (row, half) in half.into_iter().enumerate() {
            for (column, value) in F::values(simd, half).into_iter().enumerate() {
                patches[(row * P + column) * room + at] = value;
            }
        }
    }
}

/// A' m A of a row's products, with its ending.
#[inline(always)]
fn finish<F: Filtering<M, P>, S: Simd, const M: usize, const P: usize>(
    simd: S,
    products: &[Lane],
    (row, panel): (usize, usize),
    vectors: usize,
    ending: &Ending,
    ends: &mut [Lane],
) {
    let bias = simd.splat_f32s(ending.bias[row]);
    for vector in 0..vectors {
        let mut half = [[simd.splat_f32s(0.0); P]; M];
        for column in 0..P {
            let mut from = [simd.splat_f32s(0.0); P];
            for (line, from) in from.iter_mut().enumerate() {
                let product = &products[(line * P + column) * panel + row % panel];
                *from = S::as_simd_f32s(product).0[vector];
            }
            for (half, value) in half.iter_mut().zip(F::outputs(simd, from)) {
                half[column] = value;
            }
        }
        for (half, ends) in half.into_iter().zip(ends.as_chunks_mut::<M>().0) {
            let mut done = F::outputs(simd, half);
            for value in &mut done {
                *value = simd.add_f32s(*value, bias);
            }
            ending.clamp.all(simd, &mut done);
            for (end, value) in ends.iter_mut().zip(done) {
                S::as_mut_simd_f32s(end).0[vector] = value;
            }
        }
    }
}
