//! Every operator of tract 0.23.9, and what is known of its derivative: for `docs/operators.md` and for the test that
//! no operator is forgotten.

use std::fmt::Write;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;

use super::rules::{self, Derivative, Rule};

/// tract's operators, by crate: all `impl TypedOp`, and the functions of `TypedBinOp` and `ElementWiseOp`.
const TRACT: &[(&str, &[&str])] = &[
    (
        "tract-core",
        &[
            "AxisOp",
            "BlockQuantIntoShape",
            "BlockedConv",
            "Cast",
            "ClampedSwiGlu",
            "ComplexToInnerDim",
            "Const",
            "Conv",
            "CumSum",
            "Deconv",
            "DeconvSum",
            "DepthWise",
            "DepthwiseDeconv",
            "DequantizeLinearF32",
            "DirectSpatialConv",
            "Downsample",
            "Dummy",
            "DynSlice",
            "DynTile",
            "EinSum",
            "EinSumMatMul",
            "ElementWiseOp",
            "Fft",
            "FiniteReshape",
            "Gather",
            "GatherElements",
            "GatherNd",
            "GridSample",
            "GruEpilogue",
            "GruSeq",
            "Identity",
            "IfThenElse",
            "Iff",
            "Im2Col",
            "InnerDimToComplex",
            "IntoShape",
            "LazyIm2Col",
            "LstmEpilogue",
            "MaxPool",
            "MultiBroadcastTo",
            "NearestUpsample",
            "OneHot",
            "OptBinByScalar",
            "OptBinChain",
            "OptBinUnicast",
            "OptMatMul",
            "OptMatMulPack",
            "OptMaxPool",
            "OptScan",
            "OptSimpleMatMulPack",
            "OptSumPool",
            "Pad",
            "PrefixMatMul",
            "QSumB",
            "Range",
            "Reduce",
            "Resize",
            "RmsNorm",
            "ScaledRmsNorm",
            "Scan",
            "ScatterElements",
            "ScatterNd",
            "Slice",
            "Softmax",
            "SplitGroupBlockQuant",
            "Stft",
            "StridedSlice",
            "SubmodelOp",
            "SumPool",
            "Tile",
            "Topk",
            "Trilu",
            "TypedBinOp",
            "TypedConcat",
            "TypedSource",
        ],
    ),
    (
        "tract-core, functions of two operands",
        &[
            "Add",
            "And",
            "BitAnd",
            "BitOr",
            "BitXor",
            "Div",
            "Eq",
            "GT",
            "GTE",
            "LT",
            "LTE",
            "Max",
            "Min",
            "Mul",
            "NE",
            "Or",
            "Pow",
            "Rem",
            "Scale",
            "ShiftLeft",
            "ShiftRight",
            "Sub",
            "SubF",
            "Xor",
        ],
    ),
    (
        "tract-core, functions of one operand",
        &[
            "Abs",
            "Acos",
            "Acosh",
            "Asin",
            "Asinh",
            "Atan",
            "Atanh",
            "BitNot",
            "Ceil",
            "Cos",
            "Cosh",
            "Erf",
            "Exp",
            "Floor",
            "GeluApproximate",
            "GeluExact",
            "HardSwish",
            "IsInf",
            "IsNan",
            "LeakyRelu",
            "Ln",
            "LookupTable",
            "Neg",
            "Not",
            "OffsetI8asU8",
            "OffsetU8asI8",
            "PowConst",
            "QScale",
            "QuantizeLinearI8",
            "QuantizeLinearU8",
            "Recip",
            "Round",
            "RoundHalfToEven",
            "Rsqrt",
            "Sigmoid",
            "Sign",
            "Silu",
            "Sin",
            "Sinh",
            "Sqrt",
            "Square",
            "Tan",
            "Tanh",
        ],
    ),
    ("tract-extra", &["ExpUnitNorm"]),
    ("tract-hir", &["ConstantLike", "EyeLike"]),
    ("tract-onnx", &["Dropout", "DynamicQuantizeLinearU8", "OnnxMaxPoolIndices", "StringParse"]),
    (
        "tract-onnx-opl",
        &[
            "DirectLookup",
            "Lrn",
            "Multinomial",
            "NonMaxSuppression",
            "NonZero",
            "Random",
            "Resize (ONNX variants)",
            "ReverseLookup",
            "TreeEnsembleClassifier",
        ],
    ),
    (
        "tract-transformers",
        &[
            "ApplyRope",
            "CausalConv1dUpdate",
            "DiagGather",
            "DynKeyValueCache",
            "FlashSdpaOp",
            "GatedDeltaNetRecurrent",
            "InPlaceKvSdpa",
            "MoeFfn",
            "OptMoeFfn",
            "QuantizedDynKeyValueCache",
            "QuantizedKvSdpa",
            "RotateHalf",
            "RouteTopK",
            "RoutedCombine",
            "RoutedMatMul",
            "RoutedQ40MatMul",
            "ScaledMaskedSoftmax",
            "Sdpa",
            "StreamedSdpaOp",
            "WindowKvSdpa",
        ],
    ),
];

const CODE: &str = "made by code generation only, after the gradient";
const FUNCTION: &str = "listed by its function";
const INPUT: &str = "has no input";
const NO_ONNX: &str = "ONNX's front end does not make it";
const TRANSFORM: &str = "made by explicit transforms only, which this crate does not call";
const LENGTH: &str = "its length is known only when it runs";
const WHOLE: &str = "integers or booleans in or out";
const RANDOM: &str = "random: its result does not depend on its input differentiably";

/// Operators without a rule, and why.
pub(crate) const DECLARED: &[(&str, &str)] = &[
    ("BlockQuantIntoShape", CODE),
    ("BlockedConv", CODE),
    ("CausalConv1dUpdate", NO_ONNX),
    ("ClampedSwiGlu", NO_ONNX),
    ("ComplexToInnerDim", NO_ONNX),
    ("Const", INPUT),
    ("DeconvSum", CODE),
    ("DepthWise", CODE),
    ("DepthwiseDeconv", CODE),
    ("DiagGather", TRANSFORM),
    ("DirectLookup", WHOLE),
    ("DirectSpatialConv", CODE),
    ("Dropout", "random: stays only in training mode, or where its ratio is computed"),
    ("Dummy", NO_ONNX),
    ("DynKeyValueCache", NO_ONNX),
    ("DynTile", LENGTH),
    ("EinSumMatMul", CODE),
    ("ElementWiseOp", FUNCTION),
    ("ExpUnitNorm", NO_ONNX),
    ("FiniteReshape", CODE),
    ("FlashSdpaOp", CODE),
    ("GatedDeltaNetRecurrent", NO_ONNX),
    ("Im2Col", CODE),
    ("InPlaceKvSdpa", CODE),
    ("InnerDimToComplex", NO_ONNX),
    ("IntoShape", CODE),
    ("LazyIm2Col", CODE),
    ("MoeFfn", NO_ONNX),
    ("OffsetI8asU8", WHOLE),
    ("OffsetU8asI8", WHOLE),
    ("OnnxMaxPoolIndices", "its indices are integers, and its type private to tract"),
    ("OptBinByScalar", CODE),
    ("OptBinChain", CODE),
    ("OptBinUnicast", CODE),
    ("OptMatMul", CODE),
    ("OptMatMulPack", CODE),
    ("OptMaxPool", CODE),
    ("OptMoeFfn", CODE),
    ("OptScan", CODE),
    ("OptSimpleMatMulPack", CODE),
    ("OptSumPool", CODE),
    ("PrefixMatMul", CODE),
    ("QSumB", CODE),
    ("QuantizedDynKeyValueCache", NO_ONNX),
    ("QuantizedKvSdpa", CODE),
    ("Random", RANDOM),
    ("Range", LENGTH),
    ("ReverseLookup", WHOLE),
    ("RotateHalf", TRANSFORM),
    ("RouteTopK", NO_ONNX),
    ("RoutedCombine", NO_ONNX),
    ("RoutedMatMul", NO_ONNX),
    ("RoutedQ40MatMul", CODE),
    ("Scale", CODE),
    ("ScaledMaskedSoftmax", "made of Sdpa by code generation only, after the gradient"),
    ("ScaledRmsNorm", NO_ONNX),
    ("SplitGroupBlockQuant", CODE),
    ("StreamedSdpaOp", CODE),
    ("StridedSlice", "becomes other operators when it is decluttered"),
    ("StringParse", "text in"),
    ("SubmodelOp", NO_ONNX),
    ("TypedBinOp", FUNCTION),
    ("TypedSource", INPUT),
    ("WindowKvSdpa", CODE),
];

/// The declared reason why an operator has no rule, by the name of its type or the one that tract shows.
pub(crate) fn declared(name: &str) -> Option<&'static str> {
    let same = |other: &str| other.eq_ignore_ascii_case(name);
    DECLARED.iter().find(|(op, _)| same(op)).map(|(_, why)| *why)
}

/// The operators of a decluttered graph that have neither a rule nor a declared reason.
pub(crate) fn forgotten(model: &TypedModel) -> Vec<String> {
    let nodes = model.nodes().iter().filter(|node| {
        let leaf = node.op_is::<TypedSource>() || node.op_is::<Const>();
        !leaf && rules::find(node.op.as_ref()).is_none() && declared(&node.op.name()).is_none()
    });
    nodes.map(|node| format!("{} (`{}`)", node.op.name(), node.name)).collect()
}

/// The rules of an operator: the one of that name, or those for parts of it.
fn rules_of(op: &str) -> Vec<&'static Rule> {
    let op = op.strip_prefix("Typed").unwrap_or(op);
    let listed = |name: &str| TRACT.iter().any(|(_, ops)| ops.contains(&name));
    let is = |rule: &&Rule| {
        let family = rule.name.split(" (").next().unwrap_or(rule.name);
        rule.name.eq_ignore_ascii_case(op)
            || (family.eq_ignore_ascii_case(op) && !listed(rule.name))
    };
    rules::RULES.iter().filter(is).collect()
}

fn status(rule: &Rule) -> &'static str {
    match (rule.derivative, rule.surrogate) {
        (Derivative::Exact(_), None) => "exact",
        (Derivative::Exact(_), Some(_)) => "exact; straight-through possible",
        (Derivative::Zero, None) => "zero by definition",
        (Derivative::Zero, Some(_)) => "zero by definition; straight-through possible",
    }
}

/// The table of `docs/operators.md`.
pub(crate) fn table() -> String {
    let mut text = String::from("| tract | operator | gradient |\n|---|---|---|\n");
    for (part, ops) in TRACT {
        for op in *ops {
            let rules = rules_of(op);
            if rules.is_empty() {
                let why = declared(op).unwrap_or("?");
                let _ = writeln!(text, "| {part} | {op} | none: {why} |");
            }
            for rule in rules {
                let _ = writeln!(text, "| {part} | {} | {} |", rule.name, status(rule));
            }
        }
    }
    text
}

/// How many rules there are, in a sentence.
pub(crate) fn summary() -> String {
    let zero = rules::names().filter(|(_, zero)| *zero).count();
    let through = rules::RULES.iter().filter(|rule| rule.surrogate.is_some()).count();
    let rules = rules::RULES.len();
    format!(
        "There are {rules} gradient rules for tract's operators: {} are exact, {zero} are zero by definition;\n{through} have a \
         straight-through estimator besides.",
        rules - zero
    )
}

#[test]
fn every_operator_of_tract_has_a_rule_or_a_reason() {
    let ops = || TRACT.iter().flat_map(|(_, ops)| ops.iter().copied());
    for op in ops() {
        let (covered, reason) = (!rules_of(op).is_empty(), declared(op).is_some());
        assert!(covered || reason, "{op} has neither a gradient rule nor a declared reason");
        assert!(!(covered && reason), "{op} has a rule: strike it from the declared reasons");
    }
    for (name, _) in rules::names() {
        let listed = ops().filter(|op| rules_of(op).iter().any(|rule| rule.name == name)).count();
        assert_eq!(listed, 1, "{name} is listed so many times");
    }
    for op in DECLARED.iter().map(|(op, _)| *op) {
        assert!(ops().any(|known| known == op), "{op} is no operator of tract");
    }
    for (part, ops) in TRACT {
        assert!(ops.is_sorted_by(|a, b| a < b), "{part} is not in order");
    }
    assert!(DECLARED.is_sorted_by_key(|(op, _)| *op), "the declared reasons are not in order");
}
