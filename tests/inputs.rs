//! Models that take more than one float tensor, or give more than scores.

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::example;
use common::fixture::{Fixture, int, ints};
use ironbound::attack::AttackSpec;
use ironbound::tract_onnx::pb::tensor_proto::DataType;
use ironbound::{
    Aim, Batch, Bounds, Classifier, Dataset, Error, Evaluation, LossGradient, LossKind, Model,
    ModelOptions, Norm, NpzArray, NpzValues, Report, Threat, write_npz,
};
use ndarray::{Array2, arr1, arr2};

const WEIGHTS: [f32; 6] = [0.5, -1.0, 2.0, 0.25, -0.75, 1.5];

fn load(fixture: Fixture, options: &ModelOptions) -> Result<Model, Error> {
    Model::from_bytes_with(&fixture.bytes(), "fixture", options)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, words: &[&str]) {
    let text = result.expect_err("must be refused").one_line();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

fn note<'a>(model: &'a Model, code: &str) -> &'a str {
    let found = model.info().notes.iter().find(|note| note.code == code);
    &found.unwrap_or_else(|| panic!("no {code} among {:?}", model.info().notes)).message
}

/// y = (x * mask) W + shift.
fn masked(batch: &str, shift: &[&str]) -> Fixture {
    Fixture::default()
        .input("x", &[batch, "3"])
        .typed_input("mask", &[batch, "3"], DataType::Int64)
        .input("shift", shift)
        .floats("w", &[3, 2], &WEIGHTS)
        .node("Cast", &["mask"], "float_mask", &[int("to", DataType::Float as i64)])
        .node("Mul", &["x", "float_mask"], "m", &[])
        .node("MatMul", &["m", "w"], "z", &[])
        .node("Add", &["z", "shift"], "y", &[])
        .output("y", &[batch, "2"])
}

fn constants(entries: &[(&str, &[f64])]) -> ModelOptions {
    let constants: BTreeMap<String, Vec<f64>> =
        entries.iter().map(|(name, values)| ((*name).into(), values.to_vec())).collect();
    ModelOptions { constants, ..ModelOptions::default() }
}

fn expected(x: &[f32], mask: &[f64], shift: f32) -> [f32; 2] {
    let sum = |class: usize| -> f32 {
        (0..3).map(|i| x[i] * mask[i] as f32 * WEIGHTS[2 * i + class]).sum()
    };
    [sum(0) + shift, sum(1) + shift]
}

#[test]
fn further_inputs_are_taken_sample_by_sample() {
    let model = load(masked("N", &[]), &constants(&[("shift", &[0.5])])).unwrap();
    assert_eq!(model.further_inputs(), ["mask"]);
    assert!(note(&model, "further-input").contains("`mask`"));
    let x = Array2::from_shape_fn((20, 3), |(i, j)| 0.1 * i as f32 - 0.3 * j as f32);
    let mask = Array2::from_shape_fn((20, 3), |(i, j)| ((i + j) % 3 != 0) as u8 as f64);
    let data = Dataset::from_arrays(x.view(), &[0; 20]).unwrap();
    let data = data.with_array("mask", mask.view()).unwrap();
    // A subset keeps its samples' indices, by which the masks are found.
    let part = data.subset(2, None).unwrap();
    let bound = model.bind(&part.given()).unwrap().unwrap();
    assert!(bound.inputs.is_none());
    for samples in [vec![7], vec![3, 3, 19, 2, 11], (2..20).rev().collect()] {
        let inputs: Vec<f32> = samples.iter().flat_map(|i| x.row(*i).to_vec()).collect();
        let batch = Batch { inputs: &inputs, samples: &samples };
        let aims = vec![Aim::untargeted(0); samples.len()];
        let mut out = LossGradient::default();
        let loss = LossKind::Margin.loss();
        bound.model.loss_and_gradient(batch, &aims, &loss, &mut out).unwrap();
        let mut alone = vec![];
        for (row, &i) in samples.iter().enumerate() {
            let mask = mask.row(i).to_vec();
            let want = expected(&inputs[3 * row..][..3], &mask, 0.5);
            for (found, want) in out.logits[2 * row..][..2].iter().zip(want) {
                assert!((found - want).abs() < 1e-5, "sample {i}: {found}, expected {want}");
            }
            // The margin's slope: z1 - z0.
            for j in 0..3 {
                let want = mask[j] as f32 * (WEIGHTS[2 * j + 1] - WEIGHTS[2 * j]);
                assert!((out.gradient[3 * row + j] - want).abs() < 1e-5, "sample {i}");
            }
            let one = Batch { inputs: &inputs[3 * row..][..3], samples: &samples[row..=row] };
            bound.model.logits_alone(one, &mut alone).unwrap();
            assert!((alone[0] - want[0]).abs() < 1e-5 && (alone[1] - want[1]).abs() < 1e-5);
        }
    }
}

#[test]
fn an_evaluation_binds_what_a_model_takes() {
    let model = load(masked("N", &["N", "2"]), &constants(&[])).unwrap();
    assert_eq!(model.further_inputs(), ["mask", "shift"]);
    let x = arr2(&[[0.5, 0.5, 0.2], [0.5, 0.5, 0.2]]);
    // All of it, and nothing but the middle: only the first can be broken, as the second is constant in what counts.
    let mask = arr2(&[[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]);
    let data = Dataset::from_arrays(x.view(), &[0, 0]).unwrap();
    let run = |data: &Dataset| {
        let threat = Threat::new(Norm::Linf, 0.4).with_bounds(Bounds::Uniform(0.0, 1.0));
        let run = Evaluation::new(&model, data).threat(threat);
        run.attack("pgd:steps=5".parse::<AttackSpec>().unwrap()).run()
    };
    refused(run(&data), &["`mask`", "[3]", "constant"]);
    let data = data.with_array("mask", mask.view()).unwrap();
    refused(run(&data), &["`shift`"]);
    let wrong = data.clone().with_array("shift", arr1(&[0.0, 0.0]).view()).unwrap();
    refused(run(&wrong), &["`shift`", "[2]"]);
    refused(data.clone().with_array("shift", arr1(&[0.0]).view()), &["`shift`", "2 samples"]);
    let data = data.with_array("shift", arr2(&[[0.1, 0.0], [0.1, 0.0]]).view()).unwrap();
    let results = run(&data).unwrap();
    assert!(results.clean.iter().all(|clean| clean.correct), "{:?}", results.clean);
    let broken: Vec<bool> =
        results.rows[0].attempts.iter().map(|a| a.adversarial.is_some()).collect();
    assert_eq!(broken, [true, false]);
}

#[test]
fn what_does_not_count_samples_runs_one_by_one() {
    // The shift has the shape [2] for every sample: 16 samples cannot share a plan.
    let model = load(masked("N", &["2"]), &constants(&[])).unwrap();
    let x = arr2(&[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]);
    let data = Dataset::from_arrays(x.view(), &[0; 3]).unwrap();
    let mask = arr2(&[[1.0, 0.0, 1.0]; 3]);
    let shift = arr2(&[[1.0, 1.0], [2.0, 2.0], [-3.0, -3.0]]);
    let data = data.with_array("mask", mask.view()).unwrap();
    let data = data.with_array("shift", shift.view()).unwrap();
    let bound = model.bind(&data.given()).unwrap().unwrap();
    let mut logits = vec![];
    let batch = Batch { inputs: data.values(), samples: &[0, 1, 2] };
    bound.model.logits(batch, &mut logits).unwrap();
    for i in 0..3 {
        let want = expected(data.sample(i), &[1.0, 0.0, 1.0], shift[[i, 0]] as f32);
        assert!((logits[2 * i] - want[0]).abs() < 1e-5, "{logits:?}");
    }
    let nameless = Batch { inputs: data.values(), samples: &[] };
    refused(bound.model.logits(nameless, &mut logits), &["sample indices"]);
    refused(model.logits(x.view().into_dyn()), &["`mask`", "no value"]);
}

#[test]
fn constants_are_checked() {
    let load = |entries: &[(&str, &[f64])]| load(masked("N", &["2"]), &constants(entries));
    refused(load(&[("shift", &[1.0, 2.0, 3.0])]), &["constants.shift", "3 numbers", "1 or 2"]);
    refused(load(&[("nothing", &[1.0])]), &["`nothing`", "`mask`"]);
    let model = load(&[("shift", &[1.0, -1.0]), ("mask", &[1.0])]).unwrap();
    assert!(model.further_inputs().is_empty());
    let logits = model.logits(arr2(&[[1.0, 2.0, 3.0]]).view().into_dyn()).unwrap();
    assert!((logits[[0, 0]] - 3.25).abs() < 1e-5 && (logits[[0, 1]] - 3.0).abs() < 1e-5);
}

/// Token embeddings, scaled by a mask that the embedding does not depend on, then summed with weights.
fn tokens() -> Fixture {
    let table: Vec<f32> = (0..10).map(|i| (i as f32 * 0.7).sin()).collect();
    Fixture::default()
        .typed_input("tokens", &["N", "L"], DataType::Int64)
        .input("weight", &["N", "L", "1"])
        .floats("table", &[5, 2], &table)
        .node("Gather", &["table", "tokens"], "embedding", &[])
        .node("Mul", &["embedding", "weight"], "weighted", &[])
        .node("ReduceMean", &["weighted"], "y", &[ints("axes", &[1]), int("keepdims", 0)])
        .output("y", &["N", "2"])
}

#[test]
fn an_embedding_is_attacked_in_place_of_tokens() {
    let shape = Some(vec![3]);
    let by_default = ModelOptions {
        input: Some("tokens".into()),
        input_shape: shape.clone(),
        ..ModelOptions::default()
    };
    refused(load(tokens(), &by_default), &["`tokens`", "I64", "`embedding`"]);
    let options = ModelOptions { input: Some("embedding".into()), ..by_default };
    let model = load(tokens(), &options).unwrap();
    assert_eq!(model.info().shape, [3, 2]);
    assert_eq!(model.further_inputs(), ["tokens", "weight"]);
    assert!(note(&model, "inner-tensor").contains("`tokens`"));

    let sequences = arr2(&[[0.0, 1.0, 2.0], [4.0, 4.0, 0.0]]);
    let x = sequences.mapv(|token| token as f32);
    let weight = ndarray::Array3::from_shape_fn((2, 3, 1), |(i, j, _)| 1.0 + (i + j) as f64);
    let data = Dataset::from_arrays(x.view(), &[0, 1]).unwrap();
    let data = data.with_array("weight", weight.view()).unwrap();
    let bound = model.bind(&data.given()).unwrap().unwrap();
    let (shape, values) = bound.inputs.as_ref().unwrap();
    assert_eq!(shape, &[3, 2]);
    let table = |token: f64, k: usize| ((2.0 * token + k as f64) * 0.7).sin() as f32;
    for ((i, j), token) in sequences.indexed_iter() {
        for k in 0..2 {
            assert!((values[(3 * i + j) * 2 + k] - table(*token, k)).abs() < 1e-6);
        }
    }
    let (aims, loss) = ([Aim::untargeted(0); 2], LossKind::Margin.loss());
    let mut out = LossGradient::default();
    let batch = Batch { inputs: values, samples: &[0, 1] };
    bound.model.loss_and_gradient(batch, &aims, &loss, &mut out).unwrap();
    for i in 0..2 {
        for j in 0..3 {
            let slope = weight[[i, j, 0]] as f32 / 3.0;
            let found = &out.gradient[(3 * i + j) * 2..][..2];
            assert!((found[0] + slope).abs() < 1e-6 && (found[1] - slope).abs() < 1e-6);
        }
    }
    // The evaluator computes the embedding by itself; distances are in its units.
    let label = |i: usize| usize::from(out.logits[2 * i + 1] > out.logits[2 * i]);
    let data = Dataset::from_arrays(x.view(), &[label(0), label(1)]).unwrap();
    let data = data.with_array("weight", weight.view()).unwrap();
    let run = Evaluation::new(&model, &data);
    let run = run.threat(Threat::new(Norm::L2, 10.0).with_bounds(Bounds::NONE));
    let results = run.attack("fgsm".parse::<AttackSpec>().unwrap()).run().unwrap();
    assert!(results.clean.iter().all(|clean| clean.correct));
    assert!(results.rows[0].attempts.iter().all(|a| a.adversarial.is_some()));
    assert_eq!(results.rows[0].attempts[0].adversarial.as_ref().unwrap().point.len(), 6);
}

#[test]
fn inner_tensors_that_cannot_be_attacked_are_refused() {
    let named = |input: &str| ModelOptions {
        input: Some(input.into()),
        input_shape: Some(vec![3]),
        ..ModelOptions::default()
    };
    refused(load(tokens(), &named("nothing")), &["`nothing`", "`tokens`"]);
    let behind = ModelOptions { output: Some("weighted".into()), ..named("y") };
    refused(load(tokens(), &behind), &["`weighted` does not depend on input `y`"]);
    let ints = Fixture::default()
        .input("x", &["N", "3"])
        .node("ArgMax", &["x"], "best", &[int("axis", 1)])
        .node("Cast", &["best"], "y", &[int("to", 1)])
        .output("y", &["N", "1"]);
    refused(load(ints, &named("best")), &["`best`", "I64"]);
}

#[test]
fn scores_are_found_behind_labels() {
    type Tail = fn(Fixture) -> Fixture;
    let tails: [(&str, Tail); 5] = [
        ("ArgMax", |f| f.node("ArgMax", &["z"], "y", &[int("axis", 1)])),
        ("Squeeze", |f| {
            let f = f.node("Softmax", &["z"], "p", &[int("axis", 1)]);
            f.node("ArgMax", &["p"], "a", &[int("axis", 1)]).ints("axes", &[1]).node(
                "Squeeze",
                &["a", "axes"],
                "y",
                &[],
            )
        }),
        ("Where", |f| {
            f.ints("none", &[-1])
                .floats("least", &[1], &[0.9])
                .node("ReduceMax", &["z"], "best", &[ints("axes", &[1]), int("keepdims", 0)])
                .node("Greater", &["best", "least"], "sure", &[])
                .node("ArgMax", &["z"], "a", &[int("axis", 1), int("keepdims", 0)])
                .node("Where", &["sure", "a", "none"], "y", &[])
        }),
        // Neither of these is known to tract.
        ("ZipMap", |f| {
            f.node("Softmax", &["z"], "p", &[int("axis", 1)]).node("ZipMap", &["p"], "y", &[])
        }),
        ("ArrayFeatureExtractor", |f| {
            f.ints("names", &[7, 9]).node("ArgMax", &["z"], "a", &[int("axis", 1)]).node(
                "ArrayFeatureExtractor",
                &["names", "a"],
                "y",
                &[],
            )
        }),
    ];
    for (op, tail) in tails {
        let fixture = Fixture::default()
            .input("x", &["N", "3"])
            .floats("w", &[3, 2], &WEIGHTS)
            .node("MatMul", &["x", "w"], "z", &[]);
        let model = load(tail(fixture).output("y", &["N", "1"]), &ModelOptions::default()).unwrap();
        assert_eq!((&*model.info().output, &*model.info().logits), ("y", "z"), "{op}");
        let text = note(&model, "scores-behind-labels");
        assert!(text.contains(op) && text.contains("(`y_node`)"), "{text}");
        let logits = model.logits(arr2(&[[1.0, 2.0, 3.0]]).view().into_dyn()).unwrap();
        assert!((logits[[0, 0]] - 2.25).abs() < 1e-5 && (logits[[0, 1]] - 4.0).abs() < 1e-5);
    }
}

#[test]
fn another_output_may_be_named() {
    let fixture = || {
        Fixture::default()
            .input("x", &["N", "3"])
            .floats("w", &[3, 2], &WEIGHTS)
            .node("MatMul", &["x", "w"], "z", &[])
            .node("Neg", &["z"], "n", &[])
            .node("FancyDetector", &["z"], "boxes", &[])
            .output("boxes", &["N", "4"])
            .output("n", &["N", "2"])
    };
    let of = |output: &str| ModelOptions { output: Some(output.into()), ..ModelOptions::default() };
    refused(load(fixture(), &ModelOptions::default()), &["`boxes_node`", "FancyDetector"]);
    for (output, first) in [("n", -2.25), ("z", 2.25)] {
        let model = load(fixture(), &of(output)).unwrap();
        let logits = model.logits(arr2(&[[1.0, 2.0, 3.0]]).view().into_dyn()).unwrap();
        assert!((logits[[0, 0]] - first).abs() < 1e-5);
    }
}

#[test]
fn sigmoids_of_several_classes_are_called_independent() {
    let model = load(Fixture::linear("N", &WEIGHTS, "Sigmoid"), &ModelOptions::default()).unwrap();
    assert!(note(&model, "logits-before-activation").contains("independent"));
    assert_eq!(model.info().logits, "z");
    let model = load(Fixture::linear("N", &WEIGHTS, "Softmax"), &ModelOptions::default()).unwrap();
    assert!(!note(&model, "logits-before-activation").contains("independent"));
}

#[test]
fn the_node_that_stops_tract_is_named() {
    // A matrix product whose inner axes differ.
    let misfit = Fixture::default()
        .input("x", &["N", "3"])
        .floats("w", &[4, 2], &[0.0; 8])
        .node("Relu", &["x"], "r", &[])
        .node("MatMul", &["r", "w"], "y", &[])
        .output("y", &["N", "2"]);
    let error = load(misfit, &ModelOptions::default()).expect_err("must be refused");
    assert!(
        matches!(&error, Error::Node { node, op, .. } if node == "y_node" && op == "MatMul"),
        "{error}"
    );
    // An attribute that tract cannot read.
    let unread = Fixture::default()
        .input("x", &["N", "3"])
        .node("Cast", &["x"], "y", &[int("to", 99)])
        .output("y", &["N", "3"]);
    let error = load(unread, &ModelOptions::default()).expect_err("must be refused");
    assert!(
        matches!(&error, Error::Node { node, op, .. } if node == "y_node" && op == "Cast"),
        "{error}"
    );
    assert!(error.one_line().len() > error.to_string().len(), "{}", error.one_line());
}

#[test]
fn half_precision_runs_in_single() {
    let weights: Vec<half::f16> = WEIGHTS.iter().map(|w| half::f16::from_f32(*w + 0.001)).collect();
    let fixture = || {
        Fixture::default()
            .typed_input("x", &["N", "3"], DataType::Float16)
            .halves("w", &[3, 2], &weights)
            .node("MatMul", &["x", "w"], "z", &[])
            .node("Softmax", &["z"], "y", &[int("axis", 1)])
            .output("y", &["N", "2"])
    };
    let model = load(fixture(), &ModelOptions::default()).unwrap();
    // In half precision the data would be rounded to multiples of 2^-11, and the sum as well.
    let x = [0.123_456_7_f32, 0.765_432_1, 0.333_333_3];
    let logits = model.logits(arr2(&[x]).view().into_dyn()).unwrap();
    for class in 0..2 {
        let want: f32 = (0..3).map(|i| x[i] * weights[2 * i + class].to_f32()).sum();
        assert!((logits[[0, class]] - want).abs() < 1e-6, "{logits} {want}");
    }
    let mut out = LossGradient::default();
    let loss = LossKind::Margin.loss();
    Classifier::loss_and_gradient(&model, x[..].into(), &[Aim::untargeted(0)], &loss, &mut out)
        .unwrap();
    for i in 0..3 {
        let want = weights[2 * i + 1].to_f32() - weights[2 * i].to_f32();
        assert!((out.gradient[i] - want).abs() < 1e-6);
    }
}

#[test]
fn the_command_line_reads_further_inputs_from_the_data() {
    let binary = example::binary("evaluate");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("m.onnx"), masked("N", &[]).bytes()).unwrap();
    let x = NpzArray::new([2, 3], NpzValues::F32(&[0.5, 0.5, 0.2, 0.5, 0.5, 0.5])).unwrap();
    let mask = NpzArray::new([2, 3], NpzValues::F64(&[1.0, 1.0, 1.0, 0.0, 0.0, 1.0])).unwrap();
    let arrays = [("x", x), ("y", NpzValues::Index(&[0, 1]).into()), ("mask", mask)];
    write_npz(path("d.npz"), &arrays).unwrap();
    let run = |more: &[&str]| {
        let fixed = ["--eps", "0.4", "--attack", "pgd:steps=5", "--json", &path("r.json")];
        let mut command = Command::new(&binary);
        let files = [path("m.onnx"), "--data".into(), path("d.npz")];
        let output = command.args(files).args(fixed).args(more).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, errors) = run(&[]);
    assert!(code == Some(2) && errors.contains("`shift`"), "{errors}");
    for wrong in ["shift", "shift=", "=1", "shift=one"] {
        let (code, errors) = run(&["--constant", wrong]);
        assert!(code == Some(2) && errors.contains("`constant`"), "{errors}");
    }
    let (code, errors) = run(&["--constant", "shift=-0.5"]);
    assert_eq!(code, Some(0), "{errors}");
    let report = std::fs::read_to_string(path("r.json")).unwrap();
    let report = Report::from_json(&report, "r.json").unwrap();
    assert_eq!(report.clean.correct, [true, true]);
    // All that counts of the second sample is its last feature, 0.5: z1 - z0 is 2.25 times that.
    assert_eq!(report.attacks[0].robust, [false, true]);
    assert!(report.warnings.iter().any(|warning| warning.code == "further-input"));
    assert_eq!(report.model.options["constants"]["shift"][0], -0.5);
}
