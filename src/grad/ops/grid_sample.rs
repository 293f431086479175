//! The backward pass of sampling at computed positions.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::math::round_ties_to_even;
use tract_onnx::tract_core::ops::nn::grid_sample::{GridSample, InterpolationMode, PaddingMode};

/// Which input of a sampling a cotangent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SampledInput {
    Data,
    Grid,
}

/// (data, grid, cotangent of the output) -> cotangent of the data or of the grid. In f32, as the operator itself.
///
/// Repeats tract's arithmetic, so that a position falls into the same cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GridSampleGrad {
    pub op: GridSample,
    pub input: SampledInput,
}

impl Op for GridSampleGrad {
    fn name(&self) -> StaticName {
        "GridSampleGrad".into()
    }

    op_as_typed_op!();
}

impl EvalOp for GridSampleGrad {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (data, grid, cotangent) = args_3!(inputs);
        let target = match self.input {
            SampledInput::Data => &data,
            SampledInput::Grid => &grid,
        };
        let gradient = self.gradient(&data, &grid, &cotangent, target.len())?;
        let output = Tensor::from_shape(target.shape(), &gradient)?;
        Ok(tvec![output.cast_to_dt(target.datum_type())?.into_owned().into_tvalue()])
    }
}

impl TypedOp for GridSampleGrad {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![match self.input {
            SampledInput::Data => inputs[0].without_value(),
            SampledInput::Grid => inputs[1].without_value(),
        }])
    }

    as_op!();
}

impl GridSampleGrad {
    fn gradient(
        &self,
        data: &Tensor,
        grid: &Tensor,
        cotangent: &Tensor,
        len: usize,
    ) -> TractResult<Vec<f32>> {
        let (channels, sizes) = (data.shape()[1], data.shape()[2..].to_vec());
        let rank = sizes.len();
        ensure!(
            self.op.mode != InterpolationMode::Bicubic || rank == 2,
            "cubic sampling of {rank} axes"
        );
        let plane: usize = sizes.iter().product();
        let points: usize = cotangent.shape()[2..].iter().product();
        let [data, grid, cotangent] =
            [data.cast_to::<f32>()?, grid.cast_to::<f32>()?, cotangent.cast_to::<f32>()?];
        let (data, grid) = (data.try_as_plain_ram()?, grid.try_as_plain_ram()?);
        let cotangent = cotangent.try_as_plain_ram()?;
        let (data, grid) = (data.as_slice::<f32>()?, grid.as_slice::<f32>()?);
        let cotangent = cotangent.as_slice::<f32>()?;
        let mut gradient = vec![0.0; len];
        for (index, position) in grid.chunks_exact(rank).enumerate() {
            let (sample, point) = (index / points, index % points);
            for tap in self.taps(position, &sizes) {
                let channels = sample * channels..(sample + 1) * channels;
                let parts =
                    channels.map(|at| (at * plane + tap.place, cotangent[at * points + point]));
                match self.input {
                    SampledInput::Data => {
                        parts.for_each(|(at, cotangent)| gradient[at] += tap.weight * cotangent);
                    }
                    SampledInput::Grid => {
                        let total: f32 = parts.map(|(at, cotangent)| data[at] * cotangent).sum();
                        let slopes = gradient[index * rank..][..rank].iter_mut().zip(&tap.slopes);
                        slopes.for_each(|(sum, slope)| *sum += total * slope);
                    }
                }
            }
        }
        Ok(gradient)
    }

    /// The values that are read at a position, given in the grid's order: the last axis first.
    fn taps(&self, position: &[f32], sizes: &[usize]) -> Vec<Tap> {
        let mut points: Vec<Point> =
            position.iter().rev().zip(sizes).map(|(&at, &size)| self.point(at, size)).collect();
        if points.iter().any(Point::is_outside) {
            points.iter_mut().for_each(|point| self.pad(point));
        }
        let start = Tap { place: 0, weight: 1.0, slopes: tvec![] };
        let mut taps = points.iter().fold(vec![start], |taps, point| {
            let axis = self.axis_taps(point);
            taps.iter().flat_map(|tap| axis.iter().map(|next| tap.then(next, point))).collect()
        });
        taps.iter_mut().for_each(|tap| tap.slopes.reverse());
        taps
    }

    fn point(&self, coordinate: f32, size: usize) -> Point {
        let len = size as f32;
        let (at, scale, low, high) = if self.op.align_corners {
            ((coordinate + 1.0) / 2.0 * (len - 1.0), (len - 1.0) / 2.0, 0.0, len - 1.0)
        } else {
            (((coordinate + 1.0) * len - 1.0) / 2.0, len / 2.0, -0.5, len - 0.5)
        };
        let at = match self.op.mode {
            InterpolationMode::Nearest => round_ties_to_even(at),
            InterpolationMode::Bilinear | InterpolationMode::Bicubic => at,
        };
        Point { at, scale, low, high, size }
    }

    fn pad(&self, point: &mut Point) {
        match self.op.padding_mode {
            PaddingMode::Zeros => {}
            PaddingMode::Border => {
                let last = point.high + point.low;
                if !(0.0..last).contains(&point.at) {
                    point.scale = 0.0;
                }
                point.at = point.at.clamp(0.0, last);
            }
            PaddingMode::Reflection => {
                let (at, direction) = reflect(point.at, point.low, point.high);
                point.at = at;
                point.scale *= direction;
            }
        }
    }

    fn axis_taps(&self, point: &Point) -> TVec<AxisTap> {
        let cell = point.at.floor();
        let taps: TVec<(isize, f32, f32)> = match self.op.mode {
            InterpolationMode::Nearest => tvec![(0, 1.0, 0.0)],
            InterpolationMode::Bilinear => {
                tvec![(0, cell + 1.0 - point.at, -1.0), (1, point.at - cell, 1.0)]
            }
            InterpolationMode::Bicubic => cubic(point.at - cell),
        };
        let first = match self.op.mode {
            InterpolationMode::Nearest => point.at as isize,
            InterpolationMode::Bilinear | InterpolationMode::Bicubic => cell as isize,
        };
        let taps = taps.into_iter().filter_map(|(offset, weight, slope)| {
            let index = self.pixel(first.saturating_add(offset), point)?;
            Some(AxisTap { index, weight, slope: slope * point.scale })
        });
        taps.collect()
    }

    /// The value that stands for the one at `index`, which may lie outside; none where zero does.
    fn pixel(&self, index: isize, point: &Point) -> Option<usize> {
        let last = point.size as isize - 1;
        match self.op.padding_mode {
            PaddingMode::Zeros => (0..=last).contains(&index).then_some(index as usize),
            PaddingMode::Border => Some(index.clamp(0, last) as usize),
            PaddingMode::Reflection => {
                Some(reflect(index as f32, point.low, point.high).0 as usize)
            }
        }
    }
}

/// A position along one axis, in values; `scale` is its derivative with respect to the grid.
struct Point {
    at: f32,
    scale: f32,
    low: f32,
    high: f32,
    size: usize,
}

impl Point {
    fn is_outside(&self) -> bool {
        self.at < self.low || self.at > self.high
    }
}

/// A value along one axis, its weight, and the weight's derivative with respect to the grid.
struct AxisTap {
    index: usize,
    weight: f32,
    slope: f32,
}

/// A value of a plane, its weight, and the weight's derivative with respect to each coordinate.
struct Tap {
    place: usize,
    weight: f32,
    slopes: TVec<f32>,
}

impl Tap {
    fn then(&self, next: &AxisTap, point: &Point) -> Self {
        let mut slopes: TVec<f32> = self.slopes.iter().map(|slope| slope * next.weight).collect();
        slopes.push(self.weight * next.slope);
        let place = self.place * point.size + next.index;
        Self { place, weight: self.weight * next.weight, slopes }
    }
}

/// A position mirrored into the bounds, and which way it then moves.
fn reflect(at: f32, low: f32, high: f32) -> (f32, f32) {
    let range = high - low;
    if range <= 0.0 {
        return (low, 0.0);
    }
    let beyond = if at < low {
        low - at
    } else if at > high {
        at - high
    } else {
        return (at, 1.0);
    };
    let turns = (beyond / range) as i32;
    let rest = beyond - turns as f32 * range;
    match (at < low, turns % 2 == 0) {
        (true, true) => (low + rest, -1.0),
        (true, false) => (high - rest, 1.0),
        (false, true) => (high - rest, -1.0),
        (false, false) => (low + rest, 1.0),
    }
}

/// The four values around a position `x` right of the second: offset, weight, slope.
fn cubic(x: f32) -> TVec<(isize, f32, f32)> {
    const A: f32 = -0.75;
    let near = |s: f32| {
        let weight = ((A + 2.0) * s - (A + 3.0)) * s * s + 1.0;
        (weight, (3.0 * (A + 2.0) * s - 2.0 * (A + 3.0)) * s)
    };
    let far = |s: f32| {
        let weight = ((A * s - 5.0 * A) * s + 8.0 * A) * s - 4.0 * A;
        (weight, (3.0 * A * s - 10.0 * A) * s + 8.0 * A)
    };
    let sides = [far(x + 1.0), near(x), near(1.0 - x), far(2.0 - x)];
    let signs = [1.0, 1.0, -1.0, -1.0];
    (-1..3).zip(sides.iter().zip(signs)).map(|(at, ((w, d), sign))| (at, *w, sign * d)).collect()
}
