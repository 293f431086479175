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
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::nn::DataFormat;

    use super::*;
    use crate::grad::testing::{EXACT, check, emitted_gradient, one_node, values};

    /// A convolution and the shapes of its inputs.
    #[derive(Clone, Debug)]
    struct Case {
        format: DataFormat,
        kernel_fmt: KernelFormat,
        batch: usize,
        group: usize,
        inputs: usize,
        outputs: usize,
        image: Vec<usize>,
        kernel: Vec<usize>,
        strides: Vec<usize>,
        dilations: Vec<usize>,
        padding: PaddingSpec,
    }

    impl Case {
        /// 2-D, NCHW, one group, stride 1, no padding.
        fn new(image: [usize; 2], kernel: [usize; 2]) -> Self {
            Case {
                format: DataFormat::NCHW,
                kernel_fmt: KernelFormat::OIHW,
                batch: 2,
                group: 1,
                inputs: 3,
                outputs: 2,
                image: image.to_vec(),
                kernel: kernel.to_vec(),
                strides: vec![1; 2],
                dilations: vec![1; 2],
                padding: PaddingSpec::Valid,
            }
        }

        fn op(&self) -> Conv {
            Conv {
                pool_spec: PoolSpec {
                    data_format: self.format,
                    kernel_shape: self.kernel.iter().copied().collect(),
                    padding: self.padding.clone(),
                    dilations: Some(self.dilations.iter().copied().collect()),
                    strides: Some(self.strides.iter().copied().collect()),
                    input_channels: self.inputs,
                    output_channels: self.outputs,
                },
                kernel_fmt: self.kernel_fmt,
                group: self.group,
                q_params: None,
            }
        }

        fn image_shape(&self) -> Vec<usize> {
            let shape = self.format.from_n_c_hw(self.batch, self.inputs, &self.image);
            shape.unwrap().shape.to_vec()
        }

        fn kernel_shape(&self) -> Vec<usize> {
            let (i, o) = (self.inputs, self.outputs / self.group);
            match self.kernel_fmt {
                KernelFormat::OIHW => [&[self.outputs, i / self.group], &self.kernel[..]].concat(),
                KernelFormat::HWIO => [&self.kernel[..], &[i, o]].concat(),
                KernelFormat::OHWI => [&[o], &self.kernel[..], &[i]].concat(),
            }
        }

        fn check(&self) {
            let kernel = values(&self.kernel_shape(), -1.0, 0.7);
            let bias = values(&[self.outputs], -1.0, 1.0);
            let shape = self.image_shape();
            let build = |dt| one_node(self.op(), dt, &[&shape], &[kernel.clone(), bias.clone()]);
            check(build, &[values(&shape, -1.0, 1.0)], EXACT);
        }
    }

    #[test]
    fn stride_one() {
        Case::new([5, 6], [3, 3]).check();
        Case { batch: 1, ..Case::new([5, 6], [2, 3]) }.check();
    }

    #[test]
    fn strided() {
        for strides in [[2, 2], [1, 3], [3, 1]] {
            Case { strides: strides.to_vec(), ..Case::new([7, 6], [3, 2]) }.check();
        }
    }

    #[test]
    fn a_stride_beyond_the_kernel() {
        Case { strides: vec![3, 4], ..Case::new([7, 9], [2, 2]) }.check();
        Case { strides: vec![2, 2], ..Case::new([6, 5], [1, 1]) }.check();
    }

    /// Either way of going back is taken, by the number of channels on either side.
    #[test]
    fn narrowing_and_widening() {
        for (inputs, outputs) in [(1, 6), (6, 1)] {
            for batch in [1, 2] {
                for format in [DataFormat::NCHW, DataFormat::NHWC] {
                    let case = Case { inputs, outputs, batch, format, ..Case::new([4, 5], [3, 2]) };
                    Case { padding: PaddingSpec::SameUpper, ..case }.check();
                }
            }
        }
    }

    #[test]
    fn paddings() {
        for padding in [
            PaddingSpec::SameUpper,
            PaddingSpec::SameLower,
            PaddingSpec::Explicit(tvec![0, 2], tvec![1, 1]),
            PaddingSpec::ExplicitOnnxPool(tvec![1, 0], tvec![0, 1], false),
        ] {
            for strides in [[1, 1], [2, 2], [2, 3]] {
                let case = Case { strides: strides.to_vec(), ..Case::new([6, 5], [3, 2]) };
                Case { padding: padding.clone(), ..case }.check();
            }
        }
    }

    #[test]
    fn windows_in_the_padding() {
        let padding = PaddingSpec::Explicit(tvec![2, 3], tvec![3, 2]);
        for strides in [[1, 1], [2, 2]] {
            let case = Case { strides: strides.to_vec(), ..Case::new([3, 2], [1, 2]) };
            Case { padding: padding.clone(), ..case }.check();
        }
    }

    #[test]
    fn dilated() {
        for strides in [[1, 1], [2, 1]] {
            let case = Case { strides: strides.to_vec(), ..Case::new([8, 7], [3, 2]) };
            Case { dilations: vec![2, 3], padding: PaddingSpec::SameUpper, ..case }.check();
        }
    }

    #[test]
    fn groups() {
        for (group, inputs, outputs) in [(2, 4, 6), (3, 3, 3), (3, 3, 6)] {
            for strides in [[1, 1], [2, 2]] {
                let case = Case { strides: strides.to_vec(), ..Case::new([6, 5], [3, 3]) };
                Case { group, inputs, outputs, ..case }.check();
            }
        }
    }

    #[test]
    fn one_and_three_spatial_axes() {
        for (image, kernel, strides) in
            [(vec![9], vec![3], vec![2]), (vec![3, 4, 4], vec![2, 3, 2], vec![1, 2, 2])]
        {
            let dilations = vec![1; image.len()];
            let case = Case { image, kernel, ..Case::new([1, 1], [1, 1]) };
            Case { strides: dilations.clone(), dilations: dilations.clone(), ..case.clone() }
                .check();
            Case { strides, dilations, ..case }.check();
        }
    }

    #[test]
    fn a_computed_kernel() {
        for strides in [[1, 1], [2, 2]] {
            let case = Case { strides: strides.to_vec(), ..Case::new([5, 6], [3, 3]) };
            let (image, kernel) = (case.image_shape(), case.kernel_shape());
            let bias = values(&[case.outputs], -1.0, 1.0);
            let inputs = [values(&image, -1.0, 1.0), values(&kernel, -1.0, 0.7)];
            let build =
                |dt| one_node(case.op(), dt, &[&image, &kernel], std::slice::from_ref(&bias));
            check(build, &inputs, EXACT);
        }
    }

    #[test]
    fn a_bias_that_depends_on_the_input() {
        for shape in [&[2][..], &[]] {
            let case = Case::new([4, 4], [3, 3]);
            let (image, kernel) = (values(&case.image_shape(), -1.0, 1.0), case.kernel_shape());
            let build = |dt: DatumType| {
                let mut model = TypedModel::default();
                let bias = model.add_source("bias", dt.fact(shape))?;
                let image = model.add_const("image", image.cast_to_dt(dt)?.into_owned())?;
                let kernel = values(&kernel, -1.0, 1.0).cast_to_dt(dt)?.into_owned();
                let kernel = model.add_const("kernel", kernel)?;
                let y = model.wire_node("y", case.op(), &[image, kernel, bias])?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            check(build, &[values(shape, -1.0, 1.0)], EXACT);
        }
    }

    #[test]
    fn samples_do_not_see_each_other() {
        for strides in [[1, 1], [2, 2]] {
            let three = Case { batch: 3, strides: strides.to_vec(), ..Case::new([6, 5], [3, 3]) };
            let single = Case { batch: 1, ..three.clone() };
            let constants = [values(&three.kernel_shape(), -1.0, 1.0), values(&[2], -1.0, 1.0)];
            let x = values(&single.image_shape(), -1.0, 1.0);
            let one = emitted_gradient(
                &|dt| one_node(single.op(), dt, &[&single.image_shape()], &constants),
                std::slice::from_ref(&x),
            )
            .unwrap();
            let batch = Tensor::stack_tensors(0, &[&x, &x, &x]).unwrap();
            let all = emitted_gradient(
                &|dt| one_node(three.op(), dt, &[&three.image_shape()], &constants),
                &[batch],
            )
            .unwrap();
            for (batched, alone) in all.iter().zip(&one) {
                assert!((batched - alone).abs() < 1e-5, "{batched} in a batch, {alone} alone");
            }
        }
    }

    fn case() -> impl Strategy<Value = Case> {
        let axis = || (2..6_usize, 1..4_usize, 1..4_usize, 1..3_usize, 0..3_usize, 0..3_usize);
        // Central differences run the operator twice per component: images with three axes must be small.
        let axes = prop::collection::vec(axis(), 1..4).prop_map(|mut axes| {
            let limit = if axes.len() == 3 { 3 } else { 6 };
            axes.iter_mut().for_each(|axis| axis.0 = axis.0.min(limit));
            axes
        });
        let formats = prop::sample::select(vec![
            DataFormat::NCHW,
            DataFormat::NHWC,
            DataFormat::CHW,
            DataFormat::HWC,
        ]);
        let kernels =
            prop::sample::select(vec![KernelFormat::OIHW, KernelFormat::HWIO, KernelFormat::OHWI]);
        let channels = (1..3_usize, 1..4_usize, 1..3_usize, 1..3_usize);
        (axes, formats, kernels, channels, 0..5_usize).prop_map(
            |(axes, format, kernel_fmt, (batch, group, inputs, outputs), padding)| {
                let before = axes.iter().map(|axis| axis.4).collect();
                let after = axes.iter().map(|axis| axis.5).collect();
                Case {
                    format,
                    kernel_fmt,
                    batch: if format.has_n() { batch } else { 1 },
                    group,
                    inputs: inputs * group,
                    outputs: outputs * group,
                    image: axes.iter().map(|axis| axis.0 + (axis.1 - 1) * axis.3).collect(),
                    kernel: axes.iter().map(|axis| axis.1).collect(),
                    strides: axes.iter().map(|axis| axis.2).collect(),
                    dilations: axes.iter().map(|axis| axis.3).collect(),
                    padding: match padding {
                        0 => PaddingSpec::Valid,
                        1 => PaddingSpec::SameUpper,
                        2 => PaddingSpec::SameLower,
                        // With a window that hangs over the edge, tract's convolution reads beyond the image.
                        3 => PaddingSpec::ExplicitOnnxPool(before, after, false),
                        _ => PaddingSpec::Explicit(before, after),
                    },
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn any_convolution(case in case()) {
            case.check();
        }
    }
}
