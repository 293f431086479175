//! What a graph shows: random nodes, probabilities, batches, units that do nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use ironbound::tract_onnx::pb::AttributeProto;
use ironbound::{Batching, GradientStatus, Model, ModelOptions, Preflight, Severity, UnitKind};

use crate::common::fixture::{Fixture, float, int, ints};
use crate::common::values;
use crate::toy::Toy;
use crate::{expect, expect_none, find, findings, generic};

const WEIGHTS: [f32; 6] = [0.5, -1.0, 2.0, 0.25, -0.75, 1.5];

fn load(fixture: Fixture) -> Model {
    Model::from_bytes(&fixture.bytes(), "fixture").unwrap()
}

/// A model whose plans take one sample, as those with convolutions do.
fn load_singly(fixture: Fixture) -> Model {
    let options = ModelOptions { plan_batch: Some(1), ..ModelOptions::default() };
    Model::from_bytes_with(&fixture.bytes(), "fixture", &options).unwrap()
}

fn linear() -> Fixture {
    Fixture::default().input("x", &["N", "3"]).floats("w", &[3, 2], &WEIGHTS).node(
        "MatMul",
        &["x", "w"],
        "z",
        &[],
    )
}

/// z, then `op` with more inputs, then y.
fn behind_linear(op: &str, more: &[&str], attributes: &[AttributeProto]) -> Fixture {
    let inputs: Vec<&str> = std::iter::once("z").chain(more.iter().copied()).collect();
    linear().node(op, &inputs, "y", attributes).output("y", &["N", "2"])
}

#[test]
fn random_nodes_are_named_where_they_matter() {
    let noisy = |output: &str| {
        linear()
            .node("RandomNormal", &[], "noise", &[ints("shape", &[1, 2]), float("scale", 0.5)])
            .node("Add", &["z", "noise"], "y", &[])
            .output(output, &["N", "2"])
    };
    let found = findings(&load(noisy("y")), &generic(&[3], 20, 2));
    assert_eq!(
        expect(&found, "random-operators", Severity::Warning, "random").nodes,
        ["noise_node"]
    );
    assert_eq!(
        expect(&found, "nondeterministic", Severity::Error, "sample 0").nodes,
        ["noise_node"]
    );
    // The output asked for does not depend on it.
    let found = findings(&load(noisy("z")), &generic(&[3], 20, 2));
    expect_none(&found, "random-operators");
    expect_none(&found, "nondeterministic");
}

#[test]
fn outputs_that_change_from_run_to_run_are_found_without_a_graph() {
    let calls = AtomicUsize::new(0);
    let moody = Toy::new(&[3], 2, move |x| {
        let call = calls.fetch_add(1, Ordering::Relaxed) as f32;
        x.chunks(3).flat_map(|x| [x[0], x[1] + 1e-6 * call]).collect()
    });
    let found = findings(&moody, &generic(&[3], 20, 2));
    assert!(
        expect(&found, "nondeterministic", Severity::Error, "from run to run").nodes.is_empty()
    );
    let steady = Toy::new(&[3], 2, |x| x.chunks(3).flat_map(|x| [x[0], x[1]]).collect());
    expect_none(&findings(&steady, &generic(&[3], 20, 2)), "nondeterministic");
}

#[test]
fn dropout_in_training_mode_is_an_error() {
    let dropout = |ratio: f32, training: bool| {
        let fixture = behind_linear("Dropout", &["ratio", "training"], &[]);
        load(fixture.floats("ratio", &[], &[ratio]).flag("training", training))
    };
    let data = generic(&[3], 20, 2);
    let found = findings(&dropout(0.5, true), &data);
    assert_eq!(expect(&found, "dropout-training", Severity::Error, "training").nodes, ["y_node"]);
    expect(&found, "check-failed", Severity::Error, "Dropout");
    for (ratio, training) in [(0.5, false), (0.0, true)] {
        let found = findings(&dropout(ratio, training), &data);
        expect_none(&found, "dropout-training");
        expect_none(&found, "check-failed");
    }
    expect_none(&findings(&load(behind_linear("Dropout", &[], &[])), &data), "dropout-training");
}

#[test]
fn probabilities_are_found_by_the_tail_or_by_their_values() {
    let data = generic(&[3], 20, 2);
    let found = findings(&load(behind_linear("Softmax", &[], &[])), &data);
    expect(&found, "logits-before-activation", Severity::Info, "softmax");
    expect_none(&found, "probabilities");
    let shares = |x: &[f32], sum: f32| -> Vec<f32> {
        x.chunks(3).flat_map(|x| [sum * x[0], sum * (1.0 - x[0])]).collect()
    };
    let found = findings(&Toy::new(&[3], 2, move |x| shares(x, 1.0)), &data);
    expect(&found, "probabilities", Severity::Warning, "sum to 1");
    expect_none(&findings(&Toy::new(&[3], 2, move |x| shares(x, 1.01)), &data), "probabilities");
}

#[test]
fn a_batch_axis_that_cannot_change_is_said() {
    let fixed = |size: &str, rows: i64| {
        Fixture::default()
            .input("x", &[size, "3"])
            .floats("w", &[3, 2], &WEIGHTS)
            .ints("shape", &[rows, 3])
            .node("Reshape", &["x", "shape"], "r", &[])
            .node("MatMul", &["r", "w"], "y", &[])
            .output("y", &[size, "2"])
    };
    let data = generic(&[3], 20, 2);
    let found = findings(&load_singly(fixed("1", 1)), &data);
    expect(&found, "fixed-batch", Severity::Info, "takes no batch of 3");
    // The note of a model that has tried to run batches says it already.
    let found = findings(&load(fixed("1", 1)), &data);
    expect(&found, "one-by-one", Severity::Info, "takes no batch of 16");
    expect_none(&found, "fixed-batch");
    let free = load_singly(fixed("N", -1));
    let found = findings(&free, &data);
    expect_none(&found, "fixed-batch");
    expect_none(&found, "one-by-one");
    assert_eq!(free.inspector().batching(values(6)[..].into(), 3).unwrap(), Batching::Independent);
    assert!(free.inspector().batching([][..].into(), 3).is_err());
}

#[test]
fn samples_that_depend_on_their_neighbours_are_found() {
    let mixing = linear()
        .ints("axes", &[0])
        .node("ReduceSum", &["z", "axes"], "s", &[int("keepdims", 1)])
        .node("Add", &["s", "z"], "y", &[])
        .output("y", &["N", "2"]);
    let data = generic(&[3], 20, 2);
    for model in [load_singly(mixing.clone()), load(mixing)] {
        let found = findings(&model, &data);
        expect(&found, "batch-dependent", Severity::Warning, "in a batch of 3");
    }
    let mixing = Toy::new(&[3], 2, |x| x.chunks(3).flat_map(|y| [x[0] + y[0], y[1]]).collect());
    expect(&findings(&mixing, &data), "batch-dependent", Severity::Warning, "in a batch of 3");
    expect_none(
        &findings(&load_singly(behind_linear("Identity", &[], &[])), &data),
        "batch-dependent",
    );
}

/// `x W s + b`, the activation, and its outputs as logits.
fn units(op: &str, scale: f32, bias: f32) -> Model {
    let weights: Vec<f32> = (0..60).map(|i| scale * (1.7 * i as f32 + 0.3).sin()).collect();
    load(
        Fixture::default()
            .input("x", &["N", "3"])
            .floats("w", &[3, 20], &weights)
            .floats("b", &[20], &[bias; 20])
            .floats("v", &[20, 2], &values(40))
            .node("MatMul", &["x", "w"], "m", &[])
            .node("Add", &["m", "b"], "a", &[])
            .node(op, &["a"], "h", &[])
            .node("MatMul", &["h", "v"], "y", &[])
            .output("y", &["N", "2"]),
    )
}

#[test]
fn saturated_and_dead_units_are_counted_by_layer() {
    let data = generic(&[3], 40, 2);
    for op in ["Sigmoid", "Tanh"] {
        let found = findings(&units(op, 1e4, 0.0), &data);
        let finding =
            expect(&found, "saturated-units", Severity::Warning, "100.0 % of the 20 units");
        assert_eq!(finding.nodes, ["h_node"]);
        expect_none(&findings(&units(op, 1.0, 0.0), &data), "saturated-units");
    }
    let found = findings(&units("Relu", 1.0, -10.0), &data);
    expect(&found, "dead-units", Severity::Warning, "100.0 % of the 20 units");
    expect_none(&findings(&units("Relu", 1.0, 0.0), &data), "dead-units");
    // A few samples say nothing of a rectifier.
    let few = Preflight::new(&units("Relu", 1.0, -10.0), &data).samples(8).run().unwrap();
    expect_none(&few, "dead-units");
}

#[test]
fn activity_is_that_of_the_closed_form() {
    let model = units("Relu", 1.0, -0.5);
    let inputs = values(3 * 10);
    let activity = model.inspector().activity(inputs[..].into()).unwrap();
    let weight = |i: usize, unit: usize| (1.7 * (20 * i + unit) as f32 + 0.3).sin();
    let fires =
        |x: &[f32], unit: usize| (0..3).map(|i| x[i] * weight(i, unit)).sum::<f32>() - 0.5 > 0.0;
    let dead = (0..20).filter(|unit| inputs.chunks(3).all(|x| !fires(x, *unit))).count();
    assert!(dead > 0 && dead < 20);
    let [layer] = &activity.units[..] else { panic!("{activity:?}") };
    assert_eq!((layer.kind, layer.units, &layer.node.node[..]), (UnitKind::Relu, 20, "h_node"));
    approx::assert_abs_diff_eq!(layer.idle, dead as f64 / 20.0, epsilon = 1e-12);
    let entry = activity.entry.unwrap();
    let mean = inputs.iter().map(|x| f64::from(*x)).sum::<f64>() / 30.0;
    let variance = inputs.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / 30.0;
    approx::assert_abs_diff_eq!(entry.mean, mean, epsilon = 1e-9);
    approx::assert_abs_diff_eq!(entry.std, variance.sqrt(), epsilon = 1e-9);
    assert_eq!((entry.min, entry.max), ends(&inputs));
}

fn ends(values: &[f32]) -> (f64, f64) {
    let sorted =
        |pick: fn(f32, f32) -> f32| f64::from(values.iter().copied().reduce(pick).unwrap());
    (sorted(f32::min), sorted(f32::max))
}

#[test]
fn non_finite_logits_name_their_samples() {
    let mut inputs = common_inputs();
    let model = load(behind_linear("Log", &[], &[]));
    let data = crate::dataset(&[3], &inputs, &[0; 20]);
    expect_none(&findings(&model, &data), "non-finite");
    inputs[3 * 7] = -9.0;
    let found = findings(&model, &crate::dataset(&[3], &inputs, &[0; 20]));
    expect(&found, "non-finite", Severity::Error, "on 1 of 20 samples: 7");
}

/// Samples whose linear scores are positive.
fn common_inputs() -> Vec<f32> {
    (0..20).flat_map(|i| [0.1 + 0.01 * i as f32, 0.5, 0.4]).collect()
}

#[test]
fn the_operators_of_a_graph_are_counted() {
    let model = units("Relu", 1.0, 0.0);
    let ops = model.operators().unwrap();
    let count = |op: &str| ops.iter().find(|row| row.op == op).map(|row| (row.count, row.status));
    assert_eq!(count("EinSum"), Some((2, GradientStatus::Exact)), "{ops:?}");
    assert_eq!(count("Max"), Some((1, GradientStatus::Exact)), "{ops:?}");
    assert!(ops.is_sorted_by(|a, b| a.op < b.op) && model.unsupported().unwrap().is_empty());
    let model = load(behind_linear("Sign", &[], &[]));
    let ops = model.operators().unwrap();
    let sign = ops.iter().find(|row| row.op == "Sign");
    assert_eq!(sign.map(|row| row.status), Some(GradientStatus::Zero), "{ops:?}");
}

#[test]
fn the_attacked_tensor_is_named_as_in_the_file() {
    let tensor = |fixture: Fixture, output: Option<&str>| {
        let options = ModelOptions { output: output.map(Into::into), ..ModelOptions::default() };
        Model::from_bytes_with(&fixture.bytes(), "fixture", &options)
            .unwrap()
            .logits_tensor()
            .unwrap()
    };
    let (name, reason) = tensor(behind_linear("Softmax", &[], &[]), None);
    assert_eq!(name, "z");
    assert!(reason.contains("`y_node`") && reason.contains("the only output, `y`"), "{reason}");
    let (name, reason) = tensor(behind_linear("Relu", &[], &[]), Some("z"));
    assert_eq!((&name[..], &reason[..]), ("z", "the tensor asked for of the graph"));
    assert_eq!(tensor(behind_linear("Relu", &[], &[]), None).0, "y");
    let (name, reason) = tensor(behind_linear("ArgMax", &[], &[int("axis", 1)]), None);
    assert_eq!(name, "z");
    assert!(reason.contains("`y`, is read out of it by ArgMax (`y_node`)"), "{reason}");
    let model = load(behind_linear("Relu", &[], &[]));
    let shapes: Vec<_> =
        model.interface().inputs.iter().map(|input| (&input.name[..], &input.shape[..])).collect();
    assert_eq!(shapes, [("x", &["N".to_owned(), "3".to_owned()][..])]);
    assert!(find(&findings(&model, &generic(&[3], 4, 2)), "check-failed").is_none());
}
