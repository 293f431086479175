//! Every operator of tract 0.23.9, and what is known of its derivative: for `docs/operators.md` and for the test that
//! no operator is forgotten.

use std::fmt::Write;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;

use super::rules;

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
            "Resize",
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

/// Operators whose rule is being written. Empty this list when they are in the table.
pub(crate) const BEING_ADDED: &[&str] = &[
    "ApplyRope",
    "CumSum",
    "DequantizeLinearF32",
    "DynSlice",
    "DynTile",
    "DynamicQuantizeLinearU8",
    "GatherElements",
    "GatherNd",
    "GridSample",
    "GruEpilogue",
    "GruSeq",
    "IfThenElse",
    "LstmEpilogue",
    "NearestUpsample",
    "OneHot",
    "Resize",
    "RotateHalf",
    "ScaledMaskedSoftmax",
    "ScaledRmsNorm",
    "Scan",
    "ScatterElements",
    "ScatterNd",
    "Sdpa",
    "StridedSlice",
    "Topk",
    "Trilu",
];

const CODE: &str = "made by code generation only, after the gradient";
const FUNCTION: &str = "listed by its function";
const INPUT: &str = "has no input";
const NO_ONNX: &str = "ONNX's front end does not make it";
const WHOLE: &str = "integers or booleans in or out";
const RANDOM: &str = "random: its result does not depend on its input differentiably";

/// Operators without a rule, and why.
pub(crate) const DECLARED: &[(&str, &str)] = &[
    ("BlockQuantIntoShape", CODE),
    ("BlockedConv", CODE),
    ("CausalConv1dUpdate", NO_ONNX),
    ("ClampedSwiGlu", NO_ONNX),
    ("ComplexToInnerDim", "complex numbers"),
    ("Const", INPUT),
    ("ConstantLike", "its result is a constant"),
    ("DeconvSum", CODE),
    ("DepthWise", CODE),
    ("DepthwiseDeconv", CODE),
    ("DiagGather", NO_ONNX),
    ("DirectLookup", WHOLE),
    ("DirectSpatialConv", CODE),
    ("Dropout", "stays only where its ratio or mode is computed at run time"),
    ("Dummy", NO_ONNX),
    ("DynKeyValueCache", NO_ONNX),
    ("EinSumMatMul", CODE),
    ("ElementWiseOp", FUNCTION),
    ("ExpUnitNorm", NO_ONNX),
    ("EyeLike", "its result is a constant"),
    ("Fft", "complex numbers"),
    ("FiniteReshape", CODE),
    ("FlashSdpaOp", CODE),
    ("GatedDeltaNetRecurrent", NO_ONNX),
    ("Im2Col", CODE),
    ("InPlaceKvSdpa", CODE),
    ("InnerDimToComplex", "complex numbers"),
    ("IntoShape", CODE),
    ("LazyIm2Col", CODE),
    ("MoeFfn", NO_ONNX),
    ("Multinomial", RANDOM),
    ("NonMaxSuppression", WHOLE),
    ("NonZero", WHOLE),
    ("OffsetI8asU8", WHOLE),
    ("OffsetU8asI8", WHOLE),
    ("OnnxMaxPoolIndices", WHOLE),
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
    ("Range", "its length would depend on the attacked values"),
    ("ReverseLookup", WHOLE),
    ("RouteTopK", NO_ONNX),
    ("RoutedCombine", NO_ONNX),
    ("RoutedMatMul", NO_ONNX),
    ("RoutedQ40MatMul", CODE),
    ("Scale", CODE),
    ("SplitGroupBlockQuant", CODE),
    ("Stft", "complex numbers"),
    ("StreamedSdpaOp", CODE),
    ("StringParse", "text in"),
    ("SubmodelOp", NO_ONNX),
    ("TreeEnsembleClassifier", "decision trees: piecewise constant"),
    ("TypedBinOp", FUNCTION),
    ("TypedSource", INPUT),
    ("WindowKvSdpa", CODE),
];

/// Zero by definition, though rounding or thresholds could pass the cotangent straight through.
const STRAIGHT_THROUGH: &[&str] = &[
    "Cast (to an integer or boolean)",
    "Ceil",
    "Floor",
    "LookupTable",
    "QuantizeLinearI8",
    "QuantizeLinearU8",
    "Round",
    "RoundHalfToEven",
    "Sign",
];

/// The declared reason why an operator has no rule, by the name of its type or the one that tract shows.
pub(crate) fn declared(name: &str) -> Option<&'static str> {
    let same = |other: &str| other.eq_ignore_ascii_case(name);
    if BEING_ADDED.iter().any(|op| same(op)) {
        return Some("rule being added");
    }
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

/// The rules of an operator, as (name, zero by definition).
fn rules_of(op: &str) -> Vec<(&'static str, bool)> {
    let op = op.strip_prefix("Typed").unwrap_or(op);
    let is = |name: &str| {
        let family = name.split(" (").next().unwrap_or(name);
        family.eq_ignore_ascii_case(op)
    };
    rules::names().filter(|(name, _)| is(name)).collect()
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
            for (name, zero) in rules {
                let status = match (zero, STRAIGHT_THROUGH.contains(&name)) {
                    (false, _) => "exact",
                    (true, false) => "zero by definition",
                    (true, true) => "zero by definition; straight-through possible",
                };
                let _ = writeln!(text, "| {part} | {name} | {status} |");
            }
        }
    }
    text
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
        assert!(ops().any(|op| rules_of(op).iter().any(|(rule, _)| *rule == name)), "{name}");
    }
    for op in BEING_ADDED.iter().copied().chain(DECLARED.iter().map(|(op, _)| *op)) {
        assert!(ops().any(|known| known == op), "{op} is no operator of tract");
    }
    for (part, ops) in TRACT {
        assert!(ops.is_sorted_by(|a, b| a < b), "{part} is not in order");
    }
    assert!(DECLARED.is_sorted_by_key(|(op, _)| *op), "the declared reasons are not in order");
    assert!(STRAIGHT_THROUGH.iter().all(|op| rules::names().any(|rule| rule == (*op, true))));
}
