//! Interpolation on a grid: resizing and nearest-neighbour upsampling. Linear in the data, so exact. Sizes, scales and
//! regions are constants.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::nn::resize::{
    AxisPlan, Interpolator, NearestUpsample, Resize, cubic_weights, linear_weights, plan_axis,
    window_size,
};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};
use tract_onnx_opl::resize::{AspectRatio, CoordTransform, Nearest, Resize as OnnxResize};

use super::{Cotangents, Step};
use crate::grad::ops::ResampleGrad;
use crate::grad::tape::Tape;

/// Every value takes the cotangents of the values that were interpolated from it, by the same weights.
pub(super) fn resize(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Resize>()?;
    let scales = constant(tape, step, op.optional_scales_input)?;
    let (from, to) = (tape.shape(step.input(0))?, tape.shape(step.output())?);
    let given = scales.filter(|scales| scales.len() == from.len());
    let scales = given.unwrap_or_else(|| ratios(&from, &to));
    resample(tape, step, |axis| {
        let unchanged = from[axis] == to[axis] && is_one(scales[axis]);
        (!unchanged).then(|| op.plan_axis(scales[axis], from[axis], to[axis]))
    })
}

/// As [`resize`], for what only ONNX's variants know: other roundings, kernels, antialiasing, regions.
pub(super) fn onnx_resize(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<OnnxResize>()?;
    let (from, to) = (tape.shape(step.input(0))?, tape.shape(step.output())?);
    let scales = onnx_scales(tape, step, op, &from, &to)?;
    let regions = regions(tape, step, op, from.len())?;
    resample(tape, step, |axis| {
        let unchanged = from[axis] == to[axis] && is_one(scales[axis]) && regions.is_none();
        let region = regions.as_ref().map(|regions| regions[axis]);
        (!unchanged).then(|| onnx_plan(op, scales[axis], from[axis], to[axis], region))
    })
}

/// The sum over the copies.
pub(super) fn nearest_upsample(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let shape = tape.shape(step.input(0))?;
    let mut cotangent = step.cotangent()?;
    for (axis, &copies) in step.op::<NearestUpsample>()?.scales.iter().enumerate() {
        if copies == 1 {
            continue;
        }
        let from = tvec![(shape[axis] * copies).into()];
        let to = tvec![shape[axis].into(), copies.into()];
        cotangent = tape.emit(AxisOp::Reshape(axis, from, to), &[cotangent])?;
        let sum = Reduce { axes: tvec![axis + 1], reducer: Reducer::Sum };
        cotangent = tape.emit(sum, &[cotangent])?;
        cotangent = tape.emit(AxisOp::Rm(axis + 1), &[cotangent])?;
    }
    Ok(tvec![Some(cotangent)])
}

/// Undoes the axes one by one; `plan` is none for an axis that stays as it is.
fn resample(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    plan: impl Fn(usize) -> Option<AxisPlan>,
) -> TractResult<Cotangents> {
    ensure!(
        step.wants[1..].iter().all(|wanted| !wanted),
        "its scales, sizes or region are computed"
    );
    let shape = tape.shape(step.input(0))?;
    let mut cotangent = step.cotangent()?;
    for (axis, &len) in shape.iter().enumerate() {
        if let Some(plan) = plan(axis) {
            let op = ResampleGrad { axis, len, taps: taps(&plan) };
            cotangent = tape.emit(op, &[cotangent])?;
        }
    }
    Ok(tvec![Some(cotangent)])
}

/// An extrapolated entry reads nothing.
fn taps(plan: &AxisPlan) -> Arc<[TVec<(f32, usize)>]> {
    let entry = |(at, &extrapolated): (usize, &bool)| {
        let window = if extrapolated { 0..0 } else { at * plan.window..(at + 1) * plan.window };
        let taps = window.map(|tap| (plan.weights[tap], plan.indices[tap]));
        taps.filter(|(weight, _)| *weight != 0.0).collect()
    };
    plan.extrapolated.iter().enumerate().map(entry).collect()
}

/// The values of a constant input, none where the operator has no such input.
fn constant(
    tape: &Tape<'_>,
    step: &Step<'_>,
    slot: Option<usize>,
) -> TractResult<Option<TVec<f32>>> {
    let Some(outlet) = slot.and_then(|slot| step.node.inputs.get(slot)) else {
        return Ok(None);
    };
    let tensor = tape.fact(*outlet)?.konst.clone().context("scales, sizes or region unknown")?;
    let tensor = tensor.cast_to::<f32>()?;
    Ok(Some(tensor.try_as_plain_ram()?.as_slice::<f32>()?.into()))
}

fn ratios(from: &[usize], to: &[usize]) -> TVec<f32> {
    from.iter().zip(to).map(|(&from, &to)| to as f32 / from as f32).collect()
}

fn is_one(scale: f32) -> bool {
    scale.to_bits() == 1_f32.to_bits()
}

/// The scale of each axis, as tract resolves it.
fn onnx_scales(
    tape: &Tape<'_>,
    step: &Step<'_>,
    op: &OnnxResize,
    from: &[usize],
    to: &[usize],
) -> TractResult<TVec<f32>> {
    let axes = op.resized_axes(from.len())?;
    let fits = |values: &TVec<f32>| values.len() == axes.len();
    let mut scales = tvec![1.0; from.len()];
    if let Some(given) = constant(tape, step, op.optional_scales_input)?.filter(fits) {
        axes.iter().zip(given).for_each(|(&axis, scale)| scales[axis] = scale);
        return Ok(scales);
    }
    let ratios = match op.keep_aspect_ratio_policy {
        AspectRatio::Stretch => ratios(from, to),
        policy => {
            let sizes = constant(tape, step, op.optional_sizes_input)?.context("no sizes")?;
            let ratios = axes.iter().zip(sizes).map(|(&axis, size)| size / from[axis] as f32);
            let pick = if policy == AspectRatio::NotLarger { f32::min } else { f32::max };
            tvec![ratios.reduce(pick).context("no sizes")?; from.len()]
        }
    };
    axes.iter().for_each(|&axis| scales[axis] = ratios[axis]);
    Ok(scales)
}

/// For each axis the normalised bounds of the region that is cropped, none in the modes that crop nothing.
fn regions(
    tape: &Tape<'_>,
    step: &Step<'_>,
    op: &OnnxResize,
    rank: usize,
) -> TractResult<Option<TVec<(f32, f32)>>> {
    if op.coord_transformer != CoordTransform::TfCropAndResize {
        return Ok(None);
    }
    let axes = op.resized_axes(rank)?;
    let bounds = constant(tape, step, op.optional_roi_input)?.context("no region")?;
    ensure!(bounds.len() == 2 * axes.len(), "{} bounds for {} axes", bounds.len(), axes.len());
    let mut regions = tvec![(0.0, 1.0); rank];
    for (index, &axis) in axes.iter().enumerate() {
        regions[axis] = (bounds[index], bounds[index + axes.len()]);
    }
    Ok(Some(regions))
}

/// Which values each entry of an axis reads, and their weights: what tract's own, private, plan says.
fn onnx_plan(
    op: &OnnxResize,
    scale: f32,
    from: usize,
    to: usize,
    region: Option<(f32, f32)>,
) -> AxisPlan {
    let position = |at: usize| match (&op.coord_transformer, region) {
        (CoordTransform::Plain(transform), _) => Some(transform.transform(at, scale, from, to)),
        (CoordTransform::TfCropAndResize, region) => {
            let (start, end) = region.unwrap_or((0.0, 1.0));
            let (last, width) = (from as f32 - 1.0, scale * from as f32);
            let span = last * (end - start);
            let offset = if is_one(width) { span / 2.0 } else { at as f32 * span / (width - 1.0) };
            let position = offset + start * last;
            (0.0..=last).contains(&position).then_some(position)
        }
    };
    let window = window_size(&op.interpolator, op.antialias, scale);
    let weights = |offset: f32, weights: &mut [f32]| match op.interpolator {
        Interpolator::Linear => linear_weights(offset, scale, op.antialias, weights),
        Interpolator::Cubic => {
            cubic_weights(offset, scale, op.cubic_coeff_a(), op.antialias, weights);
        }
        Interpolator::Nearest => {
            let right = is_one(offset)
                || match op.nearest {
                    Nearest::Floor => false,
                    Nearest::Ceil => true,
                    Nearest::RoundPreferFloor => offset > 0.5,
                    Nearest::RoundPreferCeil => offset >= 0.5,
                };
            weights[0] = f32::from(u8::from(!right));
            weights[1] = f32::from(u8::from(right));
        }
    };
    plan_axis(from, to, window, op.exclude_outside, position, weights)
}

#[cfg(test)]
mod tests;
