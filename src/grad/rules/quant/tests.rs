use proptest::prelude::*;
use tract_onnx::tract_core::ops::math::{ceil, floor, round_half_to_even, sign};
use tract_onnx::tract_core::ops::quant::{quantize_linear_i8, quantize_linear_u8};

use super::*;
use crate::grad::StraightThrough;
use crate::grad::testing::{emitted_gradient, gradient_through, one_node, values};

/// `op` and, where it gives integers, a cast to floats.
fn rounding(op: impl Into<Box<dyn TypedOp>>, dt: DatumType, len: usize) -> TractResult<TypedModel> {
    let mut model = one_node(op, dt, &[&[len]], &[])?;
    let y = model.output_outlets()?[0];
    if !model.outlet_fact(y)?.datum_type.is_float() {
        let y = model.wire_node("back", cast(dt), &[y])?;
        model.select_output_outlets(&y)?;
    }
    Ok(model)
}

/// The slope of each element, straight through everything; the exact one must be zero.
fn slopes(op: impl Into<Box<dyn TypedOp>> + Clone, x: &[f64]) -> Vec<f64> {
    let build = |dt| rounding(op.clone(), dt, x.len());
    let at = [tensor1(x)];
    assert!(emitted_gradient(&build, &at).unwrap().iter().all(|g| *g == 0.0));
    let all = StraightThrough::all(HashMap::new());
    let (_, weights) = crate::grad::testing::gradient_and_cotangent(&build, &at);
    let found = gradient_through(&build, &at, &all).unwrap();
    found.iter().zip(weights).map(|(g, w)| g / w).collect()
}

fn close(found: &[f64], expected: &[f64]) -> bool {
    found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0))
}

#[test]
fn whole_numbers_pass_everything() {
    let x = [-3.7, -0.5, 0.0, 0.4, 2.5, 100.2];
    for op in [round_half_to_even(), floor(), ceil()] {
        assert!(close(&slopes(op, &x), &[1.0; 6]));
    }
    for to in [i64::datum_type(), i32::datum_type(), i8::datum_type(), bool::datum_type()] {
        assert!(close(&slopes(cast(to), &x), &[1.0; 6]), "{to:?}");
    }
}

#[test]
fn a_half_precision_value_takes_a_half_precision_cotangent() {
    let build = |dt| {
        let mut model = TypedModel::default();
        let x = model.add_source("x", DatumType::fact(&dt, [2]))?;
        let half = model.wire_node("half", cast(f16::datum_type()), &[x])?;
        let whole = model.wire_node("whole", round_half_to_even(), &half)?;
        let integer = model.wire_node("integer", cast(i32::datum_type()), &whole)?;
        let y = model.wire_node("y", cast(dt), &integer)?;
        model.select_output_outlets(&y)?;
        Ok(model)
    };
    let all = StraightThrough::all(HashMap::new());
    let found = gradient_through(&build, &[tensor1(&[1.2_f64, -7.9])], &all).unwrap();
    assert!(found.iter().all(|g| *g != 0.0), "{found:?}");
}

#[test]
fn a_sign_is_a_smooth_step_without_ends() {
    let x = [0.0, 0.3, -1.0, 1.0, 2.0, -10.0];
    assert!(close(&slopes(sign(), &x), &[1.0, 1.0, 1.0, 1.0, 0.25, 0.01]));
    // The slope of x within [-1, 1] and of sign(x) (2 - 1 / |x|) outside.
    let step = |x: f64| if x.abs() <= 1.0 { x } else { x.signum() * (2.0 - x.abs().recip()) };
    for x in [0.4, -0.9, 1.3, -5.0, 70.0] {
        let slope = (step(x + 1e-6) - step(x - 1e-6)) / 2e-6;
        assert!((slopes(sign(), &[x])[0] - slope).abs() < 1e-6, "{x}");
    }
}

#[test]
fn a_quantisation_passes_what_its_type_holds() {
    // Levels by rounding: -1 and 256 are clipped, 0 and 255 are not.
    let u8 = slopes(quantize_linear_u8(10.0, 5), &[-0.56, -0.54, 0.0, 25.04, 25.06, 1e9]);
    assert!(close(&u8, &[0.0, 10.0, 10.0, 10.0, 0.0, 0.0]), "{u8:?}");
    let i8 = slopes(quantize_linear_i8(4.0, -28), &[-25.2, -25.1, 1.0, 38.8, 38.9, -1e9]);
    assert!(close(&i8, &[0.0, 4.0, 4.0, 4.0, 0.0, 0.0]), "{i8:?}");
}

#[test]
fn a_dequantisation_is_linear() {
    let op = DequantizeLinearF32 { scale: 0.25, zero_point: 7 };
    let mut model = TypedModel::default();
    let x = model.add_source("x", u8::fact([3])).unwrap();
    let y = model.wire_node("y", op, &[x]).unwrap()[0];
    model.select_output_outlets(&[y]).unwrap();
    let cotangent = model.add_const("cotangent", tensor1(&[1_f32, -2.0, 4.0])).unwrap();
    let all = StraightThrough::all(HashMap::new());
    let gradient = crate::grad::backward(&mut model, y, cotangent, x, &all).unwrap();
    model.select_output_outlets(&[gradient]).unwrap();
    let found = model.into_runnable().unwrap().run(tvec![tensor1(&[1_u8, 2, 3]).into()]).unwrap();
    assert_eq!(*found[0], tensor1(&[0.25_f32, -0.5, 1.0]));
}

/// tract makes these tables itself; here the table is that of 255 - q.
#[test]
fn a_table_has_the_slope_of_its_entries() {
    for signed in [false, true] {
        let dt = if signed { i8::datum_type() } else { u8::datum_type() };
        let build = |float: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", float.fact([5]))?;
            let zero = i32::from(!signed) * 128;
            let quantised =
                if signed { quantize_linear_i8(1.0, 0) } else { quantize_linear_u8(1.0, 128) };
            let q = model.wire_node("q", quantised, &[x])?;
            let d = DequantizeLinearF32 { scale: -0.5, zero_point: zero };
            let d = model.wire_node("d", d, &q)?;
            let relu =
                model.wire_node("sigmoid", tract_onnx::tract_core::ops::nn::hard_swish(), &d)?;
            let again =
                if signed { quantize_linear_i8(4.0, 0) } else { quantize_linear_u8(4.0, 3) };
            let r = model.wire_node("r", again, &relu)?;
            let y = model.wire_node("y", cast(float), &r)?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        let model = build(f32::datum_type()).unwrap().into_decluttered().unwrap();
        let table = |node: &TypedNode| {
            node.op_as::<ElementWiseOp>().is_some_and(|op| op.0.is::<LookupTable>())
        };
        assert!(model.nodes().iter().any(table), "{dt:?}");
        let all = StraightThrough::all(HashMap::new());
        let x = tensor1(&[-40.0_f64, -20.0, 20.0, 60.0, 100.0]);
        let (_, weights) =
            crate::grad::testing::gradient_and_cotangent(&build, std::slice::from_ref(&x));
        let found = gradient_through(&build, &[x], &all).unwrap();
        // hard_swish(z) is z above 3 and 0 below -3; z = -x / 2, and the result is multiplied by 4 and clipped.
        let expected = [-2.0, -2.0, 0.0, 0.0, 0.0];
        for ((g, w), expected) in found.iter().zip(weights).zip(expected) {
            assert!((g / w - expected).abs() < 1e-5, "{dt:?}: {}, not {expected}", g / w);
        }
    }
}

#[test]
fn the_scale_of_a_dynamic_quantisation_follows_its_ends() {
    let scale = |x: &[f32]| {
        let mut model = TypedModel::default();
        let source = model.add_source("x", f32::fact([x.len()])).unwrap();
        let cotangent = model.add_source("g", f32::fact([0; 0])).unwrap();
        let y = model.wire_node("y", DynamicScaleGrad, &[source, cotangent]).unwrap();
        model.select_output_outlets(&y).unwrap();
        let inputs = tvec![tensor1(x).into(), tensor0(255_f32).into()];
        let found = model.into_runnable().unwrap().run(inputs).unwrap();
        found[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect::<Vec<_>>()
    };
    assert_eq!(scale(&[0.5, -2.0, 3.0, 3.0]), [0.0, -1.0, 1.0, 0.0]);
    assert_eq!(scale(&[1.0, 2.0]), [0.0, 1.0]);
    assert_eq!(scale(&[-1.0, -2.0]), [0.0, -1.0]);
    assert_eq!(scale(&[0.0, 0.0]), [0.0, 0.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Against differences of clip(x / scale + zero point), away from the ends.
    #[test]
    fn any_quantisation(recip in 0.5..40.0_f32, zero in any::<u8>(), seed in 0.0..1.0_f64) {
        let x = values(&[12], -8.0 - seed, 9.0 + seed);
        let x: Vec<f64> = x.to_plain_array_view::<f64>().unwrap().iter().copied().collect();
        let surrogate = |x: f64| (x * f64::from(recip) + f64::from(zero)).clamp(0.0, 255.0);
        let found = slopes(quantize_linear_u8(recip, zero), &x);
        for (x, found) in x.iter().zip(found) {
            let level = x * f64::from(recip) + f64::from(zero);
            prop_assume!(level.abs() > 0.6 && (level - 255.0).abs() > 0.6);
            let slope = (surrogate(x + 1e-6) - surrogate(x - 1e-6)) / 2e-6;
            prop_assert!((found - slope).abs() < 1e-4 * slope.max(1.0), "{x}: {found}, not {slope}");
        }
    }
}
