//! Nodes that tract runs wrongly without a word are refused by name; with the value that tract assumes they load, and
//! give what ONNX defines.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

mod common;

use common::fixture::{self, Fixture};
use common::values;
use ironbound::tract_onnx::pb::{AttributeProto, ModelProto, attribute_proto::AttributeType};
use ironbound::{Error, Model};
use ndarray::ArrayD;
use prost::Message;

/// A graph of one node between the input `x` and a row of scores.
struct Case {
    op: &'static str,
    domain: &'static str,
    opset: i64,
    shape: &'static [usize],
    /// The type that the input is cast to first, as ONNX numbers it.
    from: Option<i64>,
    /// Stored tensors: (name, shape, values).
    stored: Vec<(&'static str, &'static [i64], Vec<f32>)>,
    integers: Vec<(&'static str, Vec<i64>)>,
}

impl Case {
    fn new(op: &'static str, opset: i64, shape: &'static [usize]) -> Self {
        Self { op, domain: "", opset, shape, from: None, stored: vec![], integers: vec![] }
    }

    fn microsoft(mut self) -> Self {
        self.domain = "com.microsoft";
        self
    }

    fn from(mut self, dt: i64) -> Self {
        self.from = Some(dt);
        self
    }

    fn floats(mut self, name: &'static str, shape: &'static [i64], values: &[f32]) -> Self {
        self.stored.push((name, shape, values.to_vec()));
        self
    }

    fn ints(mut self, name: &'static str, values: &[i64]) -> Self {
        self.integers.push((name, values.to_vec()));
        self
    }

    fn load(&self, inputs: &[&str], attributes: &[AttributeProto]) -> Result<Model, Error> {
        let dims: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let dims: Vec<&str> = dims.iter().map(String::as_str).collect();
        let mut fixture = Fixture::default().input("input", &dims).ints("row", &[1, -1]);
        for (name, shape, values) in &self.stored {
            fixture = fixture.floats(name, shape, values);
        }
        for (name, values) in &self.integers {
            fixture = fixture.ints(name, values);
        }
        let bytes = fixture
            .node("Cast", &["input"], "x", &[fixture::int("to", self.from.unwrap_or(1))])
            .node(self.op, inputs, "z", attributes)
            .node("Cast", &["z"], "f", &[fixture::int("to", 1)])
            .node("Reshape", &["f", "row"], "y", &[])
            .output("y", &["1", "2"])
            .bytes();
        let mut proto = ModelProto::decode(&*bytes).unwrap();
        proto.opset_import[0].version = self.opset;
        proto.graph.as_mut().unwrap().node[1].domain = self.domain.into();
        Model::from_bytes(&proto.encode_to_vec(), "fixture")
    }

    /// The node is refused, by its name, operator and the words.
    fn refused(&self, inputs: &[&str], attributes: &[AttributeProto], words: &[&str]) {
        let error = self.load(inputs, attributes).expect_err("must be refused");
        assert!(matches!(error, Error::Node { .. }), "{}: {}", self.op, error.one_line());
        let line = error.one_line();
        for word in [&["`z_node`", self.op], words].concat() {
            assert!(line.contains(word), "{line} lacks {word}");
        }
    }

    /// The node loads and runs; its results for [`values`].
    fn results(&self, inputs: &[&str], attributes: &[AttributeProto]) -> Vec<f32> {
        let model = self.load(inputs, attributes);
        let model = model.unwrap_or_else(|error| panic!("{}: {}", self.op, error.one_line()));
        let x = ArrayD::from_shape_vec(self.shape, self.x()).unwrap();
        model.logits(x.view()).unwrap().into_raw_vec_and_offset().0
    }

    fn gives(&self, inputs: &[&str], attributes: &[AttributeProto], expected: &[f32]) {
        let found = self.results(inputs, attributes);
        assert_eq!(found.len(), expected.len(), "{}: {found:?}", self.op);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-5, "{}: {found}, not {expected}", self.op);
        }
    }

    fn x(&self) -> Vec<f32> {
        values(self.shape.iter().product())
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    let r#type = AttributeType::String as i32;
    AttributeProto { name: name.into(), s: value.into(), r#type, ..AttributeProto::default() }
}

fn floats(name: &str, values: &[f32]) -> AttributeProto {
    let r#type = AttributeType::Floats as i32;
    AttributeProto {
        name: name.into(),
        floats: values.to_vec(),
        r#type,
        ..AttributeProto::default()
    }
}

fn each(values: &[f32], function: impl Fn(f32) -> f32) -> Vec<f32> {
    values.iter().copied().map(function).collect()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

#[test]
fn operands_aligned_at_another_axis() {
    let case = Case::new("Add", 6, &[1, 3, 3]).floats("b", &[3], &[1.0, 2.0, 3.0]);
    let broadcast = fixture::int("broadcast", 1);
    let axis = fixture::int("axis", 1);
    for op in ["And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor"] {
        let case = Case::new(op, 6, &[1, 3, 3]).floats("b", &[3], &[1.0, 2.0, 3.0]);
        case.refused(&["x", "b"], &[axis.clone(), broadcast.clone()], &["`axis`"]);
    }
    case.refused(&["x", "b"], &[axis, broadcast.clone()], &["`axis`"]);
    let x = case.x();
    let expected: Vec<f32> = (0..9).map(|i| x[i] + [1.0, 2.0, 3.0][i % 3]).collect();
    case.gives(&["x", "b"], &[broadcast], &expected);
}

#[test]
fn attention() {
    let case = Case::new("Attention", 24, &[1, 1, 2, 3]).floats("k", &[1, 1, 1, 3], &values(3));
    let causal = fixture::int("is_causal", 1);
    for side in ["left_window_size", "right_window_size"] {
        case.refused(&["x", "x", "x"], &[fixture::int(side, 0)], &[side]);
        let open = case.results(&["x", "x", "x"], &[fixture::int(side, -1)]);
        assert_eq!(open, case.results(&["x", "x", "x"], &[]));
    }
    let cached = ["x", "x", "x", "", "k", "k"];
    case.refused(&cached, std::slice::from_ref(&causal), &["`is_causal`", "`past_key`"]);
    case.results(&cached, &[]);
    // The first of two queries sees its own value only.
    let masked = case.results(&["x", "x", "x"], &[causal]);
    masked[..3].iter().zip(case.x()).for_each(|(y, x)| assert!((y - x).abs() < 1e-6));
}

#[test]
fn multi_head_attention_of_one_direction() {
    let case = Case::new("MultiHeadAttention", 13, &[1, 2, 4]).microsoft();
    let heads = fixture::int("num_heads", 2);
    let one_way = fixture::int("unidirectional", 1);
    case.refused(&["x", "x", "x"], &[heads.clone(), one_way], &["`unidirectional`"]);
    case.results(&["x", "x", "x"], &[heads, fixture::int("unidirectional", 0)]);
}

#[test]
fn paddings_given_twice() {
    let kernel = fixture::ints("kernel_shape", &[1, 2]);
    let one = fixture::ints("pads", &[0, 0, 0, 1]);
    for op in ["AveragePool", "MaxPool"] {
        let case = Case::new(op, 13, &[1, 1, 1, 3]);
        for (mode, pads) in [("SAME_UPPER", &one), ("VALID", &one)] {
            let attributes = [kernel.clone(), text("auto_pad", mode), pads.clone()];
            case.refused(&["x"], &attributes, &["`auto_pad`", "`pads`"]);
        }
        let x = case.x();
        let of = |a: f32, b: f32| if op == "MaxPool" { a.max(b) } else { 0.5 * (a + b) };
        let same = [kernel.clone(), text("auto_pad", "SAME_UPPER")];
        case.gives(&["x"], &same, &[of(x[0], x[1]), of(x[1], x[2]), x[2]]);
        let given = [kernel.clone(), text("auto_pad", "NOTSET"), one.clone()];
        case.gives(&["x"], &given, &[of(x[0], x[1]), of(x[1], x[2]), x[2]]);
    }
    let case = Case::new("Conv", 13, &[1, 1, 1, 3]).floats("w", &[1, 1, 1, 2], &[2.0, -1.0]);
    case.refused(&["x", "w"], &[text("auto_pad", "SAME_LOWER"), one.clone()], &["`auto_pad`"]);
    for op in ["ConvInteger", "ConvTranspose", "QLinearConv"] {
        let case = Case::new(op, 13, &[1, 1, 1, 3]).floats("w", &[1, 1, 1, 2], &[2.0, -1.0]);
        case.refused(&["x", "w"], &[text("auto_pad", "SAME_LOWER"), one.clone()], &["`auto_pad`"]);
    }
}

#[test]
fn transposed_convolutions_with_a_shape() {
    let case =
        Case::new("ConvTranspose", 13, &[1, 1, 1, 2]).floats("w", &[1, 1, 1, 2], &[1.0, 2.0]);
    let shape = fixture::ints("output_shape", &[1, 4]);
    let pads = fixture::ints("pads", &[0, 1, 0, 0]);
    case.refused(&["x", "w"], &[shape.clone(), pads], &["`output_shape`", "`pads`"]);
    let x = case.x();
    let strides = fixture::ints("strides", &[1, 2]);
    case.gives(&["x", "w"], &[shape, strides], &[x[0], 2.0 * x[0], x[1], 2.0 * x[1]]);
}

const NORMALISED: [&str; 5] = ["x", "s", "b", "m", "v"];

/// A batch normalisation, and what it gives by its stored statistics without an epsilon.
fn normalisation(opset: i64) -> (Case, [f32; 2]) {
    let case = Case::new("BatchNormalization", opset, &[1, 2])
        .floats("s", &[2], &[2.0, 3.0])
        .floats("b", &[2], &[0.5, 0.25])
        .floats("m", &[2], &[0.1, 0.2])
        .floats("v", &[2], &[4.0, 1.0]);
    let x = case.x();
    (case, [(x[0] - 0.1) + 0.5, 3.0 * (x[1] - 0.2) + 0.25])
}

#[test]
fn normalisation_in_training() {
    let (case, expected) = normalisation(15);
    let exact = fixture::float("epsilon", 0.0);
    let training = |value| [exact.clone(), fixture::int("training_mode", value)];
    case.refused(&NORMALISED, &training(1), &["`training_mode`"]);
    case.gives(&NORMALISED, &training(0), &expected);
}

#[test]
fn training_in_old_files() {
    let (norm, expected) = normalisation(6);
    let exact = fixture::float("epsilon", 0.0);
    let is_test = |value| fixture::int("is_test", value);
    norm.refused(&NORMALISED, std::slice::from_ref(&exact), &["`is_test`"]);
    norm.refused(&NORMALISED, &[exact.clone(), is_test(0)], &["`is_test`"]);
    norm.gives(&NORMALISED, &[exact, is_test(1)], &expected);
    let x = norm.x();
    let dropout = Case::new("Dropout", 6, &[1, 2]);
    dropout.refused(&["x"], &[], &["`is_test`"]);
    dropout.refused(&["x"], &[is_test(0)], &["`is_test`"]);
    dropout.gives(&["x"], &[is_test(1)], &x);
    // From operator set 7 on the node is for inference.
    Case::new("Dropout", 7, &[1, 2]).gives(&["x"], &[], &x);
}

#[test]
fn the_default_epsilon_of_skipped_normalisations() {
    for op in ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"] {
        let case = Case::new(op, 13, &[1, 3])
            .microsoft()
            .floats("s", &[1, 3], &[1.0, -2.0, 0.5])
            .floats("g", &[3], &[1.0, 2.0, 3.0]);
        case.refused(&["x", "s", "g"], &[], &["`epsilon`", "1e-12"]);
        let mut sum: Vec<f32> = case.x().iter().zip([1.0, -2.0, 0.5]).map(|(x, s)| x + s).collect();
        if op == "SkipLayerNormalization" {
            sum = each(&sum, |x| x - mean(&sum));
        }
        let size = (mean(&each(&sum, |x| x * x)) + 0.25).sqrt();
        let expected: Vec<f32> = (0..3).map(|i| sum[i] / size * (i + 1) as f32).collect();
        case.gives(&["x", "s", "g"], &[fixture::float("epsilon", 0.25)], &expected);
    }
}

#[test]
fn biases_of_skipped_normalisations() {
    let case = Case::new("SkipSimplifiedLayerNormalization", 13, &[1, 3])
        .microsoft()
        .floats("s", &[1, 3], &[1.0, -2.0, 0.5])
        .floats("g", &[3], &[1.0, 2.0, 3.0]);
    let epsilon = fixture::float("epsilon", 1e-5);
    case.refused(&["x", "s", "g", "g"], std::slice::from_ref(&epsilon), &["`bias`"]);
    let sum: Vec<f32> = case.x().iter().zip([1.0, -2.0, 0.5]).map(|(x, s)| x + s).collect();
    let size = (mean(&each(&sum, |x| x * x)) + 1e-5).sqrt();
    let expected: Vec<f32> = (0..3).map(|i| sum[i] / size * (i + 1) as f32).collect();
    case.gives(&["x", "s", "g"], &[epsilon], &expected);
}

#[test]
fn activations_with_an_alpha() {
    let swish = Case::new("Swish", 24, &[1, 4]);
    swish.refused(&["x"], &[fixture::float("alpha", 1.7)], &["`alpha`"]);
    let expected = each(&swish.x(), |x| x / (1.0 + (-x).exp()));
    swish.gives(&["x"], &[fixture::float("alpha", 1.0)], &expected);
    let celu = Case::new("Celu", 13, &[1, 4]);
    celu.refused(&["x"], &[fixture::float("alpha", 0.7)], &["`alpha`"]);
    celu.gives(&["x"], &[fixture::float("alpha", 1.0)], &celu.x());
}

#[test]
fn slopes_per_channel_of_old_files() {
    let case = Case::new("PRelu", 6, &[1, 2, 2]).floats("s", &[2], &[0.1, 0.2]);
    case.refused(&["x", "s"], &[], &["slope"]);
    let case = Case::new("PRelu", 7, &[1, 2, 2]).floats("s", &[2], &[0.1, 0.2]);
    case.gives(&["x", "s"], &[], &case.x());
}

#[test]
fn global_norms() {
    let case = Case::new("GlobalLpPool", 13, &[1, 2, 2, 2]);
    case.refused(&["x"], &[fixture::int("p", 2)], &["mean"]);
}

#[test]
fn paddings_with_mode_and_constant() {
    let case = Case::new("Pad", 13, &[1, 3]).ints("p", &[0, 1, 0, 1]).floats("c", &[], &[7.0]);
    let x = case.x();
    for (mode, ends) in [("reflect", [x[1], x[1]]), ("edge", [x[0], x[2]])] {
        case.refused(&["x", "p", "c"], &[text("mode", mode)], &["`mode`", "`constant_value`"]);
        let expected = [ends[0], x[0], x[1], x[2], ends[1]];
        case.gives(&["x", "p"], &[text("mode", mode)], &expected);
    }
    case.gives(&["x", "p", "c"], &[text("mode", "constant")], &[7.0, x[0], x[1], x[2], 7.0]);
    let negative = Case::new("Pad", 13, &[1, 3]).ints("p", &[0, -1, 0, 0]);
    negative.refused(&["x", "p"], &[], &["negative"]);
}

#[test]
fn quantised_types() {
    let case = Case::new("QuantizeLinear", 21, &[1, 4]).floats("s", &[], &[0.1]);
    let (unsigned, signed) = (2, 3);
    case.refused(&["x", "s"], &[fixture::int("output_dtype", signed)], &["`output_dtype`"]);
    let expected = each(&case.x(), |x| (x / 0.1).round());
    case.gives(&["x", "s"], &[fixture::int("output_dtype", unsigned)], &expected);
    let case = Case::new("DequantizeLinear", 23, &[1, 4]).from(unsigned).floats("s", &[], &[0.5]);
    case.refused(&["x", "s"], &[fixture::int("output_dtype", 10)], &["`output_dtype`"]);
    case.gives(&["x", "s"], &[fixture::int("output_dtype", 1)], &[0.0; 4]);
}

#[test]
fn nearest_neighbours_of_old_files() {
    let case = Case::new("Resize", 10, &[1, 1, 1, 2]);
    let half = || Case::new("Resize", 10, &[1, 1, 1, 2]).floats("s", &[4], &[1.0, 1.0, 1.0, 1.5]);
    half().refused(&["x", "s"], &[text("mode", "nearest")], &["nearest"]);
    let x = case.x();
    let double = case.floats("s", &[4], &[1.0, 1.0, 1.0, 2.0]);
    double.gives(&["x", "s"], &[text("mode", "nearest")], &[x[0], x[0], x[1], x[1]]);
    half().gives(&["x", "s"], &[text("mode", "linear")], &[x[0], x[0] + (x[1] - x[0]) / 1.5, x[1]]);
}

#[test]
fn recurrent_cells() {
    let cells: [(_, &[i64], _, &[&str], &[&str]); 3] = [
        ("GRU", &[1, 3, 1], 3, &["Sigmoid", "Tanh"], &["Sigmoid", "Relu"]),
        ("LSTM", &[1, 4, 1], 4, &["Sigmoid", "Tanh", "Tanh"], &["HardSigmoid", "Tanh", "Tanh"]),
        ("RNN", &[1, 1, 1], 1, &["Tanh"], &["Relu"]),
    ];
    for (op, shape, gates, default, other) in cells {
        let weights = values(gates);
        let case = Case::new(op, 14, &[1, 1, 1]).floats("w", shape, &weights);
        let case = case.floats("r", shape, &weights);
        let hidden = fixture::int("hidden_size", 1);
        let inputs = ["x", "w", "r"];
        let mut pairs = vec![
            ("`direction`", text("direction", "reverse"), text("direction", "forward")),
            (
                "`activations`",
                fixture::strings("activations", other),
                fixture::strings("activations", default),
            ),
            ("`clip`", fixture::float("clip", 1.5), fixture::float("clip", 0.0)),
        ];
        if op == "LSTM" {
            let joined = |value| fixture::int("input_forget", value);
            pairs.push(("`input_forget`", joined(1), joined(0)));
        }
        let plain = case.results(&inputs, std::slice::from_ref(&hidden));
        for (word, wrong, right) in pairs {
            case.refused(&inputs, &[hidden.clone(), wrong], &[word]);
            assert_eq!(case.results(&inputs, &[hidden.clone(), right]), plain, "{op} {word}");
        }
    }
}

#[test]
fn scans_of_old_files() {
    let case = Case::new("Scan", 8, &[1, 2]);
    case.refused(&["", "x"], &[fixture::int("num_scan_inputs", 1)], &["operator set 8"]);
}

#[test]
fn channels_of_space_to_depth() {
    let case = Case::new("SpaceToDepth", 28, &[1, 2, 2, 2]);
    let size = fixture::int("blocksize", 2);
    case.refused(&["x"], &[size.clone(), text("mode", "CRD")], &["`mode`"]);
    let x = case.x();
    let expected: Vec<f32> = (0..4).flat_map(|place| [x[place], x[4 + place]]).collect();
    case.gives(&["x"], &[size, text("mode", "DCR")], &expected);
}

#[test]
fn trees_with_doubles() {
    let case = Case { domain: "ai.onnx.ml", ..Case::new("TreeEnsembleClassifier", 13, &[1, 2]) };
    let base = floats("base_values_as_tensor", &[0.5]);
    case.refused(&["x"], &[base], &["`base_values_as_tensor`"]);
}

#[test]
fn operators_of_other_domains() {
    let case = Case { domain: "com.microsoft.nchwc", ..Case::new("Relu", 13, &[1, 3]) };
    case.refused(&["x"], &[], &["`com.microsoft.nchwc`"]);
    for domain in ["", "ai.onnx"] {
        let case = Case { domain, ..Case::new("Relu", 13, &[1, 3]) };
        case.gives(&["x"], &[], &case.x());
    }
}
