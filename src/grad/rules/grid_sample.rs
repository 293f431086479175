//! Sampling at computed positions.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::nn::grid_sample::GridSample;

use super::{Cotangents, Step};
use crate::grad::ops::{GridSampleGrad, SampledInput};
use crate::grad::tape::Tape;

/// Linear in the data, so exact there. In the grid it is exact between the values that are interpolated; on a value or
/// a border, one of the two slopes. A nearest value does not move with its position.
pub(super) fn grid_sample(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<GridSample>()?;
    let inputs = [step.input(0), step.input(1), step.cotangent()?];
    let mut parents = tvec![None; 2];
    for (slot, input) in [(0, SampledInput::Data), (1, SampledInput::Grid)] {
        if step.wants[slot] {
            parents[slot] = Some(tape.emit(GridSampleGrad { op: op.clone(), input }, &inputs)?);
        }
    }
    Ok(parents)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::cast::cast;
    use tract_onnx::tract_core::ops::nn::grid_sample::{InterpolationMode, PaddingMode};

    use super::*;
    use crate::grad::testing::{Tolerance, check_against, emitted_gradient, values};

    const MODES: [InterpolationMode; 3] =
        [InterpolationMode::Bilinear, InterpolationMode::Nearest, InterpolationMode::Bicubic];
    const PADDINGS: [PaddingMode; 3] =
        [PaddingMode::Zeros, PaddingMode::Border, PaddingMode::Reflection];
    /// Positions are rounded to f32 before they are interpolated.
    const ROUNDED: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-3 };

    /// Sampling in f64, as a sum over whole neighbourhoods of kernel times value.
    fn reference(
        op: &GridSample,
        shape: &[usize],
        grid_shape: &[usize],
        data: &[f64],
        grid: &[f64],
    ) -> Vec<f64> {
        let sizes = &shape[2..];
        let rank = sizes.len();
        let plane: usize = sizes.iter().product();
        let points: usize = grid_shape[1..=rank].iter().product();
        let mut output = vec![];
        for sample in 0..shape[0] {
            for channel in 0..shape[1] {
                let data = &data[(sample * shape[1] + channel) * plane..][..plane];
                for point in 0..points {
                    let position = &grid[(sample * points + point) * rank..][..rank];
                    output.push(value(op, sizes, data, position));
                }
            }
        }
        output
    }

    fn value(op: &GridSample, sizes: &[usize], data: &[f64], position: &[f64]) -> f64 {
        let rank = sizes.len();
        let bounds = |axis: usize| {
            let last = sizes[axis] as f64 - 1.0;
            if op.align_corners { (0.0, last) } else { (-0.5, last + 0.5) }
        };
        let mut at: Vec<f64> = (0..rank)
            .map(|axis| {
                let (low, high) = bounds(axis);
                let at = low + (position[rank - 1 - axis] + 1.0) / 2.0 * (high - low);
                if op.mode == InterpolationMode::Nearest { at.round_ties_even() } else { at }
            })
            .collect();
        if (0..rank).any(|axis| at[axis] < bounds(axis).0 || at[axis] > bounds(axis).1) {
            for axis in 0..rank {
                let (low, high) = bounds(axis);
                match op.padding_mode {
                    PaddingMode::Zeros => {}
                    PaddingMode::Border => at[axis] = at[axis].clamp(0.0, sizes[axis] as f64 - 1.0),
                    PaddingMode::Reflection => at[axis] = mirror(at[axis], low, high),
                }
            }
        }
        let reach = 2_i64;
        let mut total = 0.0;
        let width = 2 * reach + 1;
        for neighbour in 0..width.pow(rank as u32) {
            let (mut rest, mut weight, mut place) = (neighbour, 1.0, Some(0));
            for axis in 0..rank {
                let index = at[axis].floor() as i64 + rest % width - reach;
                rest /= width;
                weight *= kernel(&op.mode, at[axis] - index as f64);
                let last = sizes[axis] as i64 - 1;
                let (low, high) = bounds(axis);
                let pixel = match op.padding_mode {
                    PaddingMode::Zeros => (0..=last).contains(&index).then_some(index),
                    PaddingMode::Border => Some(index.clamp(0, last)),
                    PaddingMode::Reflection => Some(mirror(index as f64, low, high) as i64),
                };
                place = place.zip(pixel).map(|(place, pixel)| place * sizes[axis] + pixel as usize);
            }
            total += place.map_or(0.0, |place| weight * data[place]);
        }
        total
    }

    fn mirror(at: f64, low: f64, high: f64) -> f64 {
        let range = high - low;
        if range <= 0.0 {
            return low;
        }
        let phase = (at - low).rem_euclid(2.0 * range);
        low + if phase > range { 2.0 * range - phase } else { phase }
    }

    fn kernel(mode: &InterpolationMode, distance: f64) -> f64 {
        let s = distance.abs();
        match mode {
            InterpolationMode::Nearest => f64::from(u8::from(s < 0.25)),
            InterpolationMode::Bilinear => (1.0 - s).max(0.0),
            InterpolationMode::Bicubic if s <= 1.0 => (1.25 * s - 2.25) * s * s + 1.0,
            InterpolationMode::Bicubic if s < 2.0 => ((-0.75 * s + 3.75) * s - 6.0) * s + 3.0,
            InterpolationMode::Bicubic => 0.0,
        }
    }

    fn model(
        op: &GridSample,
        data: &Tensor,
        grid: &Tensor,
        to_data: bool,
        dt: DatumType,
    ) -> TractResult<TypedModel> {
        let mut model = TypedModel::default();
        let [x, other] = if to_data { [data, grid] } else { [grid, data] };
        let x = model.add_source("x", dt.fact(x.shape()))?;
        let other = model.add_const("other", other.cast_to_dt(dt)?.into_owned())?;
        let inputs = if to_data { [x, other] } else { [other, x] };
        let y = model.wire_node("y", op.clone(), &inputs)?;
        model.select_output_outlets(&y)?;
        Ok(model)
    }

    fn check_op(op: &GridSample, data: &Tensor, grid: &Tensor) {
        let flat = |t: &Tensor| {
            t.to_plain_array_view::<f64>().unwrap().iter().copied().collect::<Vec<f64>>()
        };
        let (data_values, grid_values) = (flat(data), flat(grid));
        let sampled = |data_values: &[f64], grid_values: &[f64]| {
            reference(op, data.shape(), grid.shape(), data_values, grid_values)
        };
        let plan = model(op, data, grid, true, f32::datum_type()).unwrap().into_runnable().unwrap();
        let input = data.cast_to::<f32>().unwrap().into_owned().into_tvalue();
        let found = plan.run(tvec![input]).unwrap().remove(0);
        let found = found.cast_to::<f64>().unwrap();
        for (found, expected) in flat(&found).iter().zip(sampled(&data_values, &grid_values)) {
            assert!((found - expected).abs() < 1e-4, "{op:?}: {found}, not {expected}");
        }
        let build = |dt| model(op, data, grid, true, dt);
        check_against(build, std::slice::from_ref(data), ROUNDED, |x| sampled(&x[0], &grid_values));
        let build = |dt| model(op, data, grid, false, dt);
        check_against(build, std::slice::from_ref(grid), ROUNDED, |x| sampled(&data_values, &x[0]));
    }

    /// Every mode, padding and alignment.
    fn check_all(shape: &[usize], points: &[usize], spread: f64) {
        let rank = shape.len() - 2;
        let data = values(shape, -1.0, 1.0);
        let grid_shape = [&shape[..1], points, &[rank]].concat();
        let grid = values(&grid_shape, -spread, spread);
        for mode in MODES.iter().filter(|mode| rank == 2 || **mode != InterpolationMode::Bicubic) {
            for padding_mode in PADDINGS {
                for align_corners in [false, true] {
                    let (mode, padding_mode) = (mode.clone(), padding_mode.clone());
                    check_op(&GridSample { mode, padding_mode, align_corners }, &data, &grid);
                }
            }
        }
    }

    #[test]
    fn inside() {
        check_all(&[2, 3, 4, 5], &[3, 2], 0.93);
    }

    #[test]
    fn far_outside() {
        check_all(&[2, 2, 4, 3], &[3, 4], 3.7);
    }

    #[test]
    fn one_and_three_axes() {
        check_all(&[2, 2, 5], &[6], 1.6);
        check_all(&[1, 2, 3, 2, 4], &[2, 2, 2], 1.6);
    }

    #[test]
    fn an_axis_of_one() {
        check_all(&[1, 2, 1, 4], &[3, 3], 1.7);
    }

    #[test]
    fn half_precision_goes_through_single() {
        let op = GridSample {
            mode: InterpolationMode::Bilinear,
            padding_mode: PaddingMode::Zeros,
            align_corners: true,
        };
        let (data, grid) = (values(&[1, 1, 3, 3], -1.0, 1.0), values(&[1, 2, 2, 2], -0.9, 0.9));
        for (to_data, x, other) in [(true, &data, &grid), (false, &grid, &data)] {
            let build = |_| {
                let mut model = TypedModel::default();
                let narrow = f16::datum_type();
                let x = model.add_source("x", f32::fact(x.shape()))?;
                let x = model.wire_node("narrow", cast(narrow), &[x])?[0];
                let other = model.add_const("other", other.cast_to_dt(narrow)?.into_owned())?;
                let inputs = if to_data { [x, other] } else { [other, x] };
                let y = model.wire_node("sample", op.clone(), &inputs)?;
                let y = model.wire_node("y", cast(f32::datum_type()), &y)?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            let gradient = emitted_gradient(&build, std::slice::from_ref(x)).unwrap();
            let single = |dt| model(&op, &data, &grid, to_data, dt);
            let single = emitted_gradient(&single, std::slice::from_ref(x)).unwrap();
            for (found, expected) in gradient.iter().zip(&single) {
                let error = (found - expected).abs();
                assert!(error < 2e-2 * (1.0 + expected.abs()), "{found}, not {expected}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn any_sampling(
            shape in (1..3_usize, 1..3_usize, 1..5_usize, 1..5_usize),
            points in (1..4_usize, 1..4_usize),
            spread in 0.1..4.0_f64,
        ) {
            let shape = [shape.0, shape.1, shape.2, shape.3];
            // Positions within the rounding of a kink have two slopes.
            let grid = values(&[shape[0], points.0, points.1, 2], -spread, spread);
            let clear = grid.to_plain_array_view::<f64>().unwrap().iter().zip([shape[3], shape[2]].iter().cycle()).all(|(at, &size)| {
                let halves = [size as f64 - 1.0, size as f64].map(|scale| (at + 1.0) * scale);
                halves.iter().all(|at| (at - at.round()).abs() > 1e-4)
            });
            prop_assume!(clear);
            check_all(&shape, &[points.0, points.1], spread);
        }
    }
}
