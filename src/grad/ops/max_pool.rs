//! The backward pass of max-pooling.

use std::ops::AddAssign;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::tract_num_traits::Zero;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::PoolSpec;

use super::windows::Windows;
use crate::pool;
use crate::simd::vectorized;

/// (pool input, cotangent of the pool's output) -> cotangent of the input: each window's first maximum takes its
/// cotangent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MaxPoolGrad {
    windows: Arc<Windows>,
    /// Height and width of images whose windows are pairs of pairs.
    halves: Option<[usize; 2]>,
}

impl MaxPoolGrad {
    /// The gradient of the pool `spec` over inputs of shape `input`.
    pub(crate) fn new(spec: &PoolSpec, input: &[usize]) -> TractResult<Self> {
        let windows = Windows::new(spec, input, false)?;
        Ok(Self { halves: windows.halves(), windows: windows.into() })
    }
}

impl Op for MaxPoolGrad {
    fn name(&self) -> StaticName {
        "MaxPoolGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for MaxPoolGrad {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (input, cotangent) = args_2!(inputs);
        let mut output = match self.halves {
            Some(_) if input.datum_type() == f32::datum_type() => pool::take(ctx, input.shape())?,
            _ => Tensor::zero_dt(input.datum_type(), input.shape())?,
        };
        if cotangent.len() > 0 {
            dispatch_floatlike!(scatter(input.datum_type())(
                self,
                &input,
                &cotangent,
                &mut output
            ))?;
        }
        pool::give(ctx, input);
        pool::give(ctx, cotangent);
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for MaxPoolGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].without_value()])
    }

    as_op!();
}

fn scatter<T: Datum + Copy + PartialOrd + AddAssign + Zero>(
    of: &MaxPoolGrad,
    input: &Tensor,
    cotangent: &Tensor,
    output: &mut Tensor,
) -> TractResult<()> {
    let (input, cotangent) = (input.try_as_plain_ram()?, cotangent.try_as_plain_ram()?);
    let mut output = output.try_as_plain_ram_mut()?;
    let windows = &*of.windows;
    let size = windows.input_len * windows.pixel;
    let images = input.as_slice::<T>()?.chunks_exact(size);
    let cotangents = cotangent.as_slice::<T>()?.chunks_exact(windows.output_len * windows.pixel);
    let outputs = output.as_slice_mut::<T>()?.chunks_exact_mut(size);
    let mut best = vec![0; windows.pixel];
    for ((image, cotangents), output) in images.zip(cotangents).zip(outputs) {
        if let Some(size) = of.halves {
            vectorized(
                #[inline(always)]
                || pairs(size, image, cotangents, output),
            );
        } else if windows.pixel == 1 {
            scalars(windows, image, cotangents, output);
        } else {
            pixels(windows, image, cotangents, output, &mut best);
        }
    }
    Ok(())
}

/// Where no windows share a value, and each is of two in two rows: without branches, for vectors.
#[inline(always)]
fn pairs<T: Copy + PartialOrd + Zero>(
    [height, width]: [usize; 2],
    image: &[T],
    cotangents: &[T],
    output: &mut [T],
) {
    let half = width / 2;
    let bands = image.chunks_exact(2 * width).zip(output.chunks_exact_mut(2 * width));
    for ((image, output), cotangents) in bands.zip(cotangents.chunks_exact(half)) {
        let (upper, lower) = image.split_at(width);
        let (to_upper, to_lower) = output.split_at_mut(width);
        let (to_upper, rest) = to_upper.as_chunks_mut::<2>();
        rest.fill(T::zero());
        let (to_lower, rest) = to_lower.as_chunks_mut::<2>();
        rest.fill(T::zero());
        let from = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0, cotangents);
        let done = route::<T, 8>(0, from, (to_upper, to_lower));
        let done = route::<T, 4>(done, from, (to_upper, to_lower));
        route::<T, 1>(done, from, (to_upper, to_lower));
    }
    output[height / 2 * 2 * width..].fill(T::zero());
}

/// From a window on, as many as there are by so many: rows are short, and loops over them too short for vectors.
#[inline(always)]
fn route<T: Copy + PartialOrd + Zero, const N: usize>(
    first: usize,
    (upper, lower, cotangents): (&[[T; 2]], &[[T; 2]], &[T]),
    (to_upper, to_lower): (&mut [[T; 2]], &mut [[T; 2]]),
) -> usize {
    let from = upper[first..].as_chunks::<N>().0.iter().zip(lower[first..].as_chunks::<N>().0);
    let from = from.zip(cotangents[first..].as_chunks::<N>().0);
    let to_upper = to_upper[first..].as_chunks_mut::<N>().0.iter_mut();
    let to = to_upper.zip(to_lower[first..].as_chunks_mut::<N>().0);
    for (((upper, lower), cotangents), (to_upper, to_lower)) in from.zip(to) {
        for at in 0..N {
            let ([a, b], [c, d], cotangent) = (upper[at], lower[at], cotangents[at]);
            let second = a < b;
            let max = if second { b } else { a };
            let third = max < c;
            let max = if third { c } else { max };
            let fourth = max < d;
            let share = |is_it: bool| if is_it { cotangent } else { T::zero() };
            to_upper[at] = [share(!second & !third & !fourth), share(second & !third & !fourth)];
            to_lower[at] = [share(third & !fourth), share(fourth)];
        }
    }
    first + (upper.len() - first) / N * N
}

fn scalars<T: Copy + PartialOrd + AddAssign>(
    windows: &Windows,
    image: &[T],
    cotangents: &[T],
    output: &mut [T],
) {
    for (row, cotangents) in cotangents.chunks_exact(windows.columns.len()).enumerate() {
        let rows = windows.rows_of(row);
        for (column, &cotangent) in windows.columns.iter().zip(cotangents) {
            let (Some(&first), true) = (rows.first(), column.taps > 0) else {
                continue;
            };
            let mut at = first + column.first;
            let mut max = image[at];
            for &row in rows {
                let start = row + column.first;
                let taps = &image[start..][..(column.taps - 1) * windows.dilation + 1];
                for (index, &value) in taps.iter().enumerate().step_by(windows.dilation) {
                    if max < value {
                        (max, at) = (value, start + index);
                    }
                }
            }
            output[at] += cotangent;
        }
    }
}

/// As [`scalars`], channel by channel; `best` holds the position of each channel's maximum.
fn pixels<T: Copy + PartialOrd + AddAssign>(
    windows: &Windows,
    image: &[T],
    cotangents: &[T],
    output: &mut [T],
    best: &mut [usize],
) {
    let depth = windows.pixel;
    for (row, cotangents) in cotangents.chunks_exact(windows.columns.len() * depth).enumerate() {
        let rows = windows.rows_of(row);
        for (column, cotangents) in windows.columns.iter().zip(cotangents.chunks_exact(depth)) {
            let (Some(&first), true) = (rows.first(), column.taps > 0) else {
                continue;
            };
            let start = (first + column.first) * depth;
            best.iter_mut().enumerate().for_each(|(channel, best)| *best = start + channel);
            for &row in rows {
                for tap in 0..column.taps {
                    let start = (row + column.first + tap * windows.dilation) * depth;
                    let taps = &image[start..][..depth];
                    for (channel, (best, &value)) in best.iter_mut().zip(taps).enumerate() {
                        if image[*best] < value {
                            *best = start + channel;
                        }
                    }
                }
            }
            for (&best, &cotangent) in best.iter().zip(cotangents) {
                output[best] += cotangent;
            }
        }
    }
}
