//! tract's sums of products that are products of matrices: with weights that do not change, which are fully connected layers and
//! convolutions of 1x1, forwards and backwards, and with one another.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::conv::Windowed;
use super::dense::Dense;
use super::matrices::{self, Matrices};
use super::pass::Replacement;
use super::view::View;

/// An axis by its label, and how long it is.
type Axis = (char, usize);

/// The axes that are longer than 1, on which alone it hangs where a value lies.
fn long(labels: &[char], shape: &[usize]) -> Vec<Axis> {
    labels.iter().copied().zip(shape.iter().copied()).filter(|(_, dim)| *dim > 1).collect()
}

/// What a product's axes are for: between those that both sides share, some are summed over and others come in their place.
struct Roles {
    summed: Vec<Axis>,
    brought: Vec<Axis>,
    /// Values along the shared axes behind.
    trail: usize,
}

impl Roles {
    /// None unless every axis of the weights is summed over or brought in.
    fn of(from: &[Axis], matrix: &[Axis], to: &[Axis]) -> Option<Self> {
        let is_shared = |(one, other): &(&Axis, &Axis)| one == other && !matrix.contains(one);
        let lead = from.iter().zip(to).take_while(is_shared).count();
        let (from, to) = (&from[lead..], &to[lead..]);
        let trail = from.iter().rev().zip(to.iter().rev()).take_while(is_shared).count();
        let (summed, behind) = from.split_at(from.len() - trail);
        let brought = &to[..to.len() - trail];
        let is_covered = matrix.len() == summed.len() + brought.len()
            && summed.iter().chain(brought).all(|axis| matrix.contains(axis));
        is_covered.then(|| Self {
            summed: summed.into(),
            brought: brought.into(),
            trail: behind.iter().map(|(_, dim)| dim).product(),
        })
    }
}

/// Where the entries along axes with these extents and strides lie, in order.
fn places(axes: &[(usize, usize)]) -> Vec<usize> {
    axes.iter().fold(vec![0], |places, (dim, stride)| {
        places.iter().flat_map(|place| (0..*dim).map(move |at| place + at * stride)).collect()
    })
}

/// The operator for a sum of products, and what it takes, if there is one.
pub(super) fn of_einsum(
    model: &TypedModel,
    node: &TypedNode,
    op: &EinSum,
) -> TractResult<Option<Replacement>> {
    let facts = model.node_input_facts(node.id)?;
    let is_f32 = |fact: &&TypedFact| fact.datum_type == f32::datum_type() && fact.is_plain();
    let &[_, _] = &facts[..] else { return Ok(None) };
    if op.q_params.is_some() || !facts.iter().all(is_f32) || op.operating_dt != f32::datum_type() {
        return Ok(None);
    }
    let Some(shape) = node.outputs[0].fact.shape.as_concrete() else { return Ok(None) };
    for slot in [0, 1] {
        if let Some(op) = with_weights(op, &facts, shape, slot)? {
            return Ok(Some((vec![node.inputs[slot]], op)));
        }
    }
    with_one_another(model, node, op, shape)
}

fn labels(op: &EinSum, slot: InOut) -> Vec<char> {
    op.axes.axes(slot).map(|axis| axis.repr).collect()
}

/// The product of the input in this slot with weights in the other.
fn with_weights(
    op: &EinSum,
    facts: &[&TypedFact],
    shape: &[usize],
    slot: usize,
) -> TractResult<Option<Box<dyn TypedOp>>> {
    let other = 1 - slot;
    let (Some(konst), Some(rows)) = (&facts[other].konst, facts[slot].shape.as_concrete()) else {
        return Ok(None);
    };
    let matrix = labels(op, InOut::In(other));
    let from = long(&labels(op, InOut::In(slot)), rows);
    let to = long(&labels(op, InOut::Out(0)), shape);
    let Some(roles) = Roles::of(&from, &long(&matrix, konst.shape()), &to) else {
        return Ok(None);
    };
    let whole = View::whole(OutletId::new(0, 0), konst.shape());
    let strides = |group: &[Axis]| -> Vec<(usize, usize)> {
        group.iter().map(|(label, dim)| (*dim, whole.stride(&matrix, *label))).collect()
    };
    let (depths, columns) = (places(&strides(&roles.summed)), places(&strides(&roles.brought)));
    let values = konst.try_as_plain_ram()?;
    let values = values.as_slice::<f32>()?;
    let weight = |k: usize, n: usize| values[depths[k] + columns[n]];
    let sizes = (depths.len(), columns.len());
    Ok(Some(match roles.trail {
        1 => Dense::new(shape, sizes, weight).into(),
        trail => Windowed::pointwise(shape, sizes, trail, weight).into(),
    }))
}

/// The product of both inputs.
fn with_one_another(
    model: &TypedModel,
    node: &TypedNode,
    op: &EinSum,
    shape: &[usize],
) -> TractResult<Option<Replacement>> {
    let mut views = vec![];
    for (slot, input) in node.inputs.iter().enumerate() {
        let Some(view) = View::of(model, *input)? else { return Ok(None) };
        views.push((labels(op, InOut::In(slot)), view));
    }
    let inputs = views.iter().map(|(_, view)| view.outlet).collect();
    views.push((labels(op, InOut::Out(0)), View::whole(node.id.into(), shape)));
    let mut axes: Vec<Axis> = vec![];
    for (labels, view) in &views {
        let long = long(labels, &view.shape);
        for (at, axis) in long.iter().enumerate() {
            // A diagonal.
            if long[..at].contains(axis) {
                return Ok(None);
            }
            if !axes.contains(axis) {
                axes.push(*axis);
            }
        }
    }
    let axes: Vec<matrices::Axis> = axes
        .into_iter()
        .map(|(label, dim)| {
            let stride = |at: usize| views[at].1.stride(&views[at].0, label);
            matrices::Axis { dim, strides: [stride(0), stride(1), stride(2)] }
        })
        .collect();
    let begins = [views[0].1.start, views[1].1.start, 0];
    let factor = views[0].1.factor * views[1].1.factor;
    Ok(Matrices::of(shape, &axes, begins, factor).map(|op| (inputs, op.into())))
}
