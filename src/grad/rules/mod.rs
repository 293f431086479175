//! One rule per operator of tract's decluttered op set. The table below is the list of what can be differentiated.

mod attention;
mod binary;
mod branch;
mod conv;
mod deconv;
mod downsample;
mod dyn_slice;
mod einsum;
mod elementwise;
mod grid_sample;
mod index;
mod kernel;
mod lrn;
mod pool;
mod quant;
mod recurrent;
mod reduce;
mod resize;
mod scan;
mod scatter;
mod select;
mod shape;
mod softmax;
mod spectral;
mod triangular;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{
    CumSum, DynSlice, Gather, GatherElements, GatherNd, MultiBroadcastTo, OneHot, Pad,
    ScatterElements, ScatterNd, Slice, Tile, Topk, Trilu, TypedConcat,
};
use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::cnn::{Deconv, MaxPool, SumPool};
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_core::ops::fft::{Fft, Stft};
use tract_onnx::tract_core::ops::gru_cell::GruEpilogue;
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::logic::{
    And, BitAnd, BitNot, BitOr, BitXor, CompEq, CompGT, CompGTE, CompLT, CompLTE, CompNE,
    IfThenElse, Iff, Not, Or, Xor,
};
use tract_onnx::tract_core::ops::lstm_cell::LstmEpilogue;
use tract_onnx::tract_core::ops::nn::grid_sample::GridSample;
use tract_onnx::tract_core::ops::nn::resize::{NearestUpsample, Resize};
use tract_onnx::tract_core::ops::nn::{RmsNorm, Softmax};
use tract_onnx::tract_core::ops::quant::{
    DequantizeLinearF32, LookupTable, QuantizeLinearI8, QuantizeLinearU8,
};
use tract_onnx::tract_core::ops::scan::Scan;
use tract_onnx::tract_core::ops::{Downsample, math, nn};
use tract_onnx::tract_hir::ops::array::{ConstantLike, EyeLike};
use tract_onnx_opl::lrn::Lrn;
use tract_onnx_opl::ml::tree_ensemble_classifier::TreeEnsembleClassifier;
use tract_onnx_opl::multinomial::Multinomial;
use tract_onnx_opl::non_max_suppression::NonMaxSuppression;
use tract_onnx_opl::non_zero::NonZero;
use tract_onnx_opl::resize::Resize as OnnxResize;
use tract_transformers::ops::apply_rope::ApplyRope;
use tract_transformers::ops::sdpa::Sdpa;

use super::straight_through::StraightThrough;
use super::tape::Tape;
use crate::lowering::{Gelu, LayerNorm};

/// A forward node on the way back.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// The node; its inputs and outputs are outlets of the tape's graph.
    pub node: &'a TypedNode,
    /// The node's outputs.
    pub outputs: &'a [OutletId],
    /// The cotangent of each output; none where nothing of the loss depends on it.
    pub cotangents: &'a [Option<OutletId>],
    /// Whether each input depends on the attacked tensor: only those need a cotangent.
    pub wants: &'a [bool],
    /// Which nodes of inner graphs are passed straight through.
    pub through: &'a StraightThrough,
}

impl Step<'_> {
    /// The operator, as the type that the rule was matched by.
    pub(crate) fn op<T: TypedOp>(&self) -> TractResult<&T> {
        self.node.op_as::<T>().with_context(|| format!("{} is not the op of this rule", self.node))
    }

    /// The cotangent of the only output.
    pub(crate) fn cotangent(&self) -> TractResult<OutletId> {
        self.cotangents[0].context("the walk calls a rule only when a cotangent arrived")
    }

    pub(crate) fn input(&self, slot: usize) -> OutletId {
        self.node.inputs[slot]
    }

    pub(crate) fn output(&self) -> OutletId {
        self.outputs[0]
    }
}

/// The cotangent of each input, in order; `None` where none is wanted or the derivative is zero.
pub(crate) type Cotangents = TVec<Option<OutletId>>;

/// A vector-Jacobian product: emits what turns the outputs' cotangents into the inputs'.
pub(crate) type Vjp = fn(&mut Tape<'_>, &Step<'_>) -> TractResult<Cotangents>;

/// What is known of an operator's derivative.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Derivative {
    /// Exact, where the function is differentiable.
    Exact(Vjp),
    /// Zero by definition: piecewise constant, an integer or boolean result, or one that no value enters.
    Zero,
}

/// What may stand in for the derivative of a function that rounds: that of what it rounds (straight-through estimator,
/// Bengio et al. 2013; BPDA, Athalye et al. 2018).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surrogate {
    /// The operator's name in ONNX.
    pub kind: &'static str,
    /// Its vector-Jacobian product.
    pub vjp: Vjp,
}

/// Every rule, by name, and whether its derivative is zero by definition.
pub(crate) fn names() -> impl Iterator<Item = (&'static str, bool)> {
    RULES.iter().map(|rule| (rule.name, matches!(rule.derivative, Derivative::Zero)))
}

/// An operator and its derivative.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The operator's name in tract.
    pub name: &'static str,
    matches: fn(&dyn TypedOp) -> bool,
    /// Its derivative.
    pub derivative: Derivative,
    /// What a straight-through gradient takes instead, if there is such a thing.
    pub surrogate: Option<Surrogate>,
}

/// The rule of an operator, if it has one.
pub(crate) fn find(op: &dyn TypedOp) -> Option<&'static Rule> {
    RULES.iter().chain(OURS).find(|rule| (rule.matches)(op))
}

/// What a node differentiates of a graph inside it.
#[derive(Debug)]
pub(crate) struct Part {
    /// Decluttered.
    pub body: TypedModel,
    /// Those that cotangents arrive at.
    pub outputs: TVec<OutletId>,
    /// Those that cotangents are wanted of.
    pub inputs: TVec<OutletId>,
}

/// The graphs inside a node, given which of its inputs want a cotangent.
pub(crate) fn parts(node: &TypedNode, wants: &[bool]) -> TractResult<Vec<Part>> {
    if let Some(op) = node.op_as::<Scan>() {
        Ok(vec![scan::part(op, wants)?])
    } else if let Some(op) = node.op_as::<IfThenElse>() {
        branch::parts(op, wants)
    } else {
        Ok(vec![])
    }
}

const fn op<T: TypedOp>(name: &'static str, vjp: Vjp) -> Rule {
    Rule { name, matches: |op| op.is::<T>(), derivative: Derivative::Exact(vjp), surrogate: None }
}

const fn bin<T: BinMiniOp>(name: &'static str, vjp: Vjp) -> Rule {
    Rule { name, matches: is_bin::<T>, derivative: Derivative::Exact(vjp), surrogate: None }
}

const fn elt<T: ElementWiseMiniOp>(name: &'static str, vjp: Vjp) -> Rule {
    Rule { name, matches: is_elt::<T>, derivative: Derivative::Exact(vjp), surrogate: None }
}

const fn exact(name: &'static str, matches: fn(&dyn TypedOp) -> bool, vjp: Vjp) -> Rule {
    Rule { name, matches, derivative: Derivative::Exact(vjp), surrogate: None }
}

const fn zero(name: &'static str, matches: fn(&dyn TypedOp) -> bool) -> Rule {
    Rule { name, matches, derivative: Derivative::Zero, surrogate: None }
}

/// A function that rounds: its derivative is zero, its surrogate is not. `kind` is its name in ONNX.
const fn rounds(
    name: &'static str,
    kind: &'static str,
    matches: fn(&dyn TypedOp) -> bool,
    vjp: Vjp,
) -> Rule {
    let surrogate = Some(Surrogate { kind, vjp });
    Rule { name, matches, derivative: Derivative::Zero, surrogate }
}

fn is<T: TypedOp>(op: &dyn TypedOp) -> bool {
    op.is::<T>()
}

fn is_bin<T: BinMiniOp>(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<TypedBinOp>().is_some_and(|op| op.0.is::<T>())
}

fn is_elt<T: ElementWiseMiniOp>(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<ElementWiseOp>().is_some_and(|op| op.0.is::<T>())
}

/// The table: alphabetical, one line per operator.
pub(crate) static RULES: &[Rule] = &[
    elt::<math::Abs>("Abs", elementwise::abs),
    elt::<math::Acos>("Acos", elementwise::acos),
    elt::<math::Acosh>("Acosh", elementwise::acosh),
    bin::<math::Add>("Add", binary::add),
    zero("And", is_bin::<And>),
    op::<ApplyRope>("ApplyRope", attention::apply_rope),
    elt::<math::Asin>("Asin", elementwise::asin),
    elt::<math::Asinh>("Asinh", elementwise::asinh),
    elt::<math::Atan>("Atan", elementwise::atan),
    elt::<math::Atanh>("Atanh", elementwise::atanh),
    op::<AxisOp>("AxisOp", shape::axis_op),
    zero("BitAnd", is_bin::<BitAnd>),
    zero("BitNot", is_elt::<BitNot>),
    zero("BitOr", is_bin::<BitOr>),
    zero("BitXor", is_bin::<BitXor>),
    exact("Cast (to a float)", shape::casts_to_float, shape::cast),
    rounds("Cast (to an integer or boolean)", "Cast", shape::casts_to_discrete, quant::round),
    rounds("Ceil", "Ceil", is_elt::<math::Ceil>, quant::round),
    op::<TypedConcat>("Concat", shape::concat),
    zero("ConstantLike", is::<ConstantLike>),
    exact("Conv", quant::is_plain_conv, conv::conv),
    exact("Conv (of integers)", quant::is_integer_conv, quant::conv),
    rounds("Conv (quantised)", "QLinearConv", quant::is_quantised_conv, quant::conv),
    elt::<math::Cos>("Cos", elementwise::cos),
    elt::<math::Cosh>("Cosh", elementwise::cosh),
    op::<CumSum>("CumSum", triangular::cum_sum),
    op::<Deconv>("Deconv", deconv::deconv),
    op::<DequantizeLinearF32>("DequantizeLinearF32", quant::dequantize_linear),
    bin::<math::Div>("Div", binary::div),
    op::<Downsample>("Downsample", downsample::downsample),
    Rule {
        name: "DynamicQuantizeLinearU8",
        matches: quant::is_dynamic_quantize_linear,
        derivative: Derivative::Exact(quant::dynamic_scale),
        surrogate: Some(Surrogate {
            kind: "DynamicQuantizeLinear",
            vjp: quant::dynamic_quantize_linear,
        }),
    },
    op::<DynSlice>("DynSlice", dyn_slice::dyn_slice),
    exact("EinSum", quant::is_plain_einsum, einsum::einsum),
    exact("EinSum (of integers)", quant::is_integer_einsum, quant::einsum),
    rounds("EinSum (quantised)", "QLinearMatMul", quant::is_quantised_einsum, quant::einsum),
    zero("Eq", is_bin::<CompEq>),
    elt::<math::Erf>("Erf", elementwise::erf),
    elt::<math::Exp>("Exp", elementwise::exp),
    zero("EyeLike", is::<EyeLike>),
    op::<Fft>("Fft", spectral::fft),
    rounds("Floor", "Floor", is_elt::<math::Floor>, quant::round),
    op::<Gather>("Gather", select::gather),
    op::<GatherElements>("GatherElements", index::gather_elements),
    op::<GatherNd>("GatherNd", index::gather_nd),
    elt::<nn::GeluApproximate>("GeluApproximate", elementwise::gelu_approximate),
    elt::<nn::GeluExact>("GeluExact", elementwise::gelu_exact),
    op::<GridSample>("GridSample", grid_sample::grid_sample),
    op::<GruEpilogue>("GruEpilogue", recurrent::gru_cell),
    op::<GruSeq>("GruSeq", recurrent::gru_sequence),
    zero("GT", is_bin::<CompGT>),
    zero("GTE", is_bin::<CompGTE>),
    elt::<nn::HardSwish>("HardSwish", elementwise::hard_swish),
    op::<Identity>("Identity", shape::identity),
    op::<Iff>("Iff", select::iff),
    op::<IfThenElse>("IfThenElse", branch::if_then_else),
    zero("IsInf", is_elt::<math::IsInf>),
    zero("IsNan", is_elt::<math::IsNan>),
    elt::<nn::LeakyRelu>("LeakyRelu", elementwise::leaky_relu),
    elt::<math::Ln>("Ln", elementwise::ln),
    rounds("LookupTable", "QuantizeLinear", is_elt::<LookupTable>, quant::lookup_table),
    op::<Lrn>("Lrn", lrn::lrn),
    op::<LstmEpilogue>("LstmEpilogue", recurrent::lstm_cell),
    zero("LT", is_bin::<CompLT>),
    zero("LTE", is_bin::<CompLTE>),
    bin::<math::Max>("Max", binary::max),
    op::<MaxPool>("MaxPool", pool::max_pool),
    bin::<math::Min>("Min", binary::min),
    bin::<math::Mul>("Mul", binary::mul),
    op::<MultiBroadcastTo>("MultiBroadcastTo", shape::broadcast),
    zero("Multinomial", is::<Multinomial>),
    zero("NE", is_bin::<CompNE>),
    op::<NearestUpsample>("NearestUpsample", resize::nearest_upsample),
    elt::<math::Neg>("Neg", elementwise::neg),
    zero("NonMaxSuppression", is::<NonMaxSuppression>),
    zero("NonZero", is::<NonZero>),
    zero("Not", is_elt::<Not>),
    zero("OneHot", is::<OneHot>),
    zero("Or", is_bin::<Or>),
    op::<Pad>("Pad", shape::pad),
    bin::<math::Pow>("Pow", binary::pow),
    elt::<math::PowConst>("PowConst", elementwise::pow_const),
    zero("QScale", is_elt::<math::QScale>),
    rounds(
        "QuantizeLinearI8",
        "QuantizeLinear",
        is_elt::<QuantizeLinearI8>,
        quant::quantize_linear_i8,
    ),
    rounds(
        "QuantizeLinearU8",
        "QuantizeLinear",
        is_elt::<QuantizeLinearU8>,
        quant::quantize_linear_u8,
    ),
    elt::<math::Recip>("Recip", elementwise::recip),
    zero("Reduce (ArgMax, ArgMin, All, Any)", reduce::is_discrete),
    exact("Reduce (MeanOfSquares, Max, Min, Prod, Sum)", reduce::is_continuous, reduce::reduce),
    bin::<math::Rem>("Rem", binary::rem),
    op::<Resize>("Resize", resize::resize),
    op::<OnnxResize>("Resize (ONNX variants)", resize::onnx_resize),
    op::<RmsNorm>("RmsNorm", softmax::rms_norm),
    rounds("Round", "Round", is_elt::<math::Round>, quant::round),
    rounds("RoundHalfToEven", "Round", is_elt::<math::RoundHalfToEven>, quant::round),
    elt::<math::Rsqrt>("Rsqrt", elementwise::rsqrt),
    op::<Scan>("Scan", scan::scan),
    op::<ScatterElements>("ScatterElements", scatter::scatter_elements),
    op::<ScatterNd>("ScatterNd", scatter::scatter_nd),
    op::<Sdpa>("Sdpa", attention::sdpa),
    zero("ShiftLeft", is_bin::<math::ShiftLeft>),
    zero("ShiftRight", is_bin::<math::ShiftRight>),
    elt::<nn::Sigmoid>("Sigmoid", elementwise::sigmoid),
    rounds("Sign", "Sign", is_elt::<math::Sign>, quant::sign),
    elt::<nn::Silu>("Silu", elementwise::silu),
    elt::<math::Sin>("Sin", elementwise::sin),
    elt::<math::Sinh>("Sinh", elementwise::sinh),
    op::<Slice>("Slice", shape::slice),
    op::<Softmax>("Softmax", softmax::softmax),
    elt::<math::Sqrt>("Sqrt", elementwise::sqrt),
    elt::<math::Square>("Square", elementwise::square),
    op::<Stft>("Stft", spectral::stft),
    bin::<math::Sub>("Sub", binary::sub),
    bin::<math::SubF>("SubF", binary::subf),
    op::<SumPool>("SumPool", pool::sum_pool),
    elt::<math::Tan>("Tan", elementwise::tan),
    elt::<math::Tanh>("Tanh", elementwise::tanh),
    op::<Tile>("Tile", shape::tile),
    op::<Topk>("TopK", index::top_k),
    zero("TreeEnsembleClassifier", is::<TreeEnsembleClassifier>),
    op::<Trilu>("Trilu", triangular::trilu),
    zero("Xor", is_bin::<Xor>),
];

/// The rules of our own operators.
static OURS: &[Rule] = &[
    op::<Gelu>("Gelu", elementwise::gelu_exact),
    op::<LayerNorm>("LayerNorm", softmax::layer_norm),
];

#[cfg(test)]
mod tests {
    use tract_onnx::prelude::*;
    use tract_onnx::tract_core::internal::{TypedOp, tensor0};
    use tract_onnx::tract_core::ops::cast::cast;
    use tract_onnx::tract_hir::ops::array::{ConstantLike, EyeLike};
    use tract_onnx_opl::non_max_suppression::{BoxRepr, NonMaxSuppression};
    use tract_onnx_opl::non_zero::NonZero;

    use super::names;
    use crate::grad::StraightThrough;
    use crate::grad::testing::{emitted_gradient, one_node, values};
    use crate::grad::walk::unsupported;

    #[test]
    fn the_table_is_alphabetical() {
        let names: Vec<String> = names().map(|(name, _)| name.to_lowercase()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
    #[test]
    fn a_result_that_no_value_enters_has_no_gradient() {
        let operators: [Box<dyn TypedOp>; 2] =
            [Box::new(ConstantLike::new(0.3)), Box::new(EyeLike::new(None, 1))];
        for op in operators {
            let build = |dt| one_node(op.clone(), dt, &[&[2, 3]], &[]);
            let gradient = emitted_gradient(&build, &[values(&[2, 3], -1.0, 1.0)]).unwrap();
            assert_eq!(gradient, [0.0; 6]);
        }
    }

    /// Their shapes are known only when they run, so that no gradient can be emitted past them, nor need be.
    #[test]
    fn computed_places_are_supported() {
        let symbols = SymbolScope::default();
        let boxes = NonMaxSuppression {
            center_point_box: BoxRepr::TwoPoints,
            num_selected_indices_symbol: symbols.sym("n"),
            has_score_threshold: false,
        };
        let scores = values(&[1, 1, 3], 0.0, 1.0);
        let constants = [scores, tensor0(2_i64), tensor0(0.5_f32)];
        let nonzero = NonZero { count: symbols.sym("n") };
        let f32 = f32::datum_type();
        for mut model in [
            one_node(boxes, f32, &[&[1, 3, 4]], &constants).unwrap(),
            one_node(nonzero, f32, &[&[1, 3]], &[]).unwrap(),
        ] {
            let (x, places) = (model.inputs[0], model.outputs[0]);
            let y = model.wire_node("float", cast(f32), &[places]).unwrap()[0];
            assert_eq!(unsupported(&model, y, x, &StraightThrough::default()).unwrap(), []);
        }
    }
}
