//! Pooling.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{MaxPool, SumPool};

use super::{Cotangents, Step};
use crate::grad::ops::{MaxPoolGrad, SumPoolGrad};
use crate::grad::tape::Tape;

/// The first maximum of a window, in row-major order, takes the window's cotangent. Padding never wins. The index
/// output is an integer, so its cotangent is ignored.
pub(super) fn max_pool(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let Some(cotangent) = step.cotangents[0] else {
        return Ok(tvec![None]);
    };
    let input = step.input(0);
    let gradient = MaxPoolGrad::new(&step.op::<MaxPool>()?.pool_spec, &tape.shape(input)?)?;
    Ok(tvec![Some(tape.emit(gradient, &[input, cotangent])?)])
}

/// Every value of a window takes the window's cotangent, divided as the sum was. Linear, so exact.
pub(super) fn sum_pool(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let gradient = SumPoolGrad::new(step.op::<SumPool>()?, &tape.shape(step.input(0))?)?;
    Ok(tvec![Some(tape.emit(gradient, &[step.cotangent()?])?)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::cnn::{PaddingSpec, PoolSpec};
    use tract_onnx::tract_core::ops::nn::DataFormat;

    use super::*;
    use crate::grad::testing::{EXACT, check, emitted_gradient, one_node, values};

    fn spec(kernel: &[usize], strides: &[usize], padding: PaddingSpec) -> PoolSpec {
        PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: kernel.iter().copied().collect(),
            padding,
            dilations: None,
            strides: Some(strides.iter().copied().collect()),
            input_channels: 2,
            output_channels: 2,
        }
    }

    fn max(pool_spec: &PoolSpec) -> MaxPool {
        MaxPool { pool_spec: pool_spec.clone(), with_index_outputs: None }
    }

    /// Max, sum, and both averages, over a batch of two where the format has one.
    fn check_all(spec: &PoolSpec, image: &[usize]) {
        let shape = spec.data_format.from_n_c_hw(2, spec.input_channels, image).unwrap().shape;
        let x = values(&shape, -1.0, 1.0);
        check(|dt| one_node(max(spec), dt, &[&shape], &[]), std::slice::from_ref(&x), EXACT);
        for (count_include_pad, normalize) in [(false, false), (false, true), (true, true)] {
            let op = SumPool { pool_spec: spec.clone(), count_include_pad, normalize };
            check(|dt| one_node(op.clone(), dt, &[&shape], &[]), std::slice::from_ref(&x), EXACT);
        }
    }

    #[test]
    fn plain_windows() {
        check_all(&spec(&[2, 2], &[2, 2], PaddingSpec::Valid), &[6, 4]);
        check_all(&spec(&[2, 2], &[2, 2], PaddingSpec::Valid), &[7, 5]);
        check_all(&spec(&[2, 2], &[2, 2], PaddingSpec::Valid), &[38, 77]);
        check_all(&spec(&[3, 2], &[1, 1], PaddingSpec::Valid), &[5, 4]);
    }

    #[test]
    fn a_stride_beyond_the_kernel() {
        check_all(&spec(&[2, 1], &[3, 4], PaddingSpec::Valid), &[8, 9]);
    }

    #[test]
    fn paddings() {
        for padding in [
            PaddingSpec::SameUpper,
            PaddingSpec::SameLower,
            PaddingSpec::Explicit(tvec![1, 0], tvec![0, 2]),
            PaddingSpec::ExplicitOnnxPool(tvec![0, 1], tvec![1, 0], false),
            PaddingSpec::ExplicitOnnxPool(tvec![1, 1], tvec![1, 0], true),
        ] {
            check_all(&spec(&[3, 3], &[2, 2], padding.clone()), &[6, 7]);
            check_all(&spec(&[3, 3], &[1, 2], padding), &[5, 6]);
        }
    }

    #[test]
    fn ceil_mode_windows_hang_over_the_edge() {
        let padding = PaddingSpec::ExplicitOnnxPool(tvec![0, 0], tvec![0, 0], true);
        check_all(&spec(&[3, 3], &[2, 2], padding.clone()), &[6, 8]);
        check_all(&spec(&[2, 3], &[2, 3], padding), &[5, 7]);
    }

    #[test]
    fn channels_last() {
        for data_format in [DataFormat::NHWC, DataFormat::HWC, DataFormat::CHW] {
            let spec = spec(&[3, 2], &[2, 2], PaddingSpec::SameUpper);
            check_all(&PoolSpec { data_format, ..spec }, &[5, 6]);
        }
    }

    #[test]
    fn one_three_and_four_spatial_axes() {
        for rank in [1, 3, 4] {
            let (image, kernel, strides) = (vec![4; rank], vec![2; rank], vec![2; rank]);
            check_all(&spec(&kernel, &strides, PaddingSpec::Valid), &image);
            check_all(&spec(&kernel, &vec![1; rank], PaddingSpec::SameLower), &vec![3; rank]);
        }
    }

    #[test]
    fn the_index_output_is_ignored() {
        let op = MaxPool {
            with_index_outputs: Some(i64::datum_type()),
            ..max(&spec(&[2, 2], &[2, 2], PaddingSpec::Valid))
        };
        let shape = [1, 2, 4, 4];
        let build = |dt| {
            let mut model = one_node(op.clone(), dt, &[&shape], &[])?;
            let value = model.output_outlets()?[0];
            model.select_output_outlets(&[value])?;
            Ok(model)
        };
        check(build, &[values(&shape, -1.0, 1.0)], EXACT);
    }

    #[test]
    fn the_first_of_equal_maxima_wins() {
        for (data_format, shape) in
            [(DataFormat::NCHW, [1, 1, 3, 4]), (DataFormat::NHWC, [1, 3, 4, 1])]
        {
            let spec = spec(&[2, 2], &[1, 2], PaddingSpec::Valid);
            let spec = PoolSpec { data_format, input_channels: 1, output_channels: 1, ..spec };
            #[rustfmt::skip]
            let x = Tensor::from_shape(&shape, &[
                0_f64, 7.0, 1.0, 1.0,
                7.0,   7.0, 1.0, 1.0,
                0.0,   7.0, 2.0, 1.0,
            ])
            .unwrap();
            let gradient =
                emitted_gradient(&|dt| one_node(max(&spec), dt, &[&shape], &[]), &[x]).unwrap();
            let winners: Vec<usize> = (0..12).filter(|&at| gradient[at] != 0.0).collect();
            // Of the windows: rows 0-1 left and right, rows 1-2 left and right.
            assert_eq!(winners, [1, 2, 4, 10]);
        }
    }

    #[test]
    fn the_first_of_equal_maxima_wins_where_windows_share_nothing() {
        let spec = PoolSpec {
            input_channels: 1,
            output_channels: 1,
            ..spec(&[2, 2], &[2, 2], PaddingSpec::Valid)
        };
        let shape = [1, 1, 4, 5];
        #[rustfmt::skip]
        let x = Tensor::from_shape(&shape, &[
            7_f64, 7.0, 1.0, 2.0, 9.0,
            7.0,   0.0, 2.0, 2.0, 9.0,
            0.0,   1.0, 3.0, 3.0, 9.0,
            1.0,   1.0, 3.0, 4.0, 9.0,
        ])
        .unwrap();
        let gradient =
            emitted_gradient(&|dt| one_node(max(&spec), dt, &[&shape], &[]), &[x]).unwrap();
        let winners: Vec<usize> = (0..20).filter(|&at| gradient[at] != 0.0).collect();
        assert_eq!(winners, [0, 3, 11, 18]);
    }

    fn case() -> impl Strategy<Value = (PoolSpec, Vec<usize>)> {
        let axis = || (1..6_usize, 1..4_usize, 1..4_usize, 1..3_usize, 0..3_usize, 0..3_usize);
        let formats = prop::sample::select(vec![
            DataFormat::NCHW,
            DataFormat::NHWC,
            DataFormat::CHW,
            DataFormat::HWC,
        ]);
        (prop::collection::vec(axis(), 1..4), formats, 1..4_usize, 0..6_usize).prop_map(
            |(axes, data_format, channels, padding)| {
                // Padding stays below the window: no operator pools over nothing but padding.
                let field = |axis: &(_, usize, _, usize, _, _)| (axis.1 - 1) * axis.3;
                let before = axes.iter().map(|axis| axis.4.min(field(axis))).collect();
                let after = axes.iter().map(|axis| axis.5.min(field(axis))).collect();
                let spec = PoolSpec {
                    data_format,
                    kernel_shape: axes.iter().map(|axis| axis.1).collect(),
                    strides: Some(axes.iter().map(|axis| axis.2).collect()),
                    dilations: Some(axes.iter().map(|axis| axis.3).collect()),
                    padding: match padding {
                        0 => PaddingSpec::Valid,
                        1 => PaddingSpec::SameUpper,
                        2 => PaddingSpec::SameLower,
                        3 => PaddingSpec::ExplicitOnnxPool(before, after, false),
                        4 => PaddingSpec::ExplicitOnnxPool(before, after, true),
                        _ => PaddingSpec::Explicit(before, after),
                    },
                    input_channels: channels,
                    output_channels: channels,
                };
                let image = axes.iter().map(|axis| axis.0 + field(axis)).collect();
                (spec, image)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_pool((spec, image) in case()) {
            check_all(&spec, &image);
        }
    }
}
