//! Against the matrices of tract's own operators: its output for each unit vector. They are affine.

use proptest::prelude::*;
use tract_onnx::tract_core::ops::nn::resize::{CoordTransformer, Nearest as CoreNearest};

use super::*;
use crate::grad::testing::{EXACT, check, check_against, one_node, values};

const TRANSFORMS: [CoordTransformer; 6] = [
    CoordTransformer::HalfPixel,
    CoordTransformer::AlignCorners,
    CoordTransformer::Asymmetric,
    CoordTransformer::PytorchHalfPixel,
    CoordTransformer::HalfPixelSymmetric,
    CoordTransformer::TfHalfPixelForNn,
];
const INTERPOLATORS: [Interpolator; 3] =
    [Interpolator::Nearest, Interpolator::Linear, Interpolator::Cubic];
const ROUNDINGS: [Nearest; 4] =
    [Nearest::Floor, Nearest::Ceil, Nearest::RoundPreferFloor, Nearest::RoundPreferCeil];

/// `op` over x of shape `shape` and `constants`, whose output is checked through its matrix.
fn check_matrix(op: impl Into<Box<dyn TypedOp>>, shape: &[usize], constants: &[Tensor]) {
    let op: Box<dyn TypedOp> = op.into();
    let build = |dt| one_node(op.clone(), dt, &[shape], constants);
    let plan = build(f32::datum_type()).unwrap().into_runnable().unwrap();
    let output = |x: &[f32]| -> Vec<f64> {
        let x = Tensor::from_shape(shape, x).unwrap();
        let y = plan.run(tvec![x.into_tvalue()]).unwrap().remove(0);
        y.to_plain_array_view::<f32>().unwrap().iter().map(|&y| f64::from(y)).collect()
    };
    let len = shape.iter().product();
    let constant = output(&vec![0.0; len]);
    let columns: Vec<Vec<f64>> = (0..len)
        .map(|at| {
            let mut unit = vec![0.0; len];
            unit[at] = 1.0;
            output(&unit).iter().zip(&constant).map(|(y, constant)| y - constant).collect()
        })
        .collect();
    check_against(build, &[values(shape, -1.0, 1.0)], EXACT, |x| {
        let mut y = constant.clone();
        for (column, x) in columns.iter().zip(&x[0]) {
            y.iter_mut().zip(column).for_each(|(y, weight)| *y += weight * x);
        }
        y
    });
}

fn core(coord_transformer: CoordTransformer, interpolator: Interpolator, sizes: bool) -> Resize {
    Resize {
        coord_transformer,
        interpolator,
        nearest: CoreNearest::Floor,
        optional_scales_input: (!sizes).then_some(1),
        optional_sizes_input: sizes.then_some(1),
    }
}

fn onnx(coord_transformer: CoordTransform, interpolator: Interpolator) -> OnnxResize {
    OnnxResize {
        axes: None,
        coord_transformer,
        interpolator,
        nearest: Nearest::RoundPreferFloor,
        antialias: false,
        cubic_coeff_a_bits: (-0.75_f32).to_bits(),
        exclude_outside: false,
        extrapolation_value_bits: 0.3_f32.to_bits(),
        keep_aspect_ratio_policy: AspectRatio::Stretch,
        optional_roi_input: None,
        optional_scales_input: Some(1),
        optional_sizes_input: None,
    }
}

#[test]
fn every_transform_and_kernel() {
    for transform in TRANSFORMS {
        for interpolator in INTERPOLATORS {
            for scales in [[1_f32, 2.0, 1.5], [1.0, 0.6, 3.0], [1.0, 1.0, 0.25], [2.0, 0.34, 1.3]] {
                let op = core(transform.clone(), interpolator.clone(), false);
                check_matrix(op, &[2, 3, 4], &[tensor1(&scales)]);
            }
            for sizes in [[2_i64, 6, 7], [2, 1, 4], [1, 2, 9]] {
                let op = core(transform.clone(), interpolator.clone(), true);
                check_matrix(op, &[2, 3, 4], &[tensor1(&sizes)]);
            }
        }
    }
}

#[test]
fn every_rounding() {
    for transform in TRANSFORMS {
        for nearest in ROUNDINGS {
            for scales in [[1_f32, 2.0], [1.6, 0.5], [0.7, 3.0]] {
                let plain = CoordTransform::Plain(transform.clone());
                let op = OnnxResize { nearest, ..onnx(plain, Interpolator::Nearest) };
                check_matrix(op, &[3, 4], &[tensor1(&scales)]);
            }
        }
    }
    let op = core(CoordTransformer::HalfPixel, Interpolator::Nearest, false);
    let op = Resize { nearest: CoreNearest::RoundPreferCeil, ..op };
    check_matrix(op, &[3, 4], &[tensor1(&[2_f32, 1.5])]);
}

#[test]
fn antialiasing_excluded_borders_and_other_kernels() {
    for interpolator in [Interpolator::Linear, Interpolator::Cubic] {
        for (antialias, exclude_outside, a) in [
            (true, false, -0.75_f32),
            (false, true, -0.75),
            (true, true, -0.5),
            (false, false, -0.5),
        ] {
            for scales in [[1_f32, 0.4], [0.5, 0.3], [1.7, 2.0]] {
                let plain = CoordTransform::Plain(CoordTransformer::HalfPixel);
                let op = OnnxResize {
                    antialias,
                    exclude_outside,
                    cubic_coeff_a_bits: a.to_bits(),
                    ..onnx(plain, interpolator.clone())
                };
                check_matrix(op, &[4, 7], &[tensor1(&scales)]);
            }
        }
    }
}

#[test]
fn some_axes_by_scales_and_by_sizes() {
    let plain = CoordTransform::Plain(CoordTransformer::AlignCorners);
    let op = OnnxResize { axes: Some(vec![-1, 0]), ..onnx(plain, Interpolator::Cubic) };
    check_matrix(op.clone(), &[3, 2, 4], &[tensor1(&[1.5_f32, 2.0])]);
    let op = OnnxResize { exclude_outside: true, ..op };
    check_matrix(op.clone(), &[3, 2, 4], &[tensor1(&[1.5_f32, 2.0])]);
    for policy in [AspectRatio::Stretch, AspectRatio::NotLarger, AspectRatio::NotSmaller] {
        let op = OnnxResize {
            keep_aspect_ratio_policy: policy,
            optional_scales_input: None,
            optional_sizes_input: Some(1),
            ..op.clone()
        };
        check_matrix(op, &[3, 2, 4], &[tensor1(&[6_i64, 5])]);
    }
}

#[test]
fn cropped_regions_extrapolate() {
    for interpolator in INTERPOLATORS {
        for region in [[0_f32, 0.2, 1.0, 0.9], [-0.3, 0.4, 0.8, 1.4], [0.5, 0.5, 0.5, 0.5]] {
            for scales in [[1_f32, 2.0], [1.5, 0.5], [1.0, 0.2]] {
                let op = OnnxResize {
                    optional_roi_input: Some(1),
                    optional_scales_input: Some(2),
                    ..onnx(CoordTransform::TfCropAndResize, interpolator.clone())
                };
                check_matrix(op, &[4, 5], &[tensor1(&region), tensor1(&scales)]);
            }
        }
    }
}

#[test]
fn upsampling_by_whole_factors() {
    for scales in [[1, 1, 2, 3], [2, 1, 1, 1], [1, 3, 2, 1]] {
        let op = NearestUpsample { scales: scales.into_iter().collect() };
        let shape = [2, 3, 2, 2];
        let x = values(&shape, -1.0, 1.0);
        check(|dt| one_node(op.clone(), dt, &[&shape], &[]), &[x], EXACT);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_resize(
        axes in prop::collection::vec((1..6_usize, 1..40_u8), 1..4),
        transform in 0..TRANSFORMS.len(),
        interpolator in 0..INTERPOLATORS.len(),
        rounding in 0..ROUNDINGS.len(),
        antialias in any::<bool>(),
        exclude_outside in any::<bool>(),
    ) {
        let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        // At least one entry stays on every axis.
        let scales: Vec<f32> =
            axes.iter().map(|&(len, tenths)| (f32::from(tenths) / 10.0).max(1.01 / len as f32)).collect();
        let op = OnnxResize {
            nearest: ROUNDINGS[rounding],
            antialias,
            exclude_outside,
            ..onnx(CoordTransform::Plain(TRANSFORMS[transform].clone()), INTERPOLATORS[interpolator].clone())
        };
        check_matrix(op, &shape, &[tensor1(&scales)]);
    }
}
