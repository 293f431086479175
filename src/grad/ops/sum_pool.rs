//! The backward pass of sum- and average-pooling.

use std::ops::AddAssign;

use tract_onnx::prelude::tract_num_traits::Float;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::SumPool;

use super::windows::Windows;

/// Cotangent of the pool's output -> cotangent of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SumPoolGrad {
    windows: Arc<Windows>,
    normalize: bool,
    input_shape: TVec<usize>,
}

impl SumPoolGrad {
    /// The gradient of `pool` over inputs of shape `input`.
    pub(crate) fn new(pool: &SumPool, input: &[usize]) -> TractResult<Self> {
        let windows = Windows::new(&pool.pool_spec, input, pool.count_include_pad)?;
        let windows = Arc::new(windows);
        Ok(Self { windows, normalize: pool.normalize, input_shape: input.into() })
    }
}

impl Op for SumPoolGrad {
    fn name(&self) -> StaticName {
        "SumPoolGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for SumPoolGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let cotangent = args_1!(inputs);
        let mut output = Tensor::zero_dt(cotangent.datum_type(), &self.input_shape)?;
        if cotangent.len() > 0 {
            dispatch_floatlike!(scatter(cotangent.datum_type())(
                &self.windows,
                self.normalize,
                &cotangent,
                &mut output
            ))?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for SumPoolGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].datum_type.fact(&*self.input_shape)])
    }

    as_op!();
}

fn scatter<T: Datum + Float + AddAssign>(
    windows: &Windows,
    normalize: bool,
    cotangent: &Tensor,
    output: &mut Tensor,
) -> TractResult<()> {
    let depth = windows.pixel;
    let cotangent = cotangent.try_as_plain_ram()?;
    let mut output = output.try_as_plain_ram_mut()?;
    let cotangents = cotangent.as_slice::<T>()?.chunks_exact(windows.output_len * depth);
    let outputs = output.as_slice_mut::<T>()?.chunks_exact_mut(windows.input_len * depth);
    let width = windows.columns.len() * depth;
    let scales = scales::<T>(windows, normalize)?;
    let spans = spans(windows);
    let mut shares = vec![T::zero(); width];
    for (cotangents, output) in cotangents.zip(outputs) {
        for (row, cotangents) in cotangents.chunks_exact(width).enumerate() {
            let scales = &scales[row * windows.columns.len()..];
            for ((shares, cotangents), &scale) in
                shares.chunks_exact_mut(depth).zip(cotangents.chunks_exact(depth)).zip(scales)
            {
                shares.iter_mut().zip(cotangents).for_each(|(share, &of)| *share = of * scale);
            }
            for &start in windows.rows_of(row) {
                for span in &spans {
                    let shares = &shares[span.columns.start * depth..span.columns.end * depth];
                    let output = &mut output[(start + span.first) * depth..];
                    add(output, shares, depth, windows.stride);
                }
            }
        }
    }
    Ok(())
}

/// Adds pixels of `depth` values to every `stride`-th pixel.
fn add<T: Copy + AddAssign>(output: &mut [T], shares: &[T], depth: usize, stride: usize) {
    if stride == 1 {
        output.iter_mut().zip(shares).for_each(|(output, &share)| *output += share);
    } else if depth == 1 {
        output.iter_mut().step_by(stride).zip(shares).for_each(|(output, &share)| *output += share);
    } else {
        for (output, shares) in output.chunks_mut(stride * depth).zip(shares.chunks_exact(depth)) {
            output.iter_mut().zip(shares).for_each(|(output, &share)| *output += share);
        }
    }
}

/// The output columns for which a tap lies inside the image.
struct Span {
    columns: std::ops::Range<usize>,
    /// Where the tap of the first of them lies.
    first: usize,
}

fn spans(windows: &Windows) -> Vec<Span> {
    let taps = windows.columns.iter().map(|column| column.tap + column.taps).max().unwrap_or(0);
    (0..taps)
        .filter_map(|tap| {
            let reads = |column: &super::windows::Column| {
                (column.tap..column.tap + column.taps).contains(&tap)
            };
            let start = windows.columns.iter().position(reads)?;
            let len = windows.columns[start..].iter().take_while(|column| reads(column)).count();
            let column = windows.columns[start];
            let first = column.first + (tap - column.tap) * windows.dilation;
            Some(Span { columns: start..start + len, first })
        })
        .collect()
}

/// What each output of an image multiplies its window's sum by.
fn scales<T: Float>(windows: &Windows, normalize: bool) -> TractResult<Vec<T>> {
    let scale = |divisor: usize| {
        if !normalize {
            return Some(T::one());
        }
        // An empty window has no one to give its share to.
        Some(T::from(divisor.max(1))?.recip())
    };
    let divisors = windows
        .row_divisors
        .iter()
        .flat_map(|row| windows.columns.iter().map(move |column| row * column.divisor));
    divisors.map(|divisor| scale(divisor).context("a window too large")).collect()
}
