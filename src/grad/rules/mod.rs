//! One rule per operator of tract's decluttered op set. The table below is the list of what can be differentiated.

mod binary;
mod branch;
mod conv;
mod deconv;
mod downsample;
mod einsum;
mod elementwise;
mod kernel;
mod lrn;
mod pool;
mod recurrent;
mod reduce;
mod scan;
mod select;
mod shape;
mod softmax;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Gather, MultiBroadcastTo, Pad, Slice, Tile, TypedConcat};
use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, MaxPool, SumPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_core::ops::gru_cell::GruEpilogue;
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::logic::{
    And, BitAnd, BitNot, BitOr, BitXor, CompEq, CompGT, CompGTE, CompLT, CompLTE, CompNE,
    IfThenElse, Iff, Not, Or, Xor,
};
use tract_onnx::tract_core::ops::lstm_cell::LstmEpilogue;
use tract_onnx::tract_core::ops::nn::{RmsNorm, Softmax};
use tract_onnx::tract_core::ops::quant::{LookupTable, QuantizeLinearI8, QuantizeLinearU8};
use tract_onnx::tract_core::ops::scan::Scan;
use tract_onnx::tract_core::ops::{Downsample, math, nn};
use tract_onnx_opl::lrn::Lrn;

use super::tape::Tape;

/// A forward node on the way back.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// The node; its inputs and outputs are outlets of the tape's graph.
    pub node: &'a TypedNode,
    /// The cotangent of each output; none where nothing of the loss depends on it.
    pub cotangents: &'a [Option<OutletId>],
    /// Whether each input depends on the attacked tensor: only those need a cotangent.
    pub wants: &'a [bool],
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
        OutletId::new(self.node.id, 0)
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
    /// Zero by definition: piecewise constant, or an integer or boolean result.
    Zero,
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
}

/// The rule of an operator, if it has one.
pub(crate) fn find(op: &dyn TypedOp) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.matches)(op))
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
    Rule { name, matches: |op| op.is::<T>(), derivative: Derivative::Exact(vjp) }
}

const fn bin<T: BinMiniOp>(name: &'static str, vjp: Vjp) -> Rule {
    Rule { name, matches: is_bin::<T>, derivative: Derivative::Exact(vjp) }
}

const fn elt<T: ElementWiseMiniOp>(name: &'static str, vjp: Vjp) -> Rule {
    Rule { name, matches: is_elt::<T>, derivative: Derivative::Exact(vjp) }
}

const fn exact(name: &'static str, matches: fn(&dyn TypedOp) -> bool, vjp: Vjp) -> Rule {
    Rule { name, matches, derivative: Derivative::Exact(vjp) }
}

const fn zero(name: &'static str, matches: fn(&dyn TypedOp) -> bool) -> Rule {
    Rule { name, matches, derivative: Derivative::Zero }
}

fn is_bin<T: BinMiniOp>(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<TypedBinOp>().is_some_and(|op| op.0.is::<T>())
}

fn is_elt<T: ElementWiseMiniOp>(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<ElementWiseOp>().is_some_and(|op| op.0.is::<T>())
}

/// The table: alphabetical, one line per operator.
static RULES: &[Rule] = &[
    elt::<math::Abs>("Abs", elementwise::abs),
    elt::<math::Acos>("Acos", elementwise::acos),
    elt::<math::Acosh>("Acosh", elementwise::acosh),
    bin::<math::Add>("Add", binary::add),
    zero("And", is_bin::<And>),
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
    zero("Cast (to an integer or boolean)", shape::casts_to_discrete),
    zero("Ceil", is_elt::<math::Ceil>),
    op::<TypedConcat>("Concat", shape::concat),
    op::<Conv>("Conv", conv::conv),
    elt::<math::Cos>("Cos", elementwise::cos),
    elt::<math::Cosh>("Cosh", elementwise::cosh),
    op::<Deconv>("Deconv", deconv::deconv),
    bin::<math::Div>("Div", binary::div),
    op::<Downsample>("Downsample", downsample::downsample),
    op::<EinSum>("EinSum", einsum::einsum),
    zero("Eq", is_bin::<CompEq>),
    elt::<math::Erf>("Erf", elementwise::erf),
    elt::<math::Exp>("Exp", elementwise::exp),
    zero("Floor", is_elt::<math::Floor>),
    op::<Gather>("Gather", select::gather),
    elt::<nn::GeluApproximate>("GeluApproximate", elementwise::gelu_approximate),
    elt::<nn::GeluExact>("GeluExact", elementwise::gelu_exact),
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
    zero("LookupTable", is_elt::<LookupTable>),
    op::<Lrn>("Lrn", lrn::lrn),
    op::<LstmEpilogue>("LstmEpilogue", recurrent::lstm_cell),
    zero("LT", is_bin::<CompLT>),
    zero("LTE", is_bin::<CompLTE>),
    bin::<math::Max>("Max", binary::max),
    op::<MaxPool>("MaxPool", pool::max_pool),
    bin::<math::Min>("Min", binary::min),
    bin::<math::Mul>("Mul", binary::mul),
    op::<MultiBroadcastTo>("MultiBroadcastTo", shape::broadcast),
    zero("NE", is_bin::<CompNE>),
    elt::<math::Neg>("Neg", elementwise::neg),
    zero("Not", is_elt::<Not>),
    zero("Or", is_bin::<Or>),
    op::<Pad>("Pad", shape::pad),
    bin::<math::Pow>("Pow", binary::pow),
    elt::<math::PowConst>("PowConst", elementwise::pow_const),
    zero("QScale", is_elt::<math::QScale>),
    zero("QuantizeLinearI8", is_elt::<QuantizeLinearI8>),
    zero("QuantizeLinearU8", is_elt::<QuantizeLinearU8>),
    elt::<math::Recip>("Recip", elementwise::recip),
    zero("Reduce (ArgMax, ArgMin, All, Any)", reduce::is_discrete),
    exact("Reduce (MeanOfSquares, Max, Min, Prod, Sum)", reduce::is_continuous, reduce::reduce),
    bin::<math::Rem>("Rem", binary::rem),
    op::<RmsNorm>("RmsNorm", softmax::rms_norm),
    zero("Round", is_elt::<math::Round>),
    zero("RoundHalfToEven", is_elt::<math::RoundHalfToEven>),
    elt::<math::Rsqrt>("Rsqrt", elementwise::rsqrt),
    op::<Scan>("Scan", scan::scan),
    zero("ShiftLeft", is_bin::<math::ShiftLeft>),
    zero("ShiftRight", is_bin::<math::ShiftRight>),
    elt::<nn::Sigmoid>("Sigmoid", elementwise::sigmoid),
    zero("Sign", is_elt::<math::Sign>),
    elt::<nn::Silu>("Silu", elementwise::silu),
    elt::<math::Sin>("Sin", elementwise::sin),
    elt::<math::Sinh>("Sinh", elementwise::sinh),
    op::<Slice>("Slice", shape::slice),
    op::<Softmax>("Softmax", softmax::softmax),
    elt::<math::Sqrt>("Sqrt", elementwise::sqrt),
    elt::<math::Square>("Square", elementwise::square),
    bin::<math::Sub>("Sub", binary::sub),
    bin::<math::SubF>("SubF", binary::subf),
    op::<SumPool>("SumPool", pool::sum_pool),
    elt::<math::Tan>("Tan", elementwise::tan),
    elt::<math::Tanh>("Tanh", elementwise::tanh),
    op::<Tile>("Tile", shape::tile),
    zero("Xor", is_bin::<Xor>),
];

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn the_table_is_alphabetical() {
        let names: Vec<String> = names().map(|(name, _)| name.to_lowercase()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
