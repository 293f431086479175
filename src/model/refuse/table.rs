//! What tract-onnx 0.23.9 reads past or applies wrongly.

use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::tensor::load_tensor;

use super::nodes::Node;

/// A part of some operators that tract gets wrong.
#[derive(Debug)]
pub(in crate::model) struct Refusal {
    pub operators: &'static [&'static str],
    /// The attribute or input, as a message names it.
    pub part: &'static str,
    /// What tract does instead.
    pub instead: &'static str,
    /// What the owner of the model can do.
    pub remedy: &'static str,
    /// Whether the part is given, with another value than the one that tract assumes.
    pub(super) is_wrong: fn(&Node<'_>) -> bool,
}

const ARITHMETIC: &[&str] =
    &["Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor"];
const PADDED: &[&str] =
    &["AveragePool", "Conv", "ConvInteger", "ConvTranspose", "MaxPool", "QLinearConv"];
const RECURRENT: &[&str] = &["GRU", "LSTM", "RNN"];

const INFERENCE: &str = "export the model for inference";
const WITHOUT: &str = "export the model without it";
const NEWER: &str = "export the model with operator set 13 or later";

/// By operator, then by part.
pub(in crate::model) const REFUSALS: &[Refusal] = &[
    Refusal {
        operators: ARITHMETIC,
        part: "attribute `axis` (operator sets 1 to 6)",
        instead: "it aligns the last axes",
        remedy: NEWER,
        is_wrong: |node| node.opset < 7 && node.attribute("axis").is_some(),
    },
    Refusal {
        operators: &["Attention"],
        part: "attribute `is_causal` together with the input `past_key`",
        instead: "its mask takes the first key for the first query's",
        remedy: "export the model without a cache of keys",
        is_wrong: |node| node.int("is_causal", 0) != 0 && node.has_input(4),
    },
    Refusal {
        operators: &["Attention"],
        part: "attribute `left_window_size`",
        instead: "it attends to all keys",
        remedy: WITHOUT,
        is_wrong: |node| node.int("left_window_size", -1) >= 0,
    },
    Refusal {
        operators: &["Attention"],
        part: "attribute `right_window_size`",
        instead: "it attends to all keys",
        remedy: WITHOUT,
        is_wrong: |node| node.int("right_window_size", -1) >= 0,
    },
    Refusal {
        operators: PADDED,
        part: "attribute `auto_pad` together with `pads`",
        instead: "it takes the `pads`, and ONNX allows only one of them",
        remedy: "export the model with one of them",
        is_wrong: |node| {
            let same = node.text("auto_pad", "NOTSET").starts_with("SAME");
            let valid = node.text("auto_pad", "NOTSET") == "VALID";
            let pads = node.ints("pads");
            (same && !pads.is_empty()) || (valid && pads.iter().any(|pad| *pad != 0))
        },
    },
    Refusal {
        operators: &["BatchNormalization"],
        part: "attribute `is_test`, 0 by default (operator sets 1 to 6)",
        instead: "it normalises by the stored statistics",
        remedy: INFERENCE,
        is_wrong: is_in_training,
    },
    Refusal {
        operators: &["BatchNormalization"],
        part: "attribute `training_mode`",
        instead: "it normalises by the stored statistics",
        remedy: INFERENCE,
        is_wrong: |node| node.int("training_mode", 0) != 0,
    },
    Refusal {
        operators: &["Celu"],
        part: "attribute `alpha`",
        instead: "it scales the exponent alone",
        remedy: WITHOUT,
        is_wrong: |node| (node.float("alpha", 1.0) - 1.0).abs() > 0.0,
    },
    Refusal {
        operators: &["ConvTranspose"],
        part: "attribute `output_shape` together with `pads`",
        instead: "it applies the `pads`, which ONNX derives from the shape",
        remedy: "export the model with `output_padding`",
        is_wrong: |node| {
            !node.ints("output_shape").is_empty() && node.ints("pads").iter().any(|pad| *pad != 0)
        },
    },
    Refusal {
        operators: &["DequantizeLinear"],
        part: "attribute `output_dtype`",
        instead: "it gives 32-bit floats",
        remedy: WITHOUT,
        is_wrong: |node| ![0, DataType::Float as i64].contains(&node.int("output_dtype", 0)),
    },
    Refusal {
        operators: &["Dropout"],
        part: "attribute `is_test`, 0 by default (operator sets 1 to 6)",
        instead: "it drops nothing",
        remedy: INFERENCE,
        is_wrong: is_in_training,
    },
    Refusal {
        operators: &["GlobalLpPool"],
        part: "sum",
        instead: "it takes a mean, and no absolute values",
        remedy: "export the model with ReduceL1 or ReduceL2",
        is_wrong: |_| true,
    },
    Refusal {
        operators: RECURRENT,
        part: "attribute `activations`",
        instead: "it applies the default functions",
        remedy: WITHOUT,
        is_wrong: has_other_activations,
    },
    Refusal {
        operators: RECURRENT,
        part: "attribute `clip`",
        instead: "it does not clip",
        remedy: WITHOUT,
        is_wrong: |node| node.float("clip", 0.0) > 0.0,
    },
    Refusal {
        operators: RECURRENT,
        part: "attribute `direction`",
        instead: "it reads the sequence forwards",
        remedy: "reverse the sequence before and after the node",
        is_wrong: |node| node.text("direction", "forward").eq_ignore_ascii_case("reverse"),
    },
    Refusal {
        operators: &["LSTM"],
        part: "attribute `input_forget`",
        instead: "it keeps the two gates apart",
        remedy: WITHOUT,
        is_wrong: |node| node.int("input_forget", 0) != 0,
    },
    Refusal {
        operators: &["MultiHeadAttention"],
        part: "attribute `unidirectional`",
        instead: "it attends to later keys",
        remedy: WITHOUT,
        is_wrong: |node| node.int("unidirectional", 0) != 0,
    },
    Refusal {
        operators: &["Pad"],
        part: "attribute `mode` together with the input `constant_value`",
        instead: "it pads with the constant",
        remedy: "export the model without the constant",
        is_wrong: |node| {
            node.opset >= 11 && node.text("mode", "constant") != "constant" && node.has_input(2)
        },
    },
    Refusal {
        operators: &["PRelu"],
        part: "slope per channel (operator sets 1 to 6)",
        instead: "it takes the slope along the last axis",
        remedy: NEWER,
        is_wrong: |node| node.opset < 7,
    },
    Refusal {
        operators: &["QuantizeLinear"],
        part: "attribute `output_dtype` without a zero point",
        instead: "it gives 8 unsigned bits",
        remedy: "export the model with a zero point",
        is_wrong: |node| {
            !node.has_input(2)
                && ![0, DataType::Uint8 as i64].contains(&node.int("output_dtype", 0))
        },
    },
    Refusal {
        operators: &["Resize"],
        part: "nearest neighbours at other than whole scales (operator set 10)",
        instead: "it rounds where operator set 10 takes the floor",
        remedy: "export the model with operator set 11 or later",
        is_wrong: |node| {
            node.opset == 10 && node.text("mode", "nearest") == "nearest" && !has_whole_scales(node)
        },
    },
    Refusal {
        operators: &["Scan"],
        part: "batch axis (operator set 8)",
        instead: "it takes the inputs for those of operator set 9",
        remedy: "export the model with operator set 9 or later",
        is_wrong: |node| node.opset == 8,
    },
    Refusal {
        operators: &["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"],
        part: "default of the attribute `epsilon`, 1e-12",
        instead: "it takes 1e-5",
        remedy: "export the model with `epsilon`",
        is_wrong: |node| node.attribute("epsilon").is_none(),
    },
    Refusal {
        operators: &["SkipSimplifiedLayerNormalization"],
        part: "input `bias`",
        instead: "it does not add it",
        remedy: WITHOUT,
        is_wrong: |node| node.has_input(3),
    },
    Refusal {
        operators: &["SpaceToDepth"],
        part: "attribute `mode`",
        instead: "it orders channels as in the mode DCR",
        remedy: WITHOUT,
        is_wrong: |node| node.text("mode", "DCR") != "DCR",
    },
    Refusal {
        operators: &["Swish"],
        part: "attribute `alpha`",
        instead: "it takes 1",
        remedy: "export the model with Mul and Sigmoid",
        is_wrong: |node| (node.float("alpha", 1.0) - 1.0).abs() > 0.0,
    },
    Refusal {
        operators: &["TreeEnsembleClassifier"],
        part: "attribute `base_values_as_tensor`",
        instead: "it starts from zero",
        remedy: "export the model with `base_values`",
        is_wrong: |node| node.attribute("base_values_as_tensor").is_some(),
    },
];

fn is_in_training(node: &Node<'_>) -> bool {
    node.opset < 7 && node.int("is_test", 0) == 0
}

fn has_other_activations(node: &Node<'_>) -> bool {
    let defaults: &[&str] = match node.proto.op_type.as_str() {
        "GRU" => &["Sigmoid", "Tanh"],
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        _ => &["Tanh"],
    };
    let given = node.attribute("activations").map_or(&[][..], |attribute| &attribute.strings);
    let names = given.iter().map(|text| String::from_utf8_lossy(text));
    !names.eq(defaults.iter().copied().cycle().take(given.len()))
}

/// Whether the scales of a Resize are stored in the graph and all whole, where every rounding gives the same.
fn has_whole_scales(node: &Node<'_>) -> bool {
    let name = node.proto.input.get(1);
    let stored = node.graph.initializer.iter().find(|tensor| Some(&tensor.name) == name);
    let scales = stored.and_then(|tensor| load_tensor(&MmapDataResolver, tensor, None).ok());
    let scales = scales.and_then(|scales| {
        Some(scales.cast_to::<f32>().ok()?.to_plain_array_view::<f32>().ok()?.to_owned())
    });
    scales.is_some_and(|scales| scales.iter().all(|scale| *scale >= 1.0 && scale.fract() == 0.0))
}
