//! Quantised and rounded values.
//!
//! Exact derivatives are zero wherever a value is rounded; what is here instead are the surrogates of straight-through
//! gradients: the function without its rounding, flat where the result is clipped to the ends of its type. Integers
//! that are only multiplied and summed, and dequantisation, are linear, so their rules are exact.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_core::ops::logic::{Iff, comp_gt};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::quant::{
    DequantizeLinearF32, LookupTable, QuantizeLinearI8, QuantizeLinearU8,
};

use super::{Cotangents, Step, conv as plain_conv, einsum as plain_einsum};
use crate::grad::ops::{DynamicScaleGrad, SurrogateGrad, SurrogateSlope};
use crate::grad::tape::Tape;

/// Half the width, in levels, over which the slope of a lookup table is taken: wide enough that a table of slope 1/4
/// has no flat spots.
const TABLE_REACH: usize = 4;

/// Whether a convolution has float operands.
pub(super) fn is_plain_conv(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<Conv>().is_some_and(|op| op.q_params.is_none())
}

/// Whether a convolution sums products of integers and leaves them so.
pub(super) fn is_integer_conv(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<Conv>().is_some_and(|op| op.q_params == Some(i32::datum_type()))
}

/// Whether a convolution of integers is rounded to a narrower type.
pub(super) fn is_quantised_conv(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<Conv>()
        .is_some_and(|op| op.q_params.is_some_and(|dt| dt != i32::datum_type()))
}

/// As [`is_plain_conv`].
pub(super) fn is_plain_einsum(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<EinSum>()
        .is_some_and(|op| op.q_params.is_none() && op.operating_dt.is_float())
}

/// As [`is_integer_conv`].
pub(super) fn is_integer_einsum(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<EinSum>().is_some_and(|op| match op.q_params {
        Some(dt) => dt == i32::datum_type(),
        None => op.operating_dt.is_integer(),
    })
}

/// As [`is_quantised_conv`].
pub(super) fn is_quantised_einsum(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<EinSum>()
        .is_some_and(|op| op.q_params.is_some_and(|dt| dt != i32::datum_type()))
}

/// By its name: tract keeps the type to itself.
pub(super) fn is_dynamic_quantize_linear(op: &dyn TypedOp) -> bool {
    op.name() == "DynamicQuantizeLinearU8"
}

/// (q - zero point) * scale.
pub(super) fn dequantize_linear(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let scale = f64::from(step.op::<DequantizeLinearF32>()?.scale);
    let cotangent = step.cotangent()?;
    let scale = tape.scalar(scale, cotangent)?;
    Ok(tvec![Some(tape.emit(math::mul(), &[cotangent, scale])?)])
}

/// Surrogate of rounding to whole numbers: the identity. Booleans count as numbers.
pub(super) fn round(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let cotangent = step.cotangent()?;
    Ok(tvec![Some(as_cotangent_of(tape, step.input(0), cotangent)?)])
}

/// Surrogate of the sign: the identity within [-1, 1] as in hard tanh (Hubara et al. 2016), and sign(x) (2 - 1 / |x|)
/// outside, where hard tanh is flat: without a batch normalisation in front, hardly an operand lies within.
pub(super) fn sign(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    surrogate(tape, step, SurrogateSlope::Sign)
}

/// Surrogate: x / scale + zero point, clipped to the type.
pub(super) fn quantize_linear_u8(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = mini::<QuantizeLinearU8>(step)?;
    let (zero_point, ends) = (f32::from(op.zero_point), (0.0, 255.0));
    surrogate(tape, step, SurrogateSlope::Quantize { scale: op.scale, zero_point, ends })
}

/// As [`quantize_linear_u8`].
pub(super) fn quantize_linear_i8(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = mini::<QuantizeLinearI8>(step)?;
    let (zero_point, ends) = (f32::from(op.zero_point), (-128.0, 127.0));
    surrogate(tape, step, SurrogateSlope::Quantize { scale: op.scale, zero_point, ends })
}

/// Surrogate of a table of bytes: at each level, the mean slope over the levels around it.
pub(super) fn lookup_table(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = mini::<LookupTable>(step)?;
    let input = step.input(0);
    // Levels in increasing order, so that neighbours are neighbours.
    let levels: Vec<i16> =
        if tape.fact(OutletId::new(step.node.id, 0))?.datum_type == i8::datum_type() {
            (-128..128).collect()
        } else {
            (0..256).collect()
        };
    let values: Vec<i16> = {
        let dt = if levels[0] < 0 { i8::datum_type() } else { u8::datum_type() };
        let levels = tensor1(&levels).cast_to_dt(dt)?.into_owned();
        let values = op.eval_out_of_place(&levels, None)?;
        values.cast_to::<i16>()?.to_plain_array_view::<i16>()?.iter().copied().collect()
    };
    let slopes = (0..256)
        .map(|at: usize| {
            let (from, to) = (at.saturating_sub(TABLE_REACH), (at + TABLE_REACH).min(255));
            f32::from(values[to] - values[from]) / (to - from) as f32
        })
        .collect();
    let cotangent = step.cotangent()?;
    let slope = SurrogateSlope::Table { first: f32::from(levels[0]), slopes };
    Ok(tvec![Some(scaled(tape, input, input, cotangent, slope)?)])
}

/// The exact derivative of a dynamic quantisation: the levels and the zero point are rounded, but the scale,
/// (max(x, 0) - min(x, 0)) / 255, is not.
pub(super) fn dynamic_scale(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let Some(cotangent) = step.cotangents.get(1).copied().flatten() else {
        return Ok(tvec![None]);
    };
    Ok(tvec![Some(tape.emit(DynamicScaleGrad, &[step.input(0), cotangent])?)])
}

/// Surrogate of a dynamic quantisation: x / scale, with the scale and the zero point held fast. What they were chosen
/// from is undone by the dequantisation that follows.
pub(super) fn dynamic_quantize_linear(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
) -> TractResult<Cotangents> {
    let Some(cotangent) = step.cotangents[0] else {
        return Ok(tvec![None]);
    };
    let mut scale = step.outputs[1];
    for _ in 0..tape.fact(cotangent)?.rank() {
        scale = tape.emit(AxisOp::Add(0), &[scale])?;
    }
    // The scale of nothing but zeros is zero.
    let zero = tape.scalar(0.0, cotangent)?;
    let some = tape.emit(TypedBinOp(comp_gt(), None), &[scale, zero])?;
    let quotient = tape.emit(math::div(), &[cotangent, scale])?;
    Ok(tvec![Some(tape.emit(Iff, &[some, quotient, zero])?)])
}

/// A convolution of integers, y = scale * conv(x - x0, k - k0) + y0: linear in x. Where y is rounded, this is the
/// surrogate, flat where y is clipped. The cotangents of scales and zero points are not wanted.
pub(super) fn conv(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Conv>()?;
    expect_constants(step, 3)?;
    let shape = tape.shape(step.outputs[0])?;
    let channel = op.pool_spec.data_format.shape(&shape)?.c_axis();
    let kernel_shape = tape.shape(step.input(1))?;
    let out_axis = match op.kernel_fmt {
        tract_onnx::tract_core::ops::cnn::KernelFormat::HWIO => kernel_shape.len() - 1,
        _ => 0,
    };
    let [image, kernel] = [(0, 3, None), (1, 5, Some(out_axis))].map(|(slot, zero, axis)| {
        let zero = along(tape, step.input(zero), &tape.shape(step.input(slot))?.clone(), axis)?;
        centred(tape, step.input(slot), zero)
    });
    let bias = tape.emit(cast(f32::datum_type()), &[step.input(2)])?;
    let mut factors = tvec![];
    for slot in [4, 6, 8] {
        factors.push(along(tape, step.input(slot), &shape, Some(channel))?);
    }
    let cotangent = requantised(tape, step, op.q_params, &factors)?;
    let float = Conv { q_params: None, ..op.clone() };
    let operands = [image?, kernel?, bias];
    linear(tape, step, float, &operands, cotangent, plain_conv::conv)
}

/// A product of integer matrices, c = scale * (a - a0)(b - b0) + c0: linear in each side. As [`conv`].
pub(super) fn einsum(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<EinSum>()?;
    if op.q_params.is_none() {
        let operands: Vec<OutletId> = step
            .node
            .inputs
            .iter()
            .map(|input| tape.emit(cast(f32::datum_type()), &[*input]))
            .collect::<TractResult<_>>()?;
        let float = EinSum { operating_dt: f32::datum_type(), ..op.clone() };
        return linear(tape, step, float, &operands, step.cotangent()?, plain_einsum::einsum);
    }
    expect_constants(step, 3)?;
    let labels = |slot| op.axes.axes(slot).map(|axis| axis.repr).collect::<Vec<char>>();
    // The only axis of a parameter, as an axis of another tensor.
    let axis_of = |slot, among| {
        let mut own = labels(InOut::In(slot)).into_iter();
        own.next().and_then(|label| labels(among).iter().position(|other| *other == label))
    };
    let mut operands = vec![];
    for (slot, zero) in [(0, 3), (1, 5)] {
        let shape = tape.shape(step.input(slot))?;
        let zero = along(tape, step.input(zero), &shape, axis_of(zero, InOut::In(slot)))?;
        operands.push(centred(tape, step.input(slot), zero)?);
    }
    let shape = tape.shape(step.outputs[0])?;
    let mut factors = tvec![];
    for slot in [4, 6, 8] {
        factors.push(along(tape, step.input(slot), &shape, axis_of(slot, InOut::Out(0)))?);
    }
    let cotangent = requantised(tape, step, op.q_params, &factors)?;
    let float = EinSum {
        axes: op.axes.extract_sub_mapping(&[0, 1], &[0])?,
        operating_dt: f32::datum_type(),
        q_params: None,
    };
    linear(tape, step, float, &operands, cotangent, plain_einsum::einsum)
}

/// The rule of a float operator, for the same function of other operands.
fn linear(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    op: impl Into<Box<dyn TypedOp>>,
    operands: &[OutletId],
    cotangent: OutletId,
    vjp: super::Vjp,
) -> TractResult<Cotangents> {
    let mut node = step.node.clone();
    node.op = op.into();
    node.inputs = operands.to_vec();
    let wants = &step.wants[..operands.len()];
    let step = Step {
        node: &node,
        outputs: step.outputs,
        cotangents: &[Some(cotangent)],
        wants,
        through: step.through,
    };
    vjp(tape, &step)
}

/// Refuses parameters that are scales computed from the attacked input, and not rounded from it as zero points are.
fn expect_constants(step: &Step<'_>, from: usize) -> TractResult<()> {
    let scales = (from + 1..step.wants.len()).step_by(2);
    ensure!(
        scales.clone().all(|slot| !step.wants[slot]),
        "its scales depend on the attacked input"
    );
    Ok(())
}

/// The cotangent of scale * (...) + zero point, before the scaling: `factors` are the scales of the operands and, last, of
/// the result.
fn requantised(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    to: Option<DatumType>,
    factors: &[OutletId],
) -> TractResult<OutletId> {
    let mut cotangent = step.cotangent()?;
    let to = to.unwrap_or(i32::datum_type()).unquantized();
    if to != i32::datum_type() {
        let end = |value: Tensor| value.cast_to_scalar::<f32>();
        let ends = (end(to.min_value())?, end(to.max_value())?);
        let slope = SurrogateSlope::Inside { ends };
        cotangent = scaled(tape, step.outputs[0], step.outputs[0], cotangent, slope)?;
    }
    for (index, &factor) in factors.iter().enumerate() {
        let op = if index + 1 == factors.len() { math::div() } else { math::mul() };
        cotangent = tape.emit(op, &[cotangent, factor])?;
    }
    Ok(cotangent)
}

/// `values` - `zero`, in f32.
fn centred(tape: &mut Tape<'_>, values: OutletId, zero: OutletId) -> TractResult<OutletId> {
    let values = tape.emit(cast(f32::datum_type()), &[values])?;
    tape.emit(math::sub(), &[values, zero])
}

/// A parameter in f32, of the rank of a tensor of `shape` and along its `axis`, or the same everywhere.
fn along(
    tape: &mut Tape<'_>,
    parameter: OutletId,
    shape: &[usize],
    axis: Option<usize>,
) -> TractResult<OutletId> {
    let mut outlet = tape.emit(cast(f32::datum_type()), &[parameter])?;
    let len = tape.shape(outlet)?.iter().product::<usize>();
    let rank = tape.fact(outlet)?.rank();
    ensure!(rank <= 1, "its scales or zero points have rank {rank}");
    if len == 1 {
        for _ in rank..shape.len() {
            outlet = tape.emit(AxisOp::Add(0), &[outlet])?;
        }
        return Ok(outlet);
    }
    let axis = axis.context("its scales or zero points lie along an axis that is summed")?;
    ensure!(shape[axis] == len, "{len} scales or zero points for an axis of {}", shape[axis]);
    for _ in 0..axis {
        outlet = tape.emit(AxisOp::Add(0), &[outlet])?;
    }
    for _ in axis + 1..shape.len() {
        let rank = tape.fact(outlet)?.rank();
        outlet = tape.emit(AxisOp::Add(rank), &[outlet])?;
    }
    Ok(outlet)
}

fn mini<'a, T: ElementWiseMiniOp>(step: &Step<'a>) -> TractResult<&'a T> {
    let op = step.node.op_as::<ElementWiseOp>().context("an element-wise rule")?;
    op.0.downcast_ref::<T>().context("the function of this rule")
}

/// The cotangent of an element-wise node's input, by a slope of that input.
fn surrogate(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    slope: SurrogateSlope,
) -> TractResult<Cotangents> {
    let input = step.input(0);
    Ok(tvec![Some(scaled(tape, input, input, step.cotangent()?, slope)?)])
}

/// `cotangent` times a slope that is read off `values`, as the cotangent of `of`.
fn scaled(
    tape: &mut Tape<'_>,
    of: OutletId,
    values: OutletId,
    cotangent: OutletId,
    slope: SurrogateSlope,
) -> TractResult<OutletId> {
    let values = tape.emit(cast(f32::datum_type()), &[values])?;
    let cotangent = tape.emit(cast(f32::datum_type()), &[cotangent])?;
    let scaled = tape.emit(SurrogateGrad(slope), &[values, cotangent])?;
    as_cotangent_of(tape, of, scaled)
}

/// A cotangent in the type that cotangents of `tensor` have: its own, or f32 for what is no float.
fn as_cotangent_of(
    tape: &mut Tape<'_>,
    tensor: OutletId,
    cotangent: OutletId,
) -> TractResult<OutletId> {
    let dt = tape.fact(tensor)?.datum_type;
    let dt = if dt.is_float() { dt } else { f32::datum_type() };
    tape.emit(cast(dt), &[cotangent])
}

#[cfg(test)]
mod tests;
