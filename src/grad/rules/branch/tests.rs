use tract_onnx::tract_core::ops::array::Slice;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::logic::CompGT;
use tract_onnx::tract_core::ops::math::{add, mul, sqrt, tanh};

use super::*;
use crate::grad::StraightThrough;
use crate::grad::testing::{EXACT, check, emitted_gradient, values};
use crate::grad::{backward, unsupported};

type Wire = fn(&mut TypedModel, &[OutletId]) -> TractResult<Vec<OutletId>>;

fn branch(dt: DatumType, shapes: &[&[usize]], wire: Wire) -> TractResult<TypedModel> {
    let mut body = TypedModel::default();
    let inputs: Vec<OutletId> = shapes
        .iter()
        .enumerate()
        .map(|(index, shape)| body.add_source(format!("in.{index}"), dt.fact(*shape)))
        .collect::<TractResult<_>>()?;
    let outputs = wire(&mut body, &inputs)?;
    body.select_output_outlets(&outputs)?;
    Ok(body)
}

/// x `[2, 3]`; if x[0, 0] > 0: `then(x, tanh(x))`, else `otherwise(tanh(x))`; the outputs are added up.
fn build(dt: DatumType, then: Wire, otherwise: Wire) -> TractResult<TypedModel> {
    let mut model = TypedModel::default();
    let x = model.add_source("x", dt.fact([2, 3]))?;
    let other = model.wire_node("other", tanh(), &[x])?[0];
    let corner = model.wire_node("row", Slice::new(0, 0, 1), &[x])?;
    let corner = model.wire_node("corner", Slice::new(1, 0, 1), &corner)?[0];
    let zero = tensor2(&[[0.0]]).cast_to_dt(dt)?.into_owned();
    let zero = model.add_const("zero", zero)?;
    let above = TypedBinOp(Box::new(CompGT), None);
    let condition = model.wire_node("condition", above, &[corner, zero])?[0];
    let shape: &[usize] = &[2, 3];
    let op = IfThenElse {
        then_body: branch(dt, &[shape, shape], then)?,
        then_input_mapping: vec![1, 2],
        else_body: branch(dt, &[shape], otherwise)?,
        else_input_mapping: vec![2],
    };
    let found = model.wire_node("choice", op, &[condition, x, other])?;
    let mut y = found[0];
    for (index, &outlet) in found.iter().enumerate().skip(1) {
        y = model.wire_node(format!("sum.{index}"), add(), &[y, outlet])?[0];
    }
    model.select_output_outlets(&[y])?;
    Ok(model)
}

/// Once with the condition true, once false.
fn check_both(then: Wire, otherwise: Wire) {
    for sign in [1.0, -1.0] {
        let mut x = values(&[2, 3], -1.0, 1.0);
        x.to_plain_array_view_mut::<f64>().unwrap()[[0, 0]] = 0.5 * sign;
        check(|dt| build(dt, then, otherwise), &[x], EXACT);
    }
}

#[test]
fn the_branch_that_is_taken_counts() {
    check_both(
        |body, inputs| Ok(body.wire_node("product", mul(), inputs)?.to_vec()),
        |body, inputs| Ok(body.wire_node("twice", add(), &[inputs[0], inputs[0]])?.to_vec()),
    );
}

#[test]
fn several_outputs_and_passed_inputs() {
    check_both(
        |body, inputs| {
            let product = body.wire_node("product", mul(), inputs)?[0];
            Ok(vec![inputs[0], product])
        },
        |body, inputs| {
            let squashed = body.wire_node("squashed", tanh(), inputs)?[0];
            Ok(vec![squashed, inputs[0]])
        },
    );
}

#[test]
fn the_branch_not_taken_may_have_no_slope() {
    // Square roots of negative numbers where the condition is false.
    let then: Wire = |body, inputs| {
        let product = body.wire_node("square", mul(), &[inputs[0], inputs[0]])?[0];
        let cube = body.wire_node("cube", mul(), &[product, inputs[0]])?;
        Ok(body.wire_node("root", sqrt(), &cube)?.to_vec())
    };
    let otherwise: Wire = |_, inputs| Ok(inputs.to_vec());
    let x = values(&[2, 3], -1.0, -0.1);
    check(|dt| build(dt, then, otherwise), &[x], EXACT);
    let x = values(&[2, 3], 0.1, 1.0);
    check(|dt| build(dt, then, otherwise), &[x], EXACT);
}

#[test]
fn a_constant_condition_leaves_no_branch() {
    let build = |dt: DatumType| {
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact([2, 3]))?;
        let condition = model.add_const("condition", tensor0(true))?;
        let shape: &[usize] = &[2, 3];
        let op = IfThenElse {
            then_body: branch(dt, &[shape], |body, inputs| {
                Ok(body.wire_node("squashed", tanh(), inputs)?.to_vec())
            })?,
            then_input_mapping: vec![1],
            else_body: branch(dt, &[shape], |_, inputs| Ok(inputs.to_vec()))?,
            else_input_mapping: vec![1],
        };
        let y = model.wire_node("choice", op, &[condition, x])?;
        model.select_output_outlets(&y)?;
        Ok(model)
    };
    let model = build(f32::datum_type()).unwrap().into_decluttered().unwrap();
    assert!(!model.nodes().iter().any(|node| node.op_is::<IfThenElse>()));
    let x = values(&[2, 3], -1.0, 1.0);
    check(build, std::slice::from_ref(&x), EXACT);
    assert!(emitted_gradient(&build, &[x]).unwrap().iter().all(|slope| *slope != 0.0));
}

#[test]
fn an_operator_without_a_rule_is_named_with_its_branch() {
    use tract_onnx::tract_core::ops::nn::clamped_swiglu::ClampedSwiGlu;
    let then: Wire = |body, inputs| {
        let gate = ClampedSwiGlu { alpha: 1.0, limit: 1.0 };
        Ok(vec![body.wire_node("gate", gate, &[inputs[0], inputs[0]])?[0]])
    };
    let mut model = build(f32::datum_type(), then, |_, inputs| Ok(inputs.to_vec())).unwrap();
    let (x, y) = (model.inputs[0], model.outputs[0]);
    let missing = unsupported(&model, y, x, &StraightThrough::default()).unwrap();
    assert_eq!(missing, [("choice/gate".to_owned(), "ClampedSwiGlu".to_owned())]);
    let error =
        format!("{:?}", backward(&mut model, y, y, x, &StraightThrough::default()).unwrap_err());
    assert!(error.contains("no gradient rule for ClampedSwiGlu (`gate`)"), "{error}");
}

#[test]
fn a_constant_branch() {
    let constant: Wire = |body, inputs| {
        let dt = body.outlet_fact(inputs[0])?.datum_type;
        Ok(vec![body.add_const("c", Tensor::zero_dt(dt, &[2, 3])?)?])
    };
    check_both(constant, |_, inputs| Ok(inputs.to_vec()));
    check_both(|body, inputs| Ok(body.wire_node("product", mul(), inputs)?.to_vec()), constant);
}
