//! The backward pass of max-pooling.

use std::ops::AddAssign;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::PoolSpec;

use super::windows::Windows;

/// (pool input, cotangent of the pool's output) -> cotangent of the input: each window's first maximum takes its
/// cotangent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MaxPoolGrad {
    windows: Arc<Windows>,
}

impl MaxPoolGrad {
    /// The gradient of the pool `spec` over inputs of shape `input`.
    pub(crate) fn new(spec: &PoolSpec, input: &[usize]) -> TractResult<Self> {
        Ok(Self { windows: Arc::new(Windows::new(spec, input, false)?) })
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

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (input, cotangent) = args_2!(inputs);
        let mut output = Tensor::zero_dt(input.datum_type(), input.shape())?;
        if cotangent.len() > 0 {
            dispatch_floatlike!(scatter(input.datum_type())(
                &self.windows,
                &input,
                &cotangent,
                &mut output
            ))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for MaxPoolGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].without_value()])
    }

    as_op!();
}

fn scatter<T: Datum + Copy + PartialOrd + AddAssign>(
    windows: &Windows,
    input: &Tensor,
    cotangent: &Tensor,
    output: &mut Tensor,
) -> TractResult<()> {
    let (input, cotangent) = (input.try_as_plain_ram()?, cotangent.try_as_plain_ram()?);
    let mut output = output.try_as_plain_ram_mut()?;
    let size = windows.input_len * windows.pixel;
    let images = input.as_slice::<T>()?.chunks_exact(size);
    let cotangents = cotangent.as_slice::<T>()?.chunks_exact(windows.output_len * windows.pixel);
    let outputs = output.as_slice_mut::<T>()?.chunks_exact_mut(size);
    let mut best = vec![0; windows.pixel];
    for ((image, cotangents), output) in images.zip(cotangents).zip(outputs) {
        if windows.pixel == 1 {
            scalars(windows, image, cotangents, output);
        } else {
            pixels(windows, image, cotangents, output, &mut best);
        }
    }
    Ok(())
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
