use tract_onnx::tract_core::ops::array::Slice;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math::{floor, mul, tanh};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::*;
use crate::grad::StraightThrough;
use crate::grad::testing::{EXACT, check, emitted_gradient, values};
use crate::grad::{backward, unsupported};

fn sequence(axis: usize, chunk: isize) -> InputMapping {
    InputMapping::Scan(ScanInfo { axis, chunk })
}

/// An output of a loop, every step of it collected along axis 0 or only the last.
#[derive(Clone, Copy)]
enum Give {
    Nothing,
    Every(isize),
    Last,
    Both,
}

/// A loop over cuts of one flat source, whose outputs are put end to end: all inputs are attacked at once.
///
/// `inputs` are (shape outside, how it goes in), `outputs` (whether it is a state, what of it is given).
fn looped(
    dt: DatumType,
    inputs: &[(&[usize], InputMapping)],
    outputs: &[(bool, Give)],
    wire: impl Fn(&mut TypedModel, &[OutletId]) -> TractResult<Vec<OutletId>>,
) -> TractResult<TypedModel> {
    let len: usize = inputs.iter().map(|(shape, _)| shape.iter().product::<usize>()).sum();
    let mut model = TypedModel::default();
    let flat = model.add_source("x", dt.fact([len]))?;
    let mut body = TypedModel::default();
    let (mut outer, mut sources) = (vec![], vec![]);
    let mut from = 0;
    for (index, (shape, mapping)) in inputs.iter().enumerate() {
        let to = from + shape.iter().product::<usize>();
        let cut = model.wire_node(format!("cut.{index}"), Slice::new(0, from, to), &[flat])?;
        let dims = shape.iter().map(|dim| dim.to_dim()).collect();
        let reshape = AxisOp::Reshape(0, tvec![(to - from).to_dim()], dims);
        outer.push(model.wire_node(format!("reshape.{index}"), reshape, &cut)?[0]);
        from = to;
        let mut inner = shape.to_vec();
        if let InputMapping::Scan(info) = mapping {
            inner[info.axis] = info.chunk.unsigned_abs();
        }
        sources.push(body.add_source(format!("in.{index}"), dt.fact(inner))?);
    }
    let found = wire(&mut body, &sources)?;
    body.select_output_outlets(&found)?;
    let mut slots = 0..;
    let mut slot = || slots.next().unwrap();
    let mapping = outputs.iter().map(|&(state, give)| {
        let (every, last) = match give {
            Give::Nothing => (None, false),
            Give::Every(chunk) => (Some(chunk), false),
            Give::Last => (None, true),
            Give::Both => (Some(1), true),
        };
        OutputMapping {
            scan: every.map(|chunk| (slot(), ScanInfo { axis: 0, chunk })),
            full_dim_hint: None,
            last_value_slot: last.then(&mut slot),
            state,
        }
    });
    let mapping = mapping.collect();
    let modes = inputs.iter().map(|(_, mapping)| mapping.clone()).collect();
    let given = model.wire_node("loop", Scan::new(body, modes, mapping, 0)?, &outer)?;
    let mut flat = vec![];
    for (index, &outlet) in given.iter().enumerate() {
        let dims: TVec<TDim> = model.outlet_fact(outlet)?.shape.to_tvec();
        let all = tvec![dims.iter().product::<TDim>()];
        let reshape = AxisOp::Reshape(0, dims, all);
        flat.push(model.wire_node(format!("flat.{index}"), reshape, &[outlet])?[0]);
    }
    let y = model.wire_node("y", TypedConcat::new(0), &flat)?;
    model.select_output_outlets(&y)?;
    Ok(model)
}

fn check_loop(
    inputs: &[(&[usize], InputMapping)],
    outputs: &[(bool, Give)],
    wire: impl Fn(&mut TypedModel, &[OutletId]) -> TractResult<Vec<OutletId>>,
) {
    let len: usize = inputs.iter().map(|(shape, _)| shape.iter().product::<usize>()).sum();
    check(|dt| looped(dt, inputs, outputs, &wire), &[values(&[len], -1.0, 1.0)], EXACT);
}

/// h' = tanh(h * w + x).
fn cell(body: &mut TypedModel, inputs: &[OutletId]) -> TractResult<Vec<OutletId>> {
    let product = body.wire_node("product", mul(), &[inputs[1], inputs[2]])?[0];
    let sum = body.wire_node("sum", add(), &[product, inputs[0]])?;
    let next = body.wire_node("next", tanh(), &sum)?[0];
    Ok(vec![next])
}

#[test]
fn sequences_states_and_whole_inputs() {
    for steps in [1, 2, 5] {
        for batch in [1, 3] {
            for chunk in [1, -1] {
                for give in [Give::Every(1), Give::Every(-1), Give::Last, Give::Both] {
                    let inputs = [
                        (&[steps, batch][..], sequence(0, chunk)),
                        (&[1, batch], InputMapping::State),
                        (&[1, batch], InputMapping::Full),
                    ];
                    check_loop(&inputs, &[(true, give)], cell);
                }
            }
        }
    }
}

#[test]
fn sequences_along_another_axis() {
    let inputs = [
        (&[2, 4, 3][..], sequence(1, -1)),
        (&[2, 1, 3], InputMapping::State),
        (&[2, 1, 3], InputMapping::Full),
    ];
    check_loop(&inputs, &[(true, Give::Both)], cell);
}

#[test]
fn chunks_of_several_steps() {
    for chunk in [2_isize, -2, 3, -3] {
        let width = chunk.unsigned_abs();
        let inputs = [
            (&[3 * width, 2][..], sequence(0, chunk)),
            (&[width, 2], InputMapping::State),
            (&[width, 2], InputMapping::Full),
        ];
        check_loop(&inputs, &[(true, Give::Every(width as isize))], cell);
        check_loop(&inputs, &[(true, Give::Last)], cell);
    }
}

#[test]
fn chunks_that_tract_misplaces_are_refused() {
    let build = |dt: DatumType| {
        let inputs = [
            (&[6, 2][..], sequence(0, -2)),
            (&[2, 2], InputMapping::State),
            (&[2, 2], InputMapping::Full),
        ];
        looped(dt, &inputs, &[(true, Give::Every(-2))], cell)
    };
    let error = emitted_gradient(&build, &[values(&[20], -1.0, 1.0)]).unwrap_err();
    assert!(format!("{error:?}").contains("tract misplaces chunks of 2"), "{error:?}");
}

#[test]
fn a_cut_last_chunk_is_refused() {
    let build = |dt: DatumType| {
        let inputs = [
            (&[5, 2][..], sequence(0, 2)),
            (&[2, 2], InputMapping::State),
            (&[2, 2], InputMapping::Full),
        ];
        looped(dt, &inputs, &[(true, Give::Last)], cell)
    };
    let error = emitted_gradient(&build, &[values(&[18], -1.0, 1.0)]).unwrap_err();
    assert!(format!("{error:?}").contains("the last is cut"), "{error:?}");
}

#[test]
fn running_sums() {
    // The cotangents of the sequence and of the state are one tensor.
    for give in [Give::Every(1), Give::Last, Give::Both] {
        let inputs = [(&[4, 2][..], sequence(0, 1)), (&[1, 2], InputMapping::State)];
        check_loop(&inputs, &[(true, give)], |body, inputs| {
            body.wire_node("next", add(), inputs).map(|outlets| outlets.to_vec())
        });
    }
}

#[test]
fn several_states_that_feed_each_other() {
    let inputs = [
        (&[4, 2][..], sequence(0, 1)),
        (&[1, 2], InputMapping::State),
        (&[3, 2], InputMapping::Full),
        (&[1, 2], InputMapping::State),
    ];
    let wire = |body: &mut TypedModel, inputs: &[OutletId]| -> TractResult<Vec<OutletId>> {
        let &[x, first, full, second] = inputs else { bail!("four inputs") };
        let sum = Reduce { axes: tvec![0], reducer: Reducer::Sum };
        let weight = body.wire_node("weight", sum, &[full])?[0];
        let a = body.wire_node("a", mul(), &[second, weight])?[0];
        let a = body.wire_node("next_a", add(), &[a, x])?[0];
        let b = body.wire_node("b", mul(), &[first, x])?;
        let b = body.wire_node("next_b", tanh(), &b)?[0];
        let seen = body.wire_node("seen", mul(), &[a, b])?[0];
        Ok(vec![a, seen, b])
    };
    for gives in [
        [Give::Nothing, Give::Every(1), Give::Last],
        [Give::Last, Give::Every(-1), Give::Nothing],
        [Give::Both, Give::Last, Give::Both],
        [Give::Nothing, Give::Both, Give::Nothing],
        [Give::Nothing, Give::Nothing, Give::Every(1)],
    ] {
        check_loop(&inputs, &[(true, gives[0]), (false, gives[1]), (true, gives[2])], wire);
    }
}

#[test]
fn states_that_stay_or_are_forgotten() {
    let inputs = [
        (&[3, 2][..], sequence(0, 1)),
        (&[1, 2], InputMapping::State),
        (&[1, 2], InputMapping::State),
    ];
    // The first state never changes, the second is replaced by the sequence.
    let wire = |body: &mut TypedModel, inputs: &[OutletId]| -> TractResult<Vec<OutletId>> {
        let &[x, stays, forgotten] = inputs else { bail!("three inputs") };
        let product = body.wire_node("product", mul(), &[stays, forgotten])?[0];
        let seen = body.wire_node("seen", mul(), &[product, x])?[0];
        let next = body.wire_node("next", tanh(), &[x])?[0];
        Ok(vec![stays, next, seen])
    };
    for gives in [[Give::Nothing, Give::Nothing], [Give::Last, Give::Both]] {
        check_loop(&inputs, &[(true, gives[0]), (true, gives[1]), (false, Give::Every(1))], wire);
    }
}

#[test]
fn a_state_without_a_slope() {
    let inputs = [(&[3, 2][..], sequence(0, 1)), (&[1, 2], InputMapping::State)];
    check_loop(&inputs, &[(true, Give::Both), (false, Give::Every(1))], |body, inputs| {
        let steps = body.wire_node("steps", floor(), &[inputs[1]])?[0];
        let next = body.wire_node("next", add(), &[steps, inputs[0]])?[0];
        let seen = body.wire_node("seen", mul(), &[next, inputs[0]])?[0];
        Ok(vec![next, seen])
    });
}

#[test]
fn a_state_that_counts() {
    let build = |dt: DatumType| {
        let mut body = TypedModel::default();
        let x = body.add_source("x", dt.fact([1, 2]))?;
        let count = body.add_source("count", i64::fact([1, 1]))?;
        let one = body.add_const("one", tensor2(&[[1_i64]]))?;
        let next = body.wire_node("next", add(), &[count, one])?[0];
        let weight = body.wire_node("weight", cast(dt), &[next])?[0];
        let y = body.wire_node("weighted", mul(), &[x, weight])?[0];
        let y = body.wire_node("y", mul(), &[x, y])?[0];
        body.select_output_outlets(&[next, y])?;
        let every = Some((0, ScanInfo { axis: 0, chunk: 1 }));
        let outputs = vec![
            OutputMapping { state: true, ..OutputMapping::default() },
            OutputMapping { scan: every, ..OutputMapping::default() },
        ];
        let scan = Scan::new(body, vec![sequence(0, 1), InputMapping::State], outputs, 0)?;
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact([4, 2]))?;
        let count = model.add_const("count", tensor2(&[[0_i64]]))?;
        let y = model.wire_node("loop", scan, &[x, count])?;
        model.select_output_outlets(&y)?;
        Ok(model)
    };
    check(build, &[values(&[4, 2], -1.0, 1.0)], EXACT);
}

#[test]
fn products_with_the_state() {
    // The sequence's cotangent is a product that tract moves out of the reverse loop.
    for batch in [1, 2] {
        let inputs = [(&[3, batch][..], sequence(0, 1)), (&[1, batch], InputMapping::State)];
        for give in [Give::Every(1), Give::Last, Give::Both] {
            check_loop(&inputs, &[(true, give)], |body, inputs| {
                let product = body.wire_node("product", mul(), inputs)?;
                Ok(body.wire_node("next", tanh(), &product)?.to_vec())
            });
            check_loop(&inputs, &[(true, give)], |body, inputs| {
                Ok(body.wire_node("next", mul(), inputs)?.to_vec())
            });
        }
    }
}

#[test]
fn a_linear_state_that_no_sequence_enters() {
    let inputs = [(&[3, 2][..], sequence(0, 1)), (&[1, 2], InputMapping::State)];
    check_loop(&inputs, &[(true, Give::Last), (false, Give::Every(1))], |body, inputs| {
        let twice = body.wire_node("twice", add(), &[inputs[1], inputs[1]])?[0];
        let seen = body.wire_node("seen", tanh(), &[inputs[0]])?[0];
        Ok(vec![twice, seen])
    });
}

#[test]
fn a_loop_in_a_loop() {
    let wire = |body: &mut TypedModel, inputs: &[OutletId]| -> TractResult<Vec<OutletId>> {
        let &[x, state, weight] = inputs else { bail!("three inputs") };
        let dt = body.outlet_fact(x)?.datum_type;
        let mut inner = TypedModel::default();
        let sources = [
            inner.add_source("x", dt.fact([1, 1]))?,
            inner.add_source("state", dt.fact([1, 1]))?,
            inner.add_source("weight", dt.fact([1, 1]))?,
        ];
        let outputs = cell(&mut inner, &sources)?;
        inner.select_output_outlets(&outputs)?;
        let modes = vec![sequence(1, 1), InputMapping::State, InputMapping::Full];
        let mapping = OutputMapping {
            scan: Some((0, ScanInfo { axis: 1, chunk: 1 })),
            full_dim_hint: None,
            last_value_slot: Some(1),
            state: true,
        };
        let mut scan = Scan::new(inner, modes, vec![mapping], 0)?;
        scan.reset_every_turn = true;
        let found = body.wire_node("inner", scan, &[x, state, weight])?;
        // Read in the body too: tract 0.23.9 fails to move a loop out of a loop.
        let sum = Reduce { axes: tvec![1], reducer: Reducer::Sum };
        let sum = body.wire_node("sum", sum, &[found[0]])?[0];
        let next = body.wire_node("next_state", mul(), &[found[1], sum])?[0];
        Ok(vec![next, found[0]])
    };
    let inputs = [
        (&[3, 4][..], sequence(0, 1)),
        (&[1, 1], InputMapping::State),
        (&[1, 1], InputMapping::Full),
    ];
    for gives in [[Give::Nothing, Give::Every(1)], [Give::Last, Give::Every(-1)]] {
        check_loop(&inputs, &[(true, gives[0]), (false, gives[1])], wire);
    }
}

#[test]
fn an_operator_without_a_rule_is_named_with_its_loop() {
    use tract_onnx::tract_core::ops::nn::clamped_swiglu::ClampedSwiGlu;
    let inputs = [(&[3, 2][..], sequence(0, 1)), (&[1, 2], InputMapping::State)];
    let wire = |body: &mut TypedModel, inputs: &[OutletId]| -> TractResult<Vec<OutletId>> {
        let gate = ClampedSwiGlu { alpha: 1.0, limit: 1.0 };
        let gated = body.wire_node("gate", gate, &[inputs[1], inputs[1]])?[0];
        let next = body.wire_node("next", add(), &[gated, inputs[0]])?[0];
        Ok(vec![next])
    };
    let mut model = looped(f32::datum_type(), &inputs, &[(true, Give::Last)], wire).unwrap();
    let (x, y) = (model.inputs[0], model.outputs[0]);
    let missing = unsupported(&model, y, x, &StraightThrough::default()).unwrap();
    assert_eq!(missing, [("loop/gate".to_owned(), "ClampedSwiGlu".to_owned())]);
    let error =
        format!("{:?}", backward(&mut model, y, y, x, &StraightThrough::default()).unwrap_err());
    assert!(error.contains("no gradient rule for ClampedSwiGlu (`gate`)"), "{error}");
}
