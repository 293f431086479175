//! Values and gradients of ONNX's layers, as tract's importer leaves them, against PyTorch in float64.
//! `tests/data/make_onnx_operators_reference.py` makes the numbers and holds the same cases by name.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::sync::Arc;

use common::fixture::{Fixture, float, floats, int, ints, string, strings};
use ironbound::tract_onnx::pb::{AttributeProto, tensor_proto::DataType};
use ironbound::{Aim, Classifier, Loss, LossGradient, Model, ModelOptions};
use serde_json::Value;

/// The sum of w * y, where w[i] = sin(1.7 i + 0.6) + 0.2.
#[derive(Debug)]
struct Weighted;

impl Loss for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn value_and_gradient(&self, logits: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        let weights = (0..logits.len()).map(|i| ((1.7 * i as f64 + 0.6).sin() + 0.2) as f32);
        gradient.iter_mut().zip(weights).for_each(|(gradient, weight)| *gradient = weight);
        gradient.iter().zip(logits).map(|(weight, y)| weight * y).sum()
    }
}

/// A graph that turns `x` into `z`, and the opset that it is written in.
struct Case {
    name: String,
    opset: i64,
    graph: Fixture,
}

fn case(name: &str, opset: i64, graph: Fixture) -> Case {
    Case { name: name.into(), opset, graph }
}

/// One node, over x and constants.
fn node(
    name: &str,
    opset: i64,
    op: &str,
    constants: &[(&[i64], Vec<f32>)],
    attributes: &[AttributeProto],
) -> Case {
    let names: Vec<String> = (0..constants.len()).map(|at| format!("c{at}")).collect();
    let mut graph = Fixture::default();
    for (name, (dims, values)) in names.iter().zip(constants) {
        graph = graph.floats(name, dims, values);
    }
    let mut inputs = vec!["x"];
    inputs.extend(names.iter().map(String::as_str));
    case(name, opset, graph.node(op, &inputs, "z", attributes))
}

/// Values in [`low`, `high`], no two equal.
fn generic(len: usize, low: f64, high: f64) -> Vec<f32> {
    let value = |i: usize| low + (high - low) * ((i as f64 + 1.0) * 0.618_033_988_749_895).fract();
    (0..len).map(|i| value(i) as f32).collect()
}

fn index(len: i64, bound: i64) -> Vec<i64> {
    (0..len).map(|i| (7 * i + 3) % bound).collect()
}

/// Indices along the last axis, of length 2, none twice in a row.
fn apart(len: i64, bound: i64) -> Vec<i64> {
    (0..len).map(|i| (2 * i + i / 2) % bound).collect()
}

/// `len` values in [-1, 1], of shape `dims`.
fn wide(dims: &[i64]) -> (&[i64], Vec<f32>) {
    (dims, generic(dims.iter().product::<i64>() as usize, -1.0, 1.0))
}

fn from(low: f64, dims: &[i64]) -> (&[i64], Vec<f32>) {
    (dims, generic(dims.iter().product::<i64>() as usize, low, 1.0))
}

fn normalisations() -> Vec<Case> {
    let eps = || float("epsilon", 1e-5);
    let axis = |axis| int("axis", axis);
    let skip = [from(-0.4, &[1, 3, 6]), wide(&[6])];
    let skip_layer = [skip[0].clone(), skip[1].clone(), from(0.0, &[6])];
    vec![
        node("layer_norm", 17, "LayerNormalization", &[wide(&[6]), from(0.0, &[6])], &[eps()]),
        node(
            "layer_norm_of_two_axes",
            17,
            "LayerNormalization",
            &[wide(&[4, 6])],
            &[eps(), axis(-2)],
        ),
        node(
            "group_norm",
            21,
            "GroupNormalization",
            &[wide(&[4]), from(0.0, &[4])],
            &[eps(), int("num_groups", 2)],
        ),
        node(
            "instance_norm",
            13,
            "InstanceNormalization",
            &[wide(&[3]), from(0.0, &[3])],
            &[eps()],
        ),
        node("lp_norm_1", 13, "LpNormalization", &[], &[int("p", 1)]),
        node("lp_norm_2", 13, "LpNormalization", &[], &[axis(1)]),
        node("mean_variance_norm", 13, "MeanVarianceNormalization", &[], &[]),
        node("rms_norm", 23, "RMSNormalization", &[wide(&[6])], &[eps()]),
        node("simplified_layer_norm", 13, "SimplifiedLayerNormalization", &[wide(&[6])], &[eps()]),
        node("skip_layer_norm", 13, "SkipLayerNormalization", &skip_layer, &[eps()]),
        node("skip_simplified_layer_norm", 13, "SkipSimplifiedLayerNormalization", &skip, &[eps()]),
    ]
}

fn activations() -> Vec<Case> {
    vec![
        node("prelu", 13, "PRelu", &[wide(&[2, 1, 1])], &[]),
        node("gelu", 20, "Gelu", &[], &[]),
        node("gelu_tanh", 20, "Gelu", &[], &[string("approximate", "tanh")]),
        node("bias_gelu", 13, "BiasGelu", &[wide(&[6])], &[]),
        node("fast_gelu", 13, "FastGelu", &[wide(&[6])], &[]),
        node("quick_gelu", 13, "QuickGelu", &[], &[]),
    ]
}

fn arrangements() -> Vec<Case> {
    let two = || int("blocksize", 2);
    let equation = |text| string("equation", text);
    let twice = Fixture::default().node("Einsum", &["x", "x"], "z", &[equation("bij,bkj->bik")]);
    let slice = Fixture::default()
        .ints("starts", &[1, -1])
        .ints("ends", &[4, i64::MIN])
        .ints("axes", &[1, 2])
        .ints("steps", &[1, -2])
        .node("Slice", &["x", "starts", "ends", "axes", "steps"], "z", &[]);
    vec![
        node("depth_to_space_dcr", 13, "DepthToSpace", &[], &[two()]),
        node("depth_to_space_crd", 13, "DepthToSpace", &[], &[two(), string("mode", "CRD")]),
        node("space_to_depth", 13, "SpaceToDepth", &[], &[two()]),
        node("einsum_matrix", 13, "Einsum", &[wide(&[4, 2])], &[equation("bij,jk->bik")]),
        case("einsum_twice", 13, twice),
        node("einsum_sum", 13, "Einsum", &[], &[equation("bij->bj")]),
        case("slice_backwards", 13, slice),
        node("reduce_l1", 13, "ReduceL1", &[], &[ints("axes", &[2]), int("keepdims", 0)]),
        node("reduce_l2", 13, "ReduceL2", &[], &[ints("axes", &[1]), int("keepdims", 0)]),
        node(
            "reduce_log_sum_exp",
            13,
            "ReduceLogSumExp",
            &[],
            &[ints("axes", &[2]), int("keepdims", 0)],
        ),
    ]
}

fn reads() -> Vec<Case> {
    let top = |name: &str, k, attributes: &[AttributeProto]| {
        let graph = Fixture::default().ints("k", &[k]);
        case(name, 13, graph.node_of("TopK", &["x", "k"], &["z", "places"], attributes))
    };
    let gather = |name: &str, op: &str, dims: &[i64], at: &[i64], attributes: &[AttributeProto]| {
        let graph = Fixture::default().shaped_ints("at", dims, at);
        case(name, 13, graph.node(op, &["x", "at"], "z", attributes))
    };
    let part = |name: &str, k, upper| {
        let graph = Fixture::default().shaped_ints("k", &[], &[k]);
        case(name, 14, graph.node("Trilu", &["x", "k"], "z", &[int("upper", upper)]))
    };
    let sum = |name: &str, axis, attributes: &[AttributeProto]| {
        let graph = Fixture::default().shaped_ints("axis", &[], &[axis]);
        case(name, 14, graph.node("CumSum", &["x", "axis"], "z", attributes))
    };
    let before = [int("exclusive", 1), int("reverse", 1)];
    let one_hot = Fixture::default()
        .floats("three", &[], &[3.0])
        .ints("depth", &[6])
        .floats("values", &[2], &[0.0, 0.5])
        .node("Mul", &["x", "three"], "scaled", &[])
        .node("Add", &["scaled", "three"], "shifted", &[])
        .node("Cast", &["shifted"], "classes", &[int("to", DataType::Int64 as i64)])
        .node("OneHot", &["classes", "depth", "values"], "hot", &[])
        .ints("last", &[2])
        .node("Unsqueeze", &["x", "last"], "column", &[])
        .node("Add", &["column", "hot"], "z", &[]);
    let hardmax = Fixture::default().node("Hardmax", &["x"], "hard", &[int("axis", -1)]).node(
        "Add",
        &["x", "hard"],
        "z",
        &[],
    );
    let eye =
        Fixture::default().node("EyeLike", &["x"], "eye", &[]).node("Add", &["x", "eye"], "z", &[]);
    vec![
        gather("gather_elements", "GatherElements", &[1, 4, 7], &index(28, 5), &[int("axis", 2)]),
        gather("gather_nd", "GatherND", &[3, 2], &[1, 2, 0, 0, 1, 2], &[]),
        gather("gather_nd_of_a_batch", "GatherND", &[1, 3, 1], &[2, 0, 2], &[int("batch_dims", 1)]),
        top("top_k_largest", 3, &[]),
        top("top_k_smallest", 2, &[int("axis", 1), int("largest", 0)]),
        part("trilu_upper", 1, 1),
        part("trilu_lower", -1, 0),
        sum("cum_sum", 2, &[]),
        sum("cum_sum_before_from_the_end", 1, &before),
        case("one_hot", 13, one_hot),
        case("hardmax", 13, hardmax),
        case("eye_like", 13, eye),
    ]
}

/// x and what it has no part in, though that is computed from it.
fn selections() -> Vec<Case> {
    let add = |name: &str, opset, graph: Fixture| {
        let graph = graph
            .floats("none", &[], &[0.0])
            .node("Cast", &["chosen"], "float", &[int("to", DataType::Float as i64)])
            .node("ReduceSum", &["float"], "total", &[int("keepdims", 0)])
            .node("Mul", &["total", "none"], "nothing", &[])
            .node("Add", &["x", "nothing"], "z", &[]);
        case(name, opset, graph)
    };
    let places = Fixture::default().node("NonZero", &["x"], "chosen", &[]);
    let seed = [float("seed", 1.0), int("sample_size", 3)];
    let draws = Fixture::default().node("Multinomial", &["x"], "chosen", &seed);
    let tree = [
        ints("classlabels_int64s", &[0, 1]),
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0]),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        floats("nodes_values", &[0.0, 0.0, 0.0]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("class_treeids", &[0, 0]),
        ints("class_nodeids", &[1, 2]),
        ints("class_ids", &[0, 1]),
        floats("class_weights", &[0.75, 0.5]),
        string("post_transform", "NONE"),
    ];
    let tree = Fixture::default()
        .node_of("TreeEnsembleClassifier", &["x"], &["label", "scores_of_tree"], &tree)
        .node("Add", &["x", "scores_of_tree"], "z", &[]);
    vec![
        add("non_zero", 13, places),
        add("multinomial", 13, draws),
        case("tree_ensemble", 13, tree),
    ]
}

fn writes() -> Vec<Case> {
    let scatter = |name: &str,
                   op: &str,
                   at: (&[i64], &[i64]),
                   other: (&[i64], Vec<f32>),
                   to_data,
                   attributes: &[AttributeProto]| {
        let inputs = if to_data { ["x", "at", "other"] } else { ["other", "at", "x"] };
        let graph =
            Fixture::default().shaped_ints("at", at.0, at.1).floats("other", other.0, &other.1);
        case(name, 18, graph.node(op, &inputs, "z", attributes))
    };
    let axis = || int("axis", 2);
    let (at, nd) = (apart(12, 4), [2, 0]);
    let (at, rows) = ((&[2, 3, 2][..], &at[..]), (&[2, 1][..], &nd[..]));
    let add = (&[3, 1][..], &[2, 0, 2][..]);
    let mut cases = vec![
        scatter("scatter_elements", "ScatterElements", at, from(-2.0, &[2, 3, 2]), true, &[axis()]),
        scatter(
            "scatter_elements_of_updates",
            "ScatterElements",
            at,
            from(-2.0, &[2, 3, 4]),
            false,
            &[axis()],
        ),
        scatter("scatter_nd", "ScatterND", rows, from(-2.0, &[2, 3]), true, &[]),
        scatter(
            "scatter_nd_add",
            "ScatterND",
            add,
            from(-2.0, &[4, 3]),
            false,
            &[string("reduction", "add")],
        ),
    ];
    let at = index(36, 4);
    for reduction in ["add", "mul", "min", "max"] {
        for (to_data, kind, dims) in [(true, "", &[2, 3, 6]), (false, "_of_updates", &[2, 3, 4])] {
            let other = (&dims[..], generic(dims.iter().product::<i64>() as usize, -1.3, 1.2));
            let name = format!("scatter_elements_{reduction}{kind}");
            let attributes = [axis(), string("reduction", reduction)];
            cases.push(scatter(
                &name,
                "ScatterElements",
                (&[2, 3, 6], &at),
                other,
                to_data,
                &attributes,
            ));
        }
    }
    cases
}

fn resizings() -> Vec<Case> {
    let resize = |name: &str, opset, sizes: &[i64], attributes: &[AttributeProto]| {
        let graph = Fixture::default().ints("sizes", sizes);
        case(name, opset, graph.node("Resize", &["x", "", "", "sizes"], "z", attributes))
    };
    let mode = |mode| string("mode", mode);
    let coordinates = |mode| string("coordinate_transformation_mode", mode);
    let nearest = [coordinates("asymmetric"), string("nearest_mode", "floor")];
    let scales = Fixture::default().floats("scales", &[4], &[1.0, 1.0, 2.0, 3.0]).node(
        "Resize",
        &["x", "", "scales"],
        "z",
        &nearest,
    );
    vec![
        case("resize_nearest", 13, scales),
        resize("resize_nearest_sizes", 13, &[1, 2, 5, 6], &nearest),
        resize("resize_linear", 13, &[1, 2, 5, 7], &[mode("linear")]),
        resize(
            "resize_linear_aligned",
            13,
            &[1, 2, 5, 7],
            &[mode("linear"), coordinates("align_corners")],
        ),
        resize("resize_cubic", 13, &[1, 2, 6, 6], &[mode("cubic")]),
        resize(
            "resize_antialiased",
            18,
            &[1, 2, 4, 3],
            &[mode("linear"), int("antialias", 1), int("exclude_outside", 1)],
        ),
    ]
}

fn samplings() -> Vec<Case> {
    let sample = |name: String, spread: f64, mode: &str, padding: &str, align| {
        let attributes =
            [string("mode", mode), string("padding_mode", padding), int("align_corners", align)];
        let data = Fixture::default()
            .floats("grid", &[1, 3, 2, 2], &generic(12, -spread, spread))
            .node("GridSample", &["x", "grid"], "z", &attributes);
        let grid = Fixture::default().floats("data", &[1, 2, 4, 5], &generic(40, -1.0, 1.0)).node(
            "GridSample",
            &["data", "x"],
            "z",
            &attributes,
        );
        let names = [format!("grid_sample_{name}"), format!("grid_sample_at_{name}")];
        [case(&names[0], 16, data), case(&names[1], 16, grid)]
    };
    let mut cases = vec![];
    for mode in ["bilinear", "nearest"] {
        for padding in ["zeros", "border", "reflection"] {
            for (align, kind) in [(0, "plain"), (1, "aligned")] {
                let name = format!("{mode}_{padding}_{kind}");
                cases.extend(sample(name, 1.7, mode, padding, align));
            }
        }
    }
    cases.extend(sample("bicubic".into(), 0.9, "bicubic", "zeros", 1));
    cases
}

fn attentions() -> Vec<Case> {
    let heads = |name| int(name, 2);
    let queries = [wide(&[1, 2, 5, 4]), from(-0.5, &[1, 2, 5, 4])];
    let mask = generic(15, -2.0, 1.0);
    let keys = Fixture::default()
        .floats("q", &[1, 4, 3, 4], &generic(48, -1.0, 1.0))
        .floats("quarter", &[], &[0.25])
        .floats("mask", &[3, 5], &mask)
        .node("Add", &["x", "quarter"], "v", &[])
        .node("Attention", &["q", "x", "v", "mask"], "z", &[]);
    let causal = [heads("q_num_heads"), heads("kv_num_heads"), int("is_causal", 1)];
    let causal = Fixture::default().node("Attention", &["x", "x", "x"], "z", &causal);
    let values = Fixture::default()
        .floats("q", &[1, 2, 3, 4], &generic(24, -1.0, 1.0))
        .floats("k", &[1, 2, 5, 4], &generic(40, -0.5, 1.0))
        .node("Attention", &["q", "k", "x"], "z", &[]);
    let multi = Fixture::default()
        .floats("half", &[], &[0.5])
        .floats("v", &[1, 3, 8], &generic(24, -1.0, 1.0))
        .node("Mul", &["x", "half"], "k", &[])
        .node("MultiHeadAttention", &["x", "k", "v"], "z", &[heads("num_heads")]);
    let group = Fixture::default()
        .floats("k", &[1, 3, 8], &generic(24, -1.0, 1.0))
        .floats("v", &[1, 3, 8], &generic(24, -0.5, 1.0))
        .floats("cos", &[8, 2], &generic(16, -1.0, 1.0))
        .floats("sin", &[8, 2], &generic(16, -0.7, 0.9))
        .node_of(
            "GroupQueryAttention",
            &["x", "k", "v", "", "", "", "", "cos", "sin"],
            &["z", "present_key", "present_value"],
            &[int("num_heads", 4), heads("kv_num_heads"), int("do_rotary", 1)],
        );
    let angles = [(&[1, 3, 2][..], generic(6, -1.0, 1.0)), (&[1, 3, 2], generic(6, -0.7, 0.9))];
    vec![
        node("attention_queries", 23, "Attention", &queries, &[float("scale", 0.7)]),
        case("attention_keys", 23, keys),
        case("attention_causal", 23, causal),
        case("attention_values_of_another_depth", 23, values),
        case("multi_head_attention", 13, multi),
        case("group_query_attention", 13, group),
        node("rotary_embedding", 23, "RotaryEmbedding", &angles, &[]),
        node("rotary_embedding_of_pairs", 23, "RotaryEmbedding", &angles, &[int("interleaved", 1)]),
    ]
}

fn transforms() -> Vec<Case> {
    let stft = Fixture::default()
        .shaped_ints("step", &[], &[2])
        .floats("window", &[4], &generic(4, 0.1, 1.0))
        .node("STFT", &["x", "step", "window"], "z", &[]);
    vec![
        node("dft", 17, "DFT", &[], &[]),
        node("dft_inverse", 17, "DFT", &[], &[int("inverse", 1)]),
        node("dft_onesided", 17, "DFT", &[], &[int("onesided", 1)]),
        case("stft", 17, stft),
    ]
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn close(found: &[f32], expected: &[f64], what: &str) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} numbers, not {}", found.len(), expected.len()));
    }
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        // Not the other way round: a NaN is no agreement.
        let agrees = error <= 1e-4 + 5e-4 * expected.abs();
        if !agrees {
            return Err(format!("{what} {at}: {found}, not {expected}"));
        }
    }
    Ok(())
}

fn check(case: Case, expected: &Value) -> Result<(), String> {
    let shape: Vec<i64> = numbers(&expected["shape"]).iter().map(|len| *len as i64).collect();
    let (x, y) = (numbers(&expected["x"]), numbers(&expected["y"]));
    let mut graph = case.graph;
    if shape[0] == 1 {
        let dims: Vec<String> = shape.iter().map(i64::to_string).collect();
        graph = graph.input("x", &dims.iter().map(String::as_str).collect::<Vec<&str>>());
    } else {
        graph = graph.input("flat", &["1", &x.len().to_string()]).ints("shape", &shape).node(
            "Reshape",
            &["flat", "shape"],
            "x",
            &[],
        );
    }
    // Also keeps a softmax or sigmoid from being the last node, which would be bypassed.
    let fixture = graph
        .ints("row", &[1, -1])
        .floats("weight", &[1], &[0.5])
        .node("Reshape", &["z", "row"], "scores", &[])
        .node("Mul", &["scores", "weight"], "y", &[])
        .output("y", &["1", &y.len().to_string()]);
    let options = ModelOptions { plan_batch: Some(1), ..ModelOptions::default() };
    let model = Model::from_bytes_with(&fixture.bytes_at(case.opset), &case.name, &options)
        .map_err(|error| error.one_line())?;
    let inputs: Vec<f32> = x.iter().map(|x| *x as f32).collect();
    let (loss, mut out): (Arc<dyn Loss>, _) = (Arc::new(Weighted), LossGradient::default());
    Classifier::loss_and_gradient(
        &model,
        inputs[..].into(),
        &[Aim::untargeted(0)],
        &loss,
        &mut out,
    )
    .map_err(|error| error.one_line())?;
    let twice = |values: &[f32]| values.iter().map(|value| 2.0 * value).collect::<Vec<f32>>();
    close(&twice(&out.logits), &y, "value")?;
    close(&twice(&out.gradient), &numbers(&expected["gradient"]), "component")
}

#[test]
fn layers_agree_with_pytorch() {
    let reference: Value =
        serde_json::from_str(include_str!("data/onnx_operators_reference.json")).unwrap();
    let mut left: Vec<String> = reference.as_object().unwrap().keys().cloned().collect();
    let cases = [
        normalisations(),
        activations(),
        arrangements(),
        reads(),
        selections(),
        writes(),
        resizings(),
        samplings(),
        attentions(),
        transforms(),
    ];
    let mut failures = vec![];
    for case in cases.into_iter().flatten() {
        let name = case.name.clone();
        left.retain(|known| *known != name);
        if let Err(problem) = check(case, &reference[&name]) {
            failures.push(format!("{name}: {problem}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(left.is_empty(), "cases without a test: {left:?}");
}

/// tract would add it as zeros and ones.
#[test]
fn a_boolean_mask_is_refused_by_name() {
    let fixture = Fixture::default()
        .input("x", &["1", "1", "3", "4"])
        .ints("ones", &[1, 0, 1])
        .node("Cast", &["ones"], "mask", &[int("to", DataType::Bool as i64)])
        .node("Attention", &["x", "x", "x", "mask"], "z", &[])
        .node("Flatten", &["z"], "y", &[])
        .output("y", &["1", "12"]);
    let error = Model::from_bytes(&fixture.bytes_at(23), "masked").unwrap_err().one_line();
    assert!(error.contains("masked") && error.contains("z_node"), "{error}");
    assert!(error.contains("boolean mask"), "{error}");
}
