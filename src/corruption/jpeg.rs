//! What JPEG compression loses.

use std::f64::consts::PI;

use super::image::{Edge, Image, Plane, luma};
use super::level::{Level, Levels};
use crate::rng::Stream;

/// The quality, 1 to 100.
const QUALITY: Levels<u32> = Levels { cifar: [80, 65, 58, 50, 40], imagenet: [25, 18, 15, 10, 7] };

/// The side of a block.
const BLOCK: usize = 8;

type Block<T> = [[T; BLOCK]; BLOCK];

/// The steps of quantisation at quality 50, ITU-T T.81, table K.1.
const LUMA_STEPS: Block<u32> = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
];

/// Table K.2.
const CHROMA_STEPS: Block<u32> = [
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    [99; BLOCK],
    [99; BLOCK],
    [99; BLOCK],
    [99; BLOCK],
];

pub(super) fn compress(image: &mut Image, level: Level, _stream: &mut Stream) {
    let quality = QUALITY.at(level);
    let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    let scaled = |steps: Block<u32>| {
        steps.map(|row| row.map(|step| f64::from(((step * scale + 50) / 100).clamp(1, 255))))
    };
    let (luma_steps, chroma_steps) = (scaled(LUMA_STEPS), scaled(CHROMA_STEPS));
    image.values_mut().for_each(|x| *x = byte(255.0 * *x));
    if image.planes.len() == 3 {
        to_ycc(image);
        for (channel, plane) in image.planes.iter_mut().enumerate() {
            *plane = match channel {
                0 => quantised(plane, &luma_steps),
                _ => doubled(&quantised(&halved(plane), &chroma_steps), plane),
            };
        }
        to_rgb(image);
    } else {
        image.map_planes(|plane| quantised(plane, &luma_steps));
    }
    image.values_mut().for_each(|x| *x /= 255.0);
}

/// The nearest whole number from 0 to 255.
fn byte(x: f64) -> f64 {
    x.round().clamp(0.0, 255.0)
}

/// From red, green, blue to luma and the differences of blue and red from it.
fn to_ycc(image: &mut Image) {
    recolour(image, |[red, green, blue]| {
        let y = luma([red, green, blue]);
        [y, 128.0 + (blue - y) / 1.772, 128.0 + (red - y) / 1.402]
    });
}

fn to_rgb(image: &mut Image) {
    recolour(image, |[y, cb, cr]| {
        let (red, blue) = (y + 1.402 * (cr - 128.0), y + 1.772 * (cb - 128.0));
        [red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue]
    });
}

fn recolour(image: &mut Image, new: impl Fn([f64; 3]) -> [f64; 3]) {
    let [first, second, third] = &mut image.planes[..] else { return };
    let pixels = first.values.iter_mut().zip(&mut second.values).zip(&mut third.values);
    for ((a, b), c) in pixels {
        let [x, y, z] = new([*a, *b, *c]);
        (*a, *b, *c) = (byte(x), byte(y), byte(z));
    }
}

/// At half the resolution, each value the mean of four; halves are rounded up and down in turn.
fn halved(plane: &Plane) -> Plane {
    let at = |row, column| {
        plane.at(Edge::Clamp.index(row, plane.rows), Edge::Clamp.index(column, plane.columns))
    };
    Plane::from_fn(plane.rows.div_ceil(2), plane.columns.div_ceil(2), |row, column| {
        let bias = if column % 2 == 0 { 1.0 } else { 2.0 };
        let (top, left) = (2 * row.cast_signed(), 2 * column.cast_signed());
        let upper = at(top, left) + at(top, left + 1);
        ((upper + at(top + 1, left) + at(top + 1, left + 1) + bias) / 4.0).floor()
    })
}

/// Back at the size of `like`: linear between the centres of the halved pixels.
fn doubled(plane: &Plane, like: &Plane) -> Plane {
    Plane::from_fn(like.rows, like.columns, |row, column| {
        let [row, column] = [row, column].map(|at| (at as f64 - 0.5) / 2.0);
        byte(plane.between(row, column, Edge::Clamp))
    })
}

/// Block by block through the cosine transform, with every coefficient rounded to its step. Beyond the right and lower
/// border, the image goes on with its last values.
fn quantised(plane: &Plane, steps: &Block<f64>) -> Plane {
    let basis = basis();
    let mut new = plane.clone();
    for top in (0..plane.rows).step_by(BLOCK) {
        for left in (0..plane.columns).step_by(BLOCK) {
            let block = block(|row, column| {
                let row = (top + row).min(plane.rows - 1);
                plane.at(row, (left + column).min(plane.columns - 1)) - 128.0
            });
            let wave = product(&product(&basis, &block), &transposed(&basis));
            let kept = self::block(|v, u| whole(wave[v][u] / steps[v][u]) * steps[v][u]);
            let back = product(&product(&transposed(&basis), &kept), &basis);
            for row in top..(top + BLOCK).min(plane.rows) {
                for column in left..(left + BLOCK).min(plane.columns) {
                    let x = back[row - top][column - left];
                    new.values[row * plane.columns + column] = byte(x + 128.0);
                }
            }
        }
    }
    new
}

/// Rounds halves away from 0, those as well that the transform's own rounding puts a little below.
fn whole(x: f64) -> f64 {
    (x * (1.0 + 1e-12)).round()
}

fn block(value: impl Fn(usize, usize) -> f64) -> Block<f64> {
    std::array::from_fn(|row| std::array::from_fn(|column| value(row, column)))
}

/// The cosine transform of eight values, orthogonal: a frequency per row.
fn basis() -> Block<f64> {
    block(|frequency, at| {
        let scale = if frequency == 0 { 0.125_f64.sqrt() } else { 0.5 };
        scale * ((2 * at + 1) as f64 * frequency as f64 * PI / 16.0).cos()
    })
}

fn transposed(matrix: &Block<f64>) -> Block<f64> {
    block(|row, column| matrix[column][row])
}

fn product(a: &Block<f64>, b: &Block<f64>) -> Block<f64> {
    block(|row, column| (0..BLOCK).map(|k| a[row][k] * b[k][column]).sum())
}
