//! Convolution.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::Slice;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::{Cotangents, Step, kernel};
use crate::grad::ops::Fold;
use crate::grad::tape::Tape;
use crate::lowering::lowers;

/// The cotangent of the image is a transposed convolution, that of the bias a sum. Linear, so exact.
///
/// A kernel may be computed, but not from the attacked input.
pub(super) fn conv(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Conv>()?;
    ensure!(op.q_params.is_none(), "it is quantised");
    ensure!(!step.wants[1], "its kernel depends on the attacked input");
    let cotangent = step.cotangent()?;
    let image = step.wants[0].then(|| to_image(tape, step, op, cotangent)).transpose()?;
    let bias = step.wants[2]
        .then(|| to_bias(tape, step.input(2), &op.pool_spec, cotangent))
        .transpose()?;
    Ok(tvec![image, None, bias])
}

fn to_image(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    op: &Conv,
    cotangent: OutletId,
) -> TractResult<OutletId> {
    let geometry = Geometry::new(tape, step, &op.pool_spec)?;
    if geometry.axes.iter().any(Axis::is_all_padding) {
        return zeros(tape, step.input(0));
    }
    if patches_are_cheaper(tape, step, op, &geometry)? {
        return as_patches(tape, step, op, cotangent);
    }
    let transposed = kernel::transposed(tape, step.input(1), op.kernel_fmt, op.group)?;
    if geometry.axes.iter().all(|axis| axis.stride == 1)
        && let Some(flipped) = kernel::flipped(tape, transposed)?
    {
        return as_conv(tape, op, &geometry, cotangent, flipped);
    }
    as_deconv(tape, op, &geometry, cotangent, transposed)
}

/// Whether [`as_patches`] is faster than a transposed convolution, as measured: its cost goes with the volume of the
/// patches, that of a convolution with the volume of the windows over the cotangent, which tract gathers.
///
/// On a batch the patches leave the cache. For depthwise convolutions tract's own way is no slower.
fn patches_are_cheaper(
    tape: &Tape<'_>,
    step: &Step<'_>,
    op: &Conv,
    geometry: &Geometry,
) -> TractResult<bool> {
    let spec = &op.pool_spec;
    let (image, kernel) = (tape.fact(step.cotangent()?)?, tape.fact(step.input(1))?);
    if lowers(&transposed_spec(spec), kernel, image) {
        return Ok(false);
    }
    let channels_last = spec.data_format.c_is_last();
    if op.group > 1 && (op.input_channels() == op.group || channels_last) {
        return Ok(false);
    }
    if geometry.axes.iter().any(|axis| axis.stride > 1) {
        return Ok(true);
    }
    let shape = tape.shape(step.input(0))?;
    let batched = spec.data_format.shape(shape)?.n().is_some_and(|&n| n > 1);
    let patches = geometry.axes.iter().map(|axis| axis.output).product::<usize>()
        * op.input_channels()
        * (1 + batched as usize);
    let gathered = geometry.axes.iter().map(|axis| axis.input).product::<usize>();
    Ok(patches <= gathered * op.output_channels())
}

/// At stride 1: a convolution with the flipped kernel.
fn as_conv(
    tape: &mut Tape<'_>,
    op: &Conv,
    geometry: &Geometry,
    cotangent: OutletId,
    kernel: OutletId,
) -> TractResult<OutletId> {
    let mut cotangent = cotangent;
    let (mut before, mut after) = (tvec![], tvec![]);
    for (index, axis) in geometry.axes.iter().enumerate() {
        // Outputs whose window lies in the padding are cut off.
        let reach = axis.field - 1;
        let start = axis.before.saturating_sub(reach);
        let end = axis.output.min(axis.input + axis.before);
        if (start, end) != (0, axis.output) {
            let at = op.pool_spec.data_format.h_axis() + index;
            cotangent = tape.emit(Slice::new(at, start, end), &[cotangent])?;
        }
        before.push(reach.saturating_sub(axis.before));
        after.push((axis.input + axis.before).saturating_sub(axis.output));
    }
    let pool_spec = PoolSpec {
        padding: PaddingSpec::Explicit(before, after),
        strides: None,
        ..transposed_spec(&op.pool_spec)
    };
    let bias = zero_bias(tape, cotangent)?;
    let conv = Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group: op.group, q_params: None };
    tape.emit(conv, &[cotangent, kernel, bias])
}

fn as_deconv(
    tape: &mut Tape<'_>,
    op: &Conv,
    geometry: &Geometry,
    cotangent: OutletId,
    kernel: OutletId,
) -> TractResult<OutletId> {
    let before = geometry.axes.iter().map(|axis| axis.before).collect();
    let after = geometry.axes.iter().map(|axis| axis.span().saturating_sub(axis.end())).collect();
    let adjustments =
        geometry.axes.iter().map(|axis| axis.end().saturating_sub(axis.span())).collect();
    let pool_spec = PoolSpec {
        padding: PaddingSpec::Explicit(before, after),
        ..transposed_spec(&op.pool_spec)
    };
    let bias = zero_bias(tape, cotangent)?;
    let deconv =
        Deconv { pool_spec, kernel_format: KernelFormat::OIHW, adjustments, group: op.group };
    tape.emit(deconv, &[cotangent, kernel, bias])
}

/// As a matrix product that turns each output pixel into a patch of the image, and the sum of the patches.
fn as_patches(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    op: &Conv,
    cotangent: OutletId,
) -> TractResult<OutletId> {
    let format = op.pool_spec.data_format;
    let last = format.c_is_last();
    let kernel = kernel::patch_matrix(tape, step.input(1), op.kernel_fmt, op.group, last)?;
    // A batch axis of its own keeps tract from merging the batch with the pixels, which would transpose both.
    let kernel = if format.has_n() { tape.emit(AxisOp::Add(0), &[kernel])? } else { kernel };
    let shape = tape.shape(cotangent)?;
    let shape = format.shape(shape)?;
    let windows: TVec<TDim> = shape.hw_dims().iter().map(|dim| dim.to_dim()).collect();
    let count = windows.iter().product();
    let flat = AxisOp::Reshape(shape.h_axis(), windows, tvec![count]);
    let mut pixels = tape.emit(flat, &[cotangent])?;
    if op.group > 1 {
        let (all, each) = (op.output_channels().to_dim(), op.output_channels() / op.group);
        let split =
            AxisOp::Reshape(shape.c_axis(), tvec![all], tvec![op.group.to_dim(), each.to_dim()]);
        pixels = tape.emit(split, &[pixels])?;
    }
    let n = if format.has_n() { "n" } else { "" };
    let axes = match (last, op.group) {
        (true, _) => format!("{n}mk,{n}pk->{n}pm"),
        (false, 1) => format!("{n}mk,{n}kp->{n}mp"),
        (false, _) => format!("{n}gmk,{n}gkp->{n}gmp"),
    };
    let dt = tape.fact(cotangent)?.datum_type;
    let patches = tape.emit(EinSum::new(axes.parse()?, dt), &[kernel, pixels])?;
    tape.emit(Fold::new(&op.pool_spec, &tape.shape(step.input(0))?)?, &[patches])
}

/// A bias is a scalar, or has a value per channel.
pub(super) fn to_bias(
    tape: &mut Tape<'_>,
    bias: OutletId,
    spec: &PoolSpec,
    cotangent: OutletId,
) -> TractResult<OutletId> {
    let per_channel = tape.fact(bias)?.rank() == 1;
    let shape = tape.shape(cotangent)?;
    let channel = spec.data_format.shape(&shape)?.c_axis();
    let axes: TVec<usize> =
        (0..shape.len()).filter(|&axis| !(per_channel && axis == channel)).collect();
    let sum = tape.emit(Reduce { axes: axes.clone(), reducer: Reducer::Sum }, &[cotangent])?;
    axes.iter().rev().try_fold(sum, |sum, &axis| tape.emit(AxisOp::Rm(axis), &[sum]))
}

/// A convolution's spatial axes, at concrete sizes.
struct Geometry {
    axes: Vec<Axis>,
}

struct Axis {
    input: usize,
    output: usize,
    /// The extent of a window.
    field: usize,
    stride: usize,
    before: usize,
}

impl Geometry {
    fn new(tape: &Tape<'_>, step: &Step<'_>, spec: &PoolSpec) -> TractResult<Self> {
        let shape = tape.shape(step.input(0))?;
        let shape = spec.data_format.shape(shape)?;
        let padding = spec.computed_padding(shape.hw_dims());
        let axes = (0..spec.rank())
            .map(|index| Axis {
                input: shape.hw_dims()[index],
                output: padding[index].convoluted,
                field: (spec.kernel_shape[index] - 1) * spec.dilation(index) + 1,
                stride: spec.stride(index),
                before: padding[index].pad_before,
            })
            .collect();
        Ok(Self { axes })
    }
}

impl Axis {
    /// What the windows cover together, padding included.
    fn span(&self) -> usize {
        (self.output - 1) * self.stride + self.field
    }

    /// Where the input ends, in the same coordinates.
    fn end(&self) -> usize {
        self.before + self.input
    }

    fn is_all_padding(&self) -> bool {
        self.output == 0 || self.span() <= self.before
    }
}

/// The same geometry with the channels swapped.
pub(super) fn transposed_spec(spec: &PoolSpec) -> PoolSpec {
    PoolSpec {
        input_channels: spec.output_channels,
        output_channels: spec.input_channels,
        ..spec.clone()
    }
}

pub(super) fn zero_bias(tape: &mut Tape<'_>, like: OutletId) -> TractResult<OutletId> {
    let dt = tape.fact(like)?.datum_type;
    tape.constant(Tensor::zero_scalar_dt(dt)?)
}

fn zeros(tape: &mut Tape<'_>, like: OutletId) -> TractResult<OutletId> {
    let shape = tape.shape(like)?;
    let dt = tape.fact(like)?.datum_type;
    tape.constant(Tensor::zero_dt(dt, &shape)?)
}

#[cfg(test)]
mod tests;
