//! Convolutions of every shape against central differences.

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
        Case { strides: dilations.clone(), dilations: dilations.clone(), ..case.clone() }.check();
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
        let build = |dt| one_node(case.op(), dt, &[&image, &kernel], std::slice::from_ref(&bias));
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
