//! Transposed convolution.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::Slice;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PaddingSpec, PoolSpec};

use super::{Cotangents, Step, conv, kernel};
use crate::grad::tape::Tape;

/// The cotangent of the image is a convolution, that of the bias a sum. Linear, so exact.
///
/// A kernel may be computed, but not from the attacked input.
pub(super) fn deconv(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Deconv>()?;
    ensure!(!step.wants[1], "its kernel depends on the attacked input");
    let cotangent = step.cotangent()?;
    let image = step.wants[0].then(|| to_image(tape, step, op, cotangent)).transpose()?;
    let bias = step.wants[2]
        .then(|| conv::to_bias(tape, step.input(2), &op.pool_spec, cotangent))
        .transpose()?;
    Ok(tvec![image, None, bias])
}

fn to_image(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    op: &Deconv,
    cotangent: OutletId,
) -> TractResult<OutletId> {
    let spec = &op.pool_spec;
    let shape = tape.shape(step.input(0))?;
    let shape = spec.data_format.shape(shape)?;
    let padding = spec.padding.compute_for_deconv(
        shape.hw_dims(),
        &spec.kernel_shape,
        &spec.dilations(),
        &spec.strides(),
        &op.adjustments,
    )?;
    let mut cotangent = cotangent;
    let (mut before, mut after) = (tvec![], tvec![]);
    for (index, dim) in padding.iter().enumerate() {
        let field = (spec.kernel_shape[index] - 1) * spec.dilation(index) + 1;
        let span = (dim.convoluted - 1) * spec.stride(index) + field;
        ensure!(span > dim.pad_before, "its output lies in the padding");
        // Beyond the last tap there are only zeros and the bias.
        let reached = dim.deconvoluted.min(span - dim.pad_before);
        if reached < dim.deconvoluted {
            let axis = shape.h_axis() + index;
            cotangent = tape.emit(Slice::new(axis, 0, reached), &[cotangent])?;
        }
        before.push(dim.pad_before);
        after.push(span - dim.pad_before - reached);
    }
    let pool_spec =
        PoolSpec { padding: PaddingSpec::Explicit(before, after), ..conv::transposed_spec(spec) };
    let kernel = kernel::transposed(tape, step.input(1), op.kernel_format, op.group)?;
    let bias = conv::zero_bias(tape, cotangent)?;
    let conv = Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group: op.group, q_params: None };
    tape.emit(conv, &[cotangent, kernel, bias])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::nn::DataFormat;

    use super::*;
    use crate::grad::testing::{EXACT, check, one_node, values};

    #[derive(Clone, Debug)]
    struct Case {
        format: DataFormat,
        group: usize,
        inputs: usize,
        outputs: usize,
        image: Vec<usize>,
        kernel: Vec<usize>,
        strides: Vec<usize>,
        dilations: Vec<usize>,
        padding: PaddingSpec,
        adjustments: Vec<usize>,
    }

    impl Case {
        fn new(kernel: [usize; 2], strides: [usize; 2]) -> Self {
            Case {
                format: DataFormat::NCHW,
                group: 1,
                inputs: 3,
                outputs: 2,
                image: vec![3, 4],
                kernel: kernel.to_vec(),
                strides: strides.to_vec(),
                dilations: vec![1; 2],
                padding: PaddingSpec::Valid,
                adjustments: vec![0; 2],
            }
        }

        fn check(&self) {
            let op = Deconv {
                pool_spec: PoolSpec {
                    data_format: self.format,
                    kernel_shape: self.kernel.iter().copied().collect(),
                    padding: self.padding.clone(),
                    dilations: Some(self.dilations.iter().copied().collect()),
                    strides: Some(self.strides.iter().copied().collect()),
                    input_channels: self.inputs,
                    output_channels: self.outputs,
                },
                kernel_format: KernelFormat::OIHW,
                adjustments: self.adjustments.iter().copied().collect(),
                group: self.group,
            };
            let shape = self.format.from_n_c_hw(2, self.inputs, &self.image).unwrap().shape;
            let kernel = [&[self.outputs, self.inputs / self.group], &self.kernel[..]].concat();
            let constants = [values(&kernel, -1.0, 0.7), values(&[self.outputs], -1.0, 1.0)];
            let x = values(&shape, -1.0, 1.0);
            check(|dt| one_node(op.clone(), dt, &[&shape], &constants), &[x], EXACT);
        }
    }

    #[test]
    fn strides_around_the_kernel() {
        for (kernel, strides) in
            [([3, 3], [1, 1]), ([3, 3], [2, 2]), ([2, 2], [2, 2]), ([1, 2], [3, 4])]
        {
            Case::new(kernel, strides).check();
        }
    }

    #[test]
    fn padding_and_adjustment() {
        let padding = PaddingSpec::Explicit(tvec![1, 0], tvec![1, 1]);
        for adjustments in [vec![0, 0], vec![1, 0], vec![1, 1], vec![3, 4]] {
            let case = Case::new([3, 4], [2, 2]);
            Case { padding: padding.clone(), adjustments, ..case }.check();
        }
        Case { padding: PaddingSpec::SameUpper, ..Case::new([4, 4], [2, 2]) }.check();
    }

    #[test]
    fn groups() {
        for (group, inputs, outputs) in [(2, 4, 6), (3, 3, 3), (3, 3, 6)] {
            Case { group, inputs, outputs, ..Case::new([3, 3], [2, 2]) }.check();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_deconvolution(
            axes in prop::collection::vec(
                (1..5_usize, 1..4_usize, 1..4_usize, 1..3_usize, 0..2_usize, 0..3_usize), 1..4
            ),
            format in prop::sample::select(
                vec![DataFormat::NCHW, DataFormat::NHWC, DataFormat::CHW, DataFormat::HWC]
            ),
            (group, inputs, outputs) in (1..4_usize, 1..3_usize, 1..3_usize),
        ) {
            // At least one output per axis.
            let pad = |axis: &(_, usize, _, usize, usize, _)| axis.4.min((axis.1 - 1) * axis.3 / 2);
            let pads: TVec<usize> = axes.iter().map(pad).collect();
            let case = Case {
                format,
                group,
                inputs: inputs * group,
                outputs: outputs * group,
                image: axes.iter().map(|axis| axis.0).collect(),
                kernel: axes.iter().map(|axis| axis.1).collect(),
                strides: axes.iter().map(|axis| axis.2).collect(),
                dilations: axes.iter().map(|axis| axis.3).collect(),
                padding: PaddingSpec::Explicit(pads.clone(), pads),
                adjustments: axes.iter().map(|axis| axis.5).collect(),
            };
            case.check();
        }
    }
}
