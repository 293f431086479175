//! The logits: found upstream of a final softmax, sigmoid or log-softmax, as one row of scores per sample.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Pad, PadMode, TypedConcat};
use tract_onnx::tract_core::ops::cast::{Cast, cast};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::math::Ln;
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
    let (tail, node) = bypass(model, batch)?;
    let outlet = model.output_outlets()?[0];
    let shape = shape(model, outlet)?;
    let classes_of = if shape.first() == Some(&batch) { &shape[1..] } else { &shape[..] };
    ensure!(
        classes_of.iter().filter(|len| **len != 1).count() <= 1,
        "the output has shape {shape:?}, not one row of class scores per sample"
    );
    let (mut wire, classes) = flatten(model, outlet, batch, "ironbound")?;
    let binary = classes == 1;
    if binary {
        let mode = PadMode::Constant(rctensor0(0f32));
        let pad = Pad { pads: vec![(0, 0), (1, 0)], mode };
        wire = model.wire_node("ironbound.binary", pad, &[wire])?[0];
    }
    model.select_output_outlets(&[wire])?;
    Ok(Logits { tail, node, classes: classes.max(2), binary })
}

/// Makes the graph's only output the values of its outputs, one after the other, `batch x values` in f32.
///
/// # Errors
/// When an output has not the same number of values for each sample.
pub(super) fn expose_raw(model: &mut TypedModel, batch: usize) -> TractResult<Logits> {
    let (mut wires, mut classes) = (tvec![], 0);
    for (at, outlet) in model.output_outlets()?.to_vec().into_iter().enumerate() {
        let (wire, values) = flatten(model, outlet, batch, &format!("ironbound.{at}"))?;
        wires.push(wire);
        classes += values;
    }
    let joined = if wires.len() == 1 {
        wires
    } else {
        model.wire_node("ironbound.outputs", TypedConcat::new(1), &wires)?
    };
    model.select_output_outlets(&joined)?;
    Ok(Logits { tail: Tail::None, node: None, classes, binary: false })
}

fn shape(model: &TypedModel, outlet: OutletId) -> TractResult<TVec<usize>> {
    let dims = model.outlet_fact(outlet)?.shape.iter();
    Ok(dims.map(|dim| dim.to_usize()).collect::<Result<_, _>>()?)
}

/// A tensor as `batch x values` in f32, and the number of values.
fn flatten(
    model: &mut TypedModel,
    outlet: OutletId,
    batch: usize,
    prefix: &str,
) -> TractResult<(OutletId, usize)> {
    let (mut wire, shape) = (outlet, shape(model, outlet)?);
    let fact = model.outlet_fact(wire)?.clone();
    let rows = shape.first().copied().unwrap_or(1);
    ensure!(fact.datum_type.is_float(), "the output holds {:?}, not scores", fact.datum_type);
    ensure!(
        rows == batch || (batch == 1 && shape.len() == 1),
        "the output has shape {shape:?} for {batch} samples, not one row per sample"
    );
    let values = shape.iter().product::<usize>() / batch;
    let flat: TVec<TDim> = tvec![batch.to_dim(), values.to_dim()];
    if fact.shape.to_tvec() != flat {
        let reshape = AxisOp::Reshape(0, fact.shape.to_tvec(), flat);
        wire = model.wire_node(format!("{prefix}.flatten"), reshape, &[wire])?[0];
    }
    if fact.datum_type != f32::datum_type() {
        wire = model.wire_node(format!("{prefix}.scores"), cast(f32::datum_type()), &[wire])?[0];
    }
    Ok((wire, values))
}

/// Walks back from the output over ops that only rename or reshape; rewires the graph around a softmax or sigmoid
/// found there.
fn bypass(model: &mut TypedModel, batch: usize) -> TractResult<(Tail, Option<String>)> {
    let mut outlet = model.output_outlets()?[0];
    let mut logarithm = None;
    loop {
        let node = model.node(outlet.node);
        let (Some(input), Some(part)) = (node.inputs.first().copied(), part_of(node)) else {
            return Ok((Tail::None, None));
        };
        let tail = match (part, logarithm) {
            (Part::Rename, _) => {
                outlet = input;
                continue;
            }
            (Part::Logarithm, None) => {
                logarithm = Some(outlet);
                outlet = input;
                continue;
            }
            (Part::Activation(tail), None) => tail,
            (Part::Activation(Tail::Softmax), Some(_)) => Tail::LogSoftmax,
            _ => return Ok((Tail::None, None)),
        };
        if let Some(softmax) = node.op_as::<Softmax>() {
            // One over a part of the scores, or over the batch, changes which one is largest.
            let shape = &model.outlet_fact(input)?.shape;
            let len = |axes: &mut dyn Iterator<Item = usize>| -> TractResult<usize> {
                Ok(axes.map(|axis| shape[axis].to_usize()).product::<Result<usize, _>>()?)
            };
            let normalised = len(&mut softmax.axes.iter().copied())?;
            if normalised != len(&mut (0..shape.rank()))? / batch {
                return Ok((Tail::None, None));
            }
        }
        let name = node.name.clone();
        skip(model, outlet)?;
        if let Some(outlet) = logarithm {
            skip(model, outlet)?;
        }
        return Ok((tail, Some(name)));
    }
}

/// Rewires the readers of a node's output to its first input.
fn skip(model: &mut TypedModel, outlet: OutletId) -> TractResult<()> {
    let mut patch = TypedModelPatch::new("bypass the final activation");
    let tap = patch.tap_model(model, model.node(outlet.node).inputs[0])?;
    patch.shunt_outside(model, outlet, tap)?;
    patch.apply(model)
}

/// What may stand between logits and output.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Changes no value.
    Rename,
    /// The last step of a log-softmax, as tract's importer leaves it.
    Logarithm,
    Activation(Tail),
}

fn part_of(node: &TypedNode) -> Option<Part> {
    if let Some(softmax) = node.op_as::<Softmax>() {
        return Some(Part::Activation(match softmax.kind {
            SoftmaxKind::Softmax => Tail::Softmax,
            SoftmaxKind::LogSoftmax => Tail::LogSoftmax,
        }));
    }
    if let Some(op) = node.op_as::<ElementWiseOp>() {
        return if op.0.is::<Sigmoid>() {
            Some(Part::Activation(Tail::Sigmoid))
        } else {
            op.0.is::<Ln>().then_some(Part::Logarithm)
        };
    }
    let renames = node.op_is::<AxisOp>()
        || node.op_is::<Identity>()
        || node.op_as::<Cast>().is_some_and(|cast| cast.to.is_float());
    renames.then_some(Part::Rename)
}
