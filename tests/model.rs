//! Loading and running models.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::fixture::{self, Fixture};
use common::values;
use ironbound::tract_onnx::pb::tensor_proto::DataType;
use ironbound::{
    Aim, Classifier, Error, LossGradient, LossKind, Model, ModelOptions, Preprocessing,
};

const WEIGHTS: [f32; 6] = [0.5, -1.0, 2.0, 0.25, -0.75, 1.5];

fn load(fixture: Fixture) -> Result<Model, Error> {
    load_with(fixture, &ModelOptions::default())
}

fn load_with(fixture: Fixture, options: &ModelOptions) -> Result<Model, Error> {
    Model::from_bytes_with(&fixture.bytes(), "fixture", options)
}

fn logits(model: &Model, inputs: &[f32]) -> Vec<f32> {
    let mut logits = vec![];
    Classifier::logits(model, inputs.into(), &mut logits).unwrap();
    logits
}

#[track_caller]
fn refused(result: Result<Model, Error>, words: &[&str]) {
    let error = result.expect_err("must be refused");
    let text = error.one_line();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

#[test]
fn linear_model_computes_its_matrix() {
    let model = load(Fixture::linear("N", &WEIGHTS, "Identity")).unwrap();
    assert_eq!(logits(&model, &[1.0, 2.0, 3.0]), [2.25, 4.0]);
    assert_eq!((model.features(), model.classes()), (3, 2));
    assert_eq!(model.info().sha256.len(), 64);
}

#[test]
fn files_that_are_no_models_are_refused_by_name() {
    let missing = Model::load("no/such/model.onnx").expect_err("missing");
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
    let bytes = Fixture::linear("N", &WEIGHTS, "Identity").bytes();
    for (bytes, name) in [
        (&b"not a model, just text\n"[..], "text.onnx"),
        (&bytes[..bytes.len() / 2], "truncated.onnx"),
        (&[][..], "empty.onnx"),
        (&[0xff; 64][..], "binary.onnx"),
    ] {
        let error = Model::from_bytes(bytes, name).expect_err(name);
        assert!(error.is_model(), "{error}");
        assert!(error.to_string().starts_with(name), "{error}");
        assert!(!error.one_line().contains('\n'), "{}", error.one_line());
    }
}

#[test]
fn truncation_at_any_byte_never_panics() {
    let bytes = Fixture::linear("N", &WEIGHTS, "Softmax").bytes();
    for len in 0..bytes.len() {
        if let Err(error) = Model::from_bytes(&bytes[..len], "cut") {
            assert!(error.is_model(), "{len}: {error}");
        }
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let bytes = Fixture::linear("N", &WEIGHTS, "Softmax").bytes();
    for index in 0..bytes.len() {
        for flip in [0x01, 0x08, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[index] ^= flip;
            if let Ok(model) = Model::from_bytes(&damaged, "damaged") {
                let inputs = values(model.features().min(1 << 16));
                let _ = Classifier::logits(&model, inputs[..].into(), &mut vec![]);
            }
        }
    }
}

#[test]
fn outputs_that_no_node_computes_are_refused() {
    let fixture = Fixture::default().input("x", &["N", "3"]).node("Relu", &["x"], "y", &[]);
    refused(load(fixture.clone().output("z", &["N", "3"])), &["fixture", "`z`"]);
    let fixture = fixture.node("Add", &["y", "gone"], "z", &[]).output("z", &["N", "3"]);
    refused(load(fixture), &["`gone`"]);
}

#[test]
fn unknown_tensors_are_refused_with_the_choices() {
    let fixture = || Fixture::linear("N", &WEIGHTS, "Softmax");
    let input = ModelOptions { input: Some("image".into()), ..ModelOptions::default() };
    refused(load_with(fixture(), &input), &["no input named `image`", "`x`"]);
    let output = ModelOptions { output: Some("scores".into()), ..ModelOptions::default() };
    refused(load_with(fixture(), &output), &["no output named `scores`", "`y`"]);
}

#[test]
fn an_inner_tensor_can_be_the_output() {
    let options = ModelOptions { output: Some("z".into()), ..ModelOptions::default() };
    let model = load_with(Fixture::linear("N", &WEIGHTS, "Relu"), &options).unwrap();
    assert_eq!(logits(&model, &[1.0, 0.0, 0.0]), [0.5, -1.0]);
}

#[test]
fn final_activations_are_bypassed_and_said() {
    for tail in ["Softmax", "LogSoftmax", "Sigmoid"] {
        let model = load(Fixture::linear("N", &WEIGHTS, tail)).unwrap();
        assert_eq!(logits(&model, &[1.0, 2.0, 3.0]), [2.25, 4.0], "{tail}");
        let note = &model.notes()[0];
        assert_eq!(note.code, "logits-before-activation");
        assert!(note.message.contains("y_node"), "{note}");
    }
    assert!(load(Fixture::linear("N", &WEIGHTS, "Identity")).unwrap().notes().is_empty());
}

#[test]
fn an_activation_behind_reshapes_is_bypassed() {
    let fixture = Fixture::default()
        .input("x", &["N", "3"])
        .floats("w", &[3, 2], &WEIGHTS)
        .ints("shape", &[-1, 2, 1, 1])
        .node("MatMul", &["x", "w"], "z", &[])
        .node("Reshape", &["z", "shape"], "r", &[])
        .node("Softmax", &["r"], "y", &[fixture::int("axis", 1)])
        .output("y", &["N", "2", "1", "1"]);
    assert_eq!(logits(&load(fixture).unwrap(), &[1.0, 2.0, 3.0]), [2.25, 4.0]);
}

#[test]
fn a_softmax_over_a_part_of_the_scores_stays() {
    let fixture = Fixture::default()
        .input("x", &["N", "6"])
        .ints("groups", &[-1, 2, 3])
        .ints("flat", &[-1, 6])
        .node("Reshape", &["x", "groups"], "g", &[])
        .node("Softmax", &["g"], "p", &[fixture::int("axis", -1)])
        .node("Reshape", &["p", "flat"], "y", &[])
        .output("y", &["N", "6"]);
    let model = load(fixture).unwrap();
    assert!(model.notes().is_empty());
    let found = logits(&model, &[1.0, 1.0, 1.0, 0.0, 0.0, 5.0]);
    approx::assert_relative_eq!(found[..3].iter().sum::<f32>(), 1.0, max_relative = 1e-5);
    approx::assert_relative_eq!(found[3..].iter().sum::<f32>(), 1.0, max_relative = 1e-5);
}

#[test]
fn one_score_becomes_two_classes() {
    for (tail, z) in [("Sigmoid", 3.5), ("Identity", 3.5)] {
        let fixture = Fixture::default()
            .input("x", &["N", "3"])
            .floats("w", &[3, 1], &[1.0, 2.0, -0.5])
            .node("MatMul", &["x", "w"], "z", &[])
            .node(tail, &["z"], "y", &[])
            .output("y", &["N", "1"]);
        let model = load(fixture).unwrap();
        assert_eq!(model.classes(), 2);
        assert_eq!(logits(&model, &[1.0, 2.0, 3.0]), [0.0, z], "{tail}");
        assert_eq!(model.notes().last().unwrap().code, "binary");
    }
}

#[test]
fn outputs_without_one_score_per_class_are_refused() {
    let fixture = Fixture::default()
        .input("x", &["N", "3", "4"])
        .node("Relu", &["x"], "y", &[])
        .output("y", &["N", "3", "4"]);
    refused(load(fixture), &["output `y`", "[1, 3, 4]"]);
}

#[test]
fn remainders_that_tract_swaps_are_refused_by_name() {
    let remainder = |inputs: &[&str]| {
        Fixture::default()
            .input("x", &["1", "3"])
            .floats("w", &[3, 3], &values(9))
            .floats("one", &[1, 1], &[0.7])
            .node("MatMul", &["x", "w"], "z", &[])
            .node("Mod", inputs, "y", &[fixture::int("fmod", 1)])
            .output("y", &["1", "3"])
    };
    refused(load(remainder(&["one", "z"])), &["`y_node`", "Mod", "swaps"]);
    let model = load(remainder(&["z", "one"])).unwrap();
    let z = logits(&load(remainder(&["z", "one"]).output("z", &["1", "3"])).unwrap(), &[1.0; 3]);
    assert!(z.iter().all(|z| (0.0..0.7).contains(z)), "{z:?}");
    assert_eq!(logits(&model, &[1.0; 3]), z);
}

#[test]
fn constant_branches_that_tract_takes_for_the_result_are_refused_by_name() {
    let branch = |name: &str, constant: bool| {
        let fixture = Fixture::default().output("chosen", &["1", "3"]);
        if constant {
            let of_ones = fixture.floats("ones", &[1, 3], &[1.0; 3]);
            fixture::graph(name, of_ones.node("Identity", &["ones"], "chosen", &[]))
        } else {
            fixture::graph(name, fixture.node("Tanh", &["x"], "chosen", &[]))
        }
    };
    let choice = |condition: &str, constant: bool| {
        Fixture::default()
            .input("x", &["1", "3"])
            .floats("zero", &[1], &[0.0])
            .ints("axis", &[0, 1])
            .node("ReduceSum", &["x", "axis"], "sum", &[fixture::int("keepdims", 0)])
            .node("Greater", &["sum", "zero"], "positive", &[])
            .node("Greater", &["zero", "zero"], "never", &[])
            .node(
                "If",
                &[condition],
                "choice",
                &[branch("then_branch", constant), branch("else_branch", !constant)],
            )
            .node("Mul", &["choice", "x"], "y", &[])
            .output("y", &["1", "3"])
    };
    refused(load(choice("positive", true)), &["If", "then_branch"]);
    let squashed: Vec<f32> = [1.0_f32, -2.0, 0.5].iter().map(|x| x * x.tanh()).collect();
    let x = [1.0, -2.0, 0.5];
    let found = logits(&load(choice("never", true)).unwrap(), &x);
    assert!(found.iter().zip(&squashed).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    let model = load(choice("positive", false)).unwrap();
    assert_eq!(logits(&model, &x), x);
    let found = logits(&model, &[2.0, -0.5, 0.5]);
    assert!((found[0] - 2.0 * 2.0_f32.tanh()).abs() < 1e-6, "{found:?}");
}

#[test]
fn preprocessing_stands_in_front_of_the_graph() {
    let fixture = || {
        Fixture::default()
            .input("x", &["N", "3", "1", "2"])
            .ints("shape", &[-1, 6])
            .node("Reshape", &["x", "shape"], "y", &[])
            .output("y", &["N", "6"])
    };
    let preprocessing = Preprocessing {
        scale: 2.0,
        mean: vec![0.5, 0.25, 0.125],
        std: vec![0.5, 2.0, 4.0],
        reverse_channels: true,
        channel_axis: None,
    };
    let options = ModelOptions { preprocessing, ..ModelOptions::default() };
    let model = load_with(fixture(), &options).unwrap();
    let found = logits(&model, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(found, [19.0, 23.0, 2.875, 3.875, 0.46875, 0.96875]);
}

#[test]
fn preprocessing_that_does_not_fit_is_refused_by_field() {
    let fixture = || {
        Fixture::default()
            .input("x", &["N", "3", "1", "3"])
            .ints("shape", &[-1, 9])
            .node("Reshape", &["x", "shape"], "y", &[])
            .output("y", &["N", "9"])
    };
    let options = |preprocessing| ModelOptions { preprocessing, ..ModelOptions::default() };
    let three = vec![0.1, 0.2, 0.3];
    let cases = [
        (Preprocessing { mean: three.clone(), ..Preprocessing::default() }, "channel_axis"),
        (Preprocessing { mean: vec![0.1; 2], ..Preprocessing::default() }, "channel_axis"),
        (Preprocessing { mean: three, std: vec![1.0; 2], ..Preprocessing::default() }, "std"),
        (Preprocessing { std: vec![0.0], ..Preprocessing::default() }, "std"),
        (Preprocessing { scale: f32::NAN, ..Preprocessing::default() }, "scale"),
    ];
    for (preprocessing, field) in cases {
        refused(load_with(fixture(), &options(preprocessing)), &[&format!("`{field}`")]);
    }
    let mean = vec![0.1, 0.2, 0.3];
    let named = Preprocessing { mean, channel_axis: Some(2), ..Preprocessing::default() };
    load_with(fixture(), &options(named)).unwrap();
}

#[test]
fn open_sizes_need_a_shape() {
    let fixture = || {
        Fixture::default()
            .input("x", &["N", "H"])
            .node("Relu", &["x"], "y", &[])
            .output("y", &["N", "H"])
    };
    refused(load(fixture()), &["`input_shape` is not given", "[?]", "`x`"]);
    let given = |shape: &[usize]| ModelOptions {
        input_shape: Some(shape.into()),
        ..ModelOptions::default()
    };
    assert_eq!(load_with(fixture(), &given(&[4])).unwrap().features(), 4);
    refused(load_with(fixture(), &given(&[4, 4])), &["[4, 4]"]);
}

#[test]
fn inputs_that_cannot_be_attacked_are_refused() {
    let ints = Fixture::default()
        .typed_input("tokens", &["N", "3"], DataType::Int64)
        .node("Identity", &["tokens"], "y", &[])
        .output("y", &["N", "3"]);
    refused(load(ints), &["`tokens`", "floating-point"]);
    let constant = Fixture::default()
        .input("x", &["N", "3"])
        .floats("c", &[1, 3], &[1.0; 3])
        .node("Relu", &["c"], "y", &[])
        .output("y", &["1", "3"]);
    refused(load(constant), &["`y` does not depend on input `x`"]);
}

#[test]
fn any_batch_gives_the_same_bits() {
    let model = load(Fixture::linear("1", &WEIGHTS, "Softmax")).unwrap();
    let inputs = values(3 * 53);
    let aims: Vec<Aim> = (0..53).map(|i| Aim::untargeted(i % 2)).collect();
    let run = |size: usize| {
        let mut all = LossGradient::default();
        for (inputs, aims) in inputs.chunks(3 * size).zip(aims.chunks(size)) {
            let mut out = LossGradient::default();
            let loss = LossKind::CrossEntropy.loss();
            Classifier::loss_and_gradient(&model, inputs.into(), aims, &loss, &mut out).unwrap();
            assert_eq!(out.logits.len(), aims.len() * 2);
            all.logits.extend(out.logits);
            all.loss.extend(out.loss);
            all.gradient.extend(out.gradient);
        }
        all
    };
    let whole = run(53);
    assert_eq!(model.one_by_one(), None);
    for size in [1, 2, 7, 16, 17] {
        assert_eq!(run(size), whole, "batches of {size}");
    }
}

/// The declared batch is 1; a larger one is accepted and mixes the samples.
#[test]
fn a_batch_that_computes_nonsense_is_found_out() {
    let fixture = Fixture::default()
        .input("x", &["1", "3"])
        .floats("w", &[3, 2], &WEIGHTS)
        .ints("axes", &[0])
        .node("MatMul", &["x", "w"], "z", &[])
        .node("ReduceSum", &["z", "axes"], "s", &[fixture::int("keepdims", 1)])
        .node("Add", &["s", "z"], "y", &[])
        .output("y", &["1", "2"]);
    let model = load(fixture).unwrap();
    // Also where the first samples say nothing.
    logits(&model, &[0.0; 6]);
    let inputs = values(3 * 20);
    let together = logits(&model, &inputs);
    assert!(model.one_by_one().is_some_and(|reason| reason.contains("in a batch of")));
    assert!(model.notes().iter().any(|note| note.code == "one-by-one"));
    let alone: Vec<f32> = inputs.chunks(3).flat_map(|input| logits(&model, input)).collect();
    assert_eq!(together, alone);
    let expected = 2.0 * (inputs[0] * 0.5 + inputs[1] * 2.0 - inputs[2] * 0.75);
    approx::assert_relative_eq!(alone[0], expected, max_relative = 1e-6);
}

#[test]
fn a_graph_without_another_batch_runs_one_by_one() {
    let fixture = Fixture::default()
        .input("x", &["1", "3"])
        .floats("w", &[3, 2], &WEIGHTS)
        .ints("shape", &[1, 3])
        .node("Reshape", &["x", "shape"], "r", &[])
        .node("MatMul", &["r", "w"], "y", &[])
        .output("y", &["1", "2"]);
    let model = load(fixture).unwrap();
    let found = logits(&model, &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    assert_eq!(found, [2.25, 4.0, 2.25, 4.0]);
    assert!(model.one_by_one().is_some_and(|reason| reason.contains("takes no batch")));
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let model = load(Fixture::linear("N", &WEIGHTS, "Identity")).unwrap();
    let mut out = LossGradient::default();
    let mut run = |inputs: &[f32], aims: &[Aim]| {
        let loss = LossKind::Margin.loss();
        Classifier::loss_and_gradient(&model, inputs.into(), aims, &loss, &mut out)
    };
    assert!(run(&[1.0; 4], &[Aim::untargeted(0)]).is_err());
    assert!(run(&[1.0; 3], &[]).is_err());
    assert!(run(&[1.0; 3], &[Aim::untargeted(2)]).is_err());
    assert!(run(&[1.0; 3], &[Aim::targeted(0, 5)]).is_err());
    assert!(run(&[], &[]).is_ok());
}
