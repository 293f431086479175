//! Where the windows of a pooling operator lie, as flat offsets.

use std::ops::Range;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{PaddingSpec, PoolSpec};

/// The windows over one image of contiguous pixels. An image is a channel when channels come first, and a pixel is
/// then one value; when they come last, it is a sample, with a value per channel in each pixel.
///
/// A window's taps are whole rows of the last spatial axis: output row `r`, column `c` reads, in each of
/// `rows_of(r)`, the taps of `columns[c]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Windows {
    /// Values per pixel.
    pub pixel: usize,
    /// Pixels per input image.
    pub input_len: usize,
    /// Pixels per output image.
    pub output_len: usize,
    pub columns: Vec<Column>,
    /// The distance between taps in a row.
    pub dilation: usize,
    /// The distance between windows in a row.
    pub stride: usize,
    rows: Vec<usize>,
    row_ends: Vec<usize>,
    /// For each output row, the product of the divisors of its outer axes.
    pub row_divisors: Vec<usize>,
}

/// The taps of an output column that lie inside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// The input column of the first of them.
    pub first: usize,
    /// Its index among the taps.
    pub tap: usize,
    pub taps: usize,
    pub divisor: usize,
}

impl Windows {
    /// `count_padding`: whether the divisors count taps that lie in the padding.
    pub(super) fn new(
        spec: &PoolSpec,
        shape: &[usize],
        count_padding: bool,
    ) -> TractResult<Windows> {
        let shape = spec.data_format.shape(shape)?;
        let mut axes: Vec<Vec<Column>> = spec
            .computed_padding(shape.hw_dims())
            .iter()
            .enumerate()
            .map(|(axis, dim)| {
                let len = shape.hw_dims()[axis];
                let columns = (0..dim.convoluted)
                    .map(|at| column(spec, axis, len, dim.pad_before, at, count_padding));
                columns.collect()
            })
            .collect();
        let hw = shape.hw_dims();
        let last = axes.pop().context("a pool without spatial axes")?;
        let width = hw[hw.len() - 1];
        let mut windows = Windows {
            pixel: if spec.data_format.c_is_last() { *shape.c() } else { 1 },
            input_len: hw.iter().product(),
            output_len: axes.iter().map(Vec::len).product::<usize>() * last.len(),
            columns: last,
            dilation: spec.dilation(hw.len() - 1),
            stride: spec.stride(hw.len() - 1),
            rows: vec![],
            row_ends: vec![],
            row_divisors: vec![],
        };
        for row in odometer(axes.iter().map(|axis| 0..axis.len())) {
            let outer: Vec<Column> = row.iter().zip(&axes).map(|(&at, axis)| axis[at]).collect();
            for taps in odometer(outer.iter().map(|column| 0..column.taps)) {
                let offset = (0..outer.len()).fold(0, |offset, axis| {
                    offset * hw[axis] + outer[axis].first + taps[axis] * spec.dilation(axis)
                });
                windows.rows.push(offset * width);
            }
            windows.row_ends.push(windows.rows.len());
            windows.row_divisors.push(outer.iter().map(|column| column.divisor).product());
        }
        Ok(windows)
    }

    /// The sides of the image, if windows are of 2x2 beside each other, and begin with it: so no two share a pixel.
    pub(super) fn halves(&self) -> Option<[usize; 2]> {
        let half = self.columns.len();
        self.row_ends.first()?;
        let [0, width] = self.rows_of(0) else { return None };
        let is_halving =
            |(at, column): (usize, &Column)| column.first == 2 * at && column.taps == 2;
        let are_pairs = (0..self.row_ends.len())
            .all(|row| *self.rows_of(row) == [2 * row * width, (2 * row + 1) * width]);
        let is_whole = self.columns.iter().enumerate().all(is_halving)
            && (self.dilation, self.pixel) == (1, 1)
            && width / 2 == half
            && self.input_len / width / 2 == self.row_ends.len();
        (is_whole && are_pairs).then(|| [self.input_len / width, *width])
    }

    /// The input rows that an output row reads, by the offset of their first pixel, in the order of the taps.
    pub(super) fn rows_of(&self, row: usize) -> &[usize] {
        let start = if row == 0 { 0 } else { self.row_ends[row - 1] };
        &self.rows[start..self.row_ends[row]]
    }
}

fn column(
    spec: &PoolSpec,
    axis: usize,
    len: usize,
    before: usize,
    at: usize,
    count_padding: bool,
) -> Column {
    let (taps, dilation) = (spec.kernel_shape[axis], spec.dilation(axis));
    let start = at * spec.stride(axis);
    let inside = |end: usize| (0..taps).filter(|tap| start + tap * dilation < end).count();
    let skipped = before.saturating_sub(start).div_ceil(dilation).min(taps);
    let inner = inside(before + len).saturating_sub(skipped);
    let divisor = match &spec.padding {
        _ if !count_padding => inner,
        // The window may hang over the padding: that part is not counted.
        PaddingSpec::ExplicitOnnxPool(_, after, true) => inside(before + len + after[axis]),
        _ => taps,
    };
    let first = (start + skipped * dilation).saturating_sub(before);
    Column { first, tap: skipped, taps: inner, divisor }
}

/// All index tuples of the ranges, the last running fastest.
fn odometer(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Vec<usize>> {
    ranges.fold(vec![vec![]], |tuples, range| {
        let extend = |tuple: Vec<usize>| {
            range.clone().map(move |next| tuple.iter().copied().chain([next]).collect())
        };
        tuples.into_iter().flat_map(extend).collect()
    })
}
