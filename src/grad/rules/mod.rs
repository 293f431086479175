//! One rule per operator of tract's decluttered op set. The table below is the list of what can be differentiated.

mod binary;
mod conv;
mod deconv;
mod downsample;
mod einsum;
mod kernel;
mod lrn;
mod pool;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, MaxPool, SumPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_core::ops::{Downsample, math};
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

/// An operator and its derivative.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The operator's name.
    pub name: &'static str,
    matches: fn(&dyn TypedOp) -> bool,
    /// Its derivative.
    pub derivative: Derivative,
}

/// The rule of an operator, if it has one.
pub(crate) fn find(op: &dyn TypedOp) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.matches)(op))
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

const fn zero(name: &'static str, matches: fn(&dyn TypedOp) -> bool) -> Rule {
    Rule { name, matches, derivative: Derivative::Zero }
}

fn is_op<T: TypedOp>(op: &dyn TypedOp) -> bool {
    op.is::<T>()
}

fn is_bin<T: BinMiniOp>(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<TypedBinOp>().is_some_and(|op| op.0.is::<T>())
}

fn is_elt<T: ElementWiseMiniOp>(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<ElementWiseOp>().is_some_and(|op| op.0.is::<T>())
}

/// The table: alphabetical, one line per operator.
static RULES: &[Rule] = &[
    bin::<math::Add>("Add", binary::add),
    op::<Conv>("Conv", conv::conv),
    op::<Deconv>("Deconv", deconv::deconv),
    op::<Downsample>("Downsample", downsample::downsample),
    op::<EinSum>("EinSum", einsum::einsum),
    zero("Floor", is_elt::<math::Floor>),
    op::<Lrn>("Lrn", lrn::lrn),
    op::<MaxPool>("MaxPool", pool::max_pool),
    op::<SumPool>("SumPool", pool::sum_pool),
];
