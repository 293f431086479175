//! The logits: found upstream of a final softmax, sigmoid or log-softmax, as one row of scores per sample.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Pad, PadMode};
use tract_onnx::tract_core::ops::cast::{Cast, cast};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::nn::{Sigmoid, Softmax, SoftmaxKind};

/// What stood between the logits and the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing: the output holds the logits.
    None,
    Softmax,
    LogSoftmax,
    Sigmoid,
}

/// The attacked scores of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logits {
    pub tail: Tail,
    /// The node that was bypassed.
    pub node: Option<String>,
    /// Classes: two where the model has one score.
    pub classes: usize,
    /// Whether one score became two, [0, z].
    pub binary: bool,
}

/// Makes the graph's only output the logits, `batch x classes` in f32: bypasses a final softmax or sigmoid,
/// flattens, and turns one score z into [0, z].
///
/// # Errors
/// When the output is not one row of scores per sample.
pub(super) fn expose(model: &mut TypedModel, batch: usize) -> TractResult<Logits> {
    let (tail, node) = bypass(model)?;
    let mut wire = model.output_outlets()?[0];
    let fact = model.outlet_fact(wire)?.clone();
    let shape: TVec<usize> =
        fact.shape.iter().map(|dim| dim.to_usize()).collect::<Result<_, _>>()?;
    let scores = shape.iter().product::<usize>();
    let rows = shape.first().copied().unwrap_or(1);
    ensure!(fact.datum_type.is_float(), "the output holds {:?}, not scores", fact.datum_type);
    ensure!(
        rows == batch || (batch == 1 && shape.len() == 1),
        "the output has shape {shape:?} for {batch} samples, not one row per sample"
    );
    let classes = scores / batch;
    ensure!(
        shape.iter().skip(usize::from(rows == batch)).filter(|len| **len != 1).count() <= 1,
        "the output has shape {shape:?}, not one row of class scores per sample"
    );
    let flat: TVec<TDim> = tvec![batch.to_dim(), classes.to_dim()];
    if fact.shape.to_tvec() != flat {
        wire = model.wire_node(
            "ironbound.flatten",
            AxisOp::Reshape(0, fact.shape.to_tvec(), flat),
            &[wire],
        )?[0];
    }
    if fact.datum_type != f32::datum_type() {
        wire = model.wire_node("ironbound.scores", cast(f32::datum_type()), &[wire])?[0];
    }
    let binary = classes == 1;
    if binary {
        let mode = PadMode::Constant(rctensor0(0f32));
        let pad = Pad { pads: vec![(0, 0), (1, 0)], mode };
        wire = model.wire_node("ironbound.binary", pad, &[wire])?[0];
    }
    model.select_output_outlets(&[wire])?;
    Ok(Logits { tail, node, classes: classes.max(2), binary })
}

/// Walks back from the output over ops that only rename or reshape; rewires the graph around a softmax or sigmoid
/// found there.
fn bypass(model: &mut TypedModel) -> TractResult<(Tail, Option<String>)> {
    let mut outlet = model.output_outlets()?[0];
    loop {
        let node = model.node(outlet.node);
        let (Some(input), Some(tail)) = (node.inputs.first().copied(), tail_of(node)) else {
            return Ok((Tail::None, None));
        };
        if tail == Tail::None {
            outlet = input;
            continue;
        }
        let name = node.name.clone();
        let mut patch = TypedModelPatch::new("bypass the final activation");
        let tap = patch.tap_model(model, input)?;
        patch.shunt_outside(model, outlet, tap)?;
        patch.apply(model)?;
        return Ok((tail, Some(name)));
    }
}

/// The kind of a node that may stand between logits and output; `Tail::None` for one that changes no value.
fn tail_of(node: &TypedNode) -> Option<Tail> {
    if let Some(softmax) = node.op_as::<Softmax>() {
        return Some(match softmax.kind {
            SoftmaxKind::Softmax => Tail::Softmax,
            SoftmaxKind::LogSoftmax => Tail::LogSoftmax,
        });
    }
    if node.op_as::<ElementWiseOp>().is_some_and(|op| op.0.is::<Sigmoid>()) {
        return Some(Tail::Sigmoid);
    }
    let renames = node.op_is::<AxisOp>()
        || node.op_is::<Identity>()
        || node.op_as::<Cast>().is_some_and(|cast| cast.to.is_float());
    renames.then_some(Tail::None)
}
