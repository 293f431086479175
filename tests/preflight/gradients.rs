//! Gradients that vanish, and where.

use ironbound::{Aim, GradientEnd, LossKind, Model, NodeRef, Severity};

use crate::common::fixture::{self, Fixture};
use crate::common::values;
use crate::toy::Toy;
use crate::{dataset, expect, expect_none, findings, generic};

/// `x W + b`, an activation on one of two ways, then a linear layer.
fn network(op: &str, bias: f32, scale: f32) -> Model {
    let weights: Vec<f32> = (0..12).map(|i| (1.7 * i as f32 + 0.3).sin()).collect();
    let out: Vec<f32> = values(8).iter().map(|v| scale * (v - 0.5)).collect();
    let fixture = Fixture::default()
        .input("x", &["N", "3"])
        .floats("w", &[3, 4], &weights)
        .floats("b", &[4], &[bias; 4])
        .floats("v", &[4, 2], &out)
        .node("MatMul", &["x", "w"], "m", &[])
        .node("Add", &["m", "b"], "a", &[])
        .node(op, &["a"], "h", &[])
        .node("MatMul", &["h", "v"], "y", &[])
        .output("y", &["N", "2"]);
    Model::from_bytes(&fixture.bytes(), "fixture").unwrap()
}

#[test]
fn rounding_cuts_every_way_and_is_named() {
    let data = generic(&[3], 20, 2);
    for op in ["Sign", "Floor", "Round"] {
        let found = findings(&network(op, 0.1, 1.0), &data);
        let finding = expect(&found, "dead-gradient", Severity::Error, "20 of 20 samples");
        assert_eq!(finding.nodes, ["h_node"], "{op}: {finding}");
    }
    for op in ["Relu", "Tanh"] {
        expect_none(&findings(&network(op, 0.1, 1.0), &data), "dead-gradient");
    }
}

#[test]
fn nodes_without_a_rule_are_named() {
    // A dropout that is told only as it runs whether to drop: for these samples, not.
    let dropout = Fixture::default()
        .input("x", &["N", "3"])
        .floats("w", &[3, 2], &values(6))
        .floats("ratio", &[], &[0.5])
        .floats("high", &[], &[100.0])
        .node("ReduceMax", &["x"], "top", &[fixture::int("keepdims", 0)])
        .node("Greater", &["top", "high"], "training", &[])
        .node("Dropout", &["x", "ratio", "training"], "h", &[])
        .node("MatMul", &["h", "w"], "y", &[])
        .output("y", &["N", "2"]);
    let dropout = Model::from_bytes(&dropout.bytes(), "fixture").unwrap();
    let found = findings(&dropout, &generic(&[3], 20, 2));
    let finding = expect(&found, "not-differentiable", Severity::Error, "no rule for Dropout");
    assert_eq!(finding.nodes, ["h_node"], "{finding}");
    let found = findings(&network("Tanh", 0.1, 1.0), &generic(&[3], 20, 2));
    expect_none(&found, "not-differentiable");
}

#[test]
fn a_gradient_dies_on_some_samples_where_every_unit_is_off() {
    let model = network("Relu", -3.0, 1.0);
    // Far out, some units fire.
    let mut inputs = values(3 * 20);
    inputs[..30].iter_mut().for_each(|x| *x *= 50.0);
    let data = dataset(&[3], &inputs, &[0, 1].repeat(10));
    let finding = findings(&model, &data);
    let finding = expect(&finding, "dead-gradient", Severity::Warning, "10 of 20 samples (10, 11");
    assert_eq!(finding.nodes, ["h_node"]);

    let aims = [Aim::untargeted(0); 2];
    let loss = LossKind::CrossEntropy.loss();
    let both = [&inputs[..3], &inputs[57..]].concat();
    let ends = model.inspector().gradient_ends(both[..].into(), &aims, &loss).unwrap();
    let node = NodeRef { node: "h_node".into(), op: "Max".into() };
    assert_eq!(ends, [GradientEnd::Arrives, GradientEnd::At(vec![node])]);
    assert!(model.inspector().gradient_ends(both[..].into(), &aims[..1], &loss).is_err());
}

#[test]
fn a_sure_model_has_no_gradient_from_the_loss_on() {
    let found = findings(&network("Relu", 1.0, 1e6), &generic(&[3], 20, 1));
    let finding = expect(&found, "dead-gradient", Severity::Error, "that of the margin is not");
    assert!(finding.nodes.is_empty() && finding.remedy.contains("margin"), "{finding}");
}

#[test]
fn gradients_of_ones_own_classifier_are_looked_at_too() {
    let toy = || Toy::new(&[3], 2, |x| x.chunks(3).flat_map(|x| [x[0], x[1]]).collect());
    let data = generic(&[3], 20, 2);
    let found = findings(&toy().with_gradient(|_| 0.0), &data);
    expect(&found, "dead-gradient", Severity::Error, "20 of 20");
    let found = findings(&toy().with_gradient(|_| f32::NAN), &data);
    expect(&found, "non-finite-gradient", Severity::Error, "20 of 20");
    let found = findings(&toy(), &data);
    expect_none(&found, "dead-gradient");
    expect_none(&found, "non-finite-gradient");
}
