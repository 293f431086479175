//! tract's sums of products that are products of matrices: with weights that do not change, which are fully connected layers and
//! convolutions of 1x1, forwards and backwards, and with one another.

use std::ops::Range;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::conv::Windowed;
use super::dense::Dense;
use super::matrices::{self, Matrices};

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

/// Where the values along an axis with this label lie, in a tensor of this shape; nowhere in particular if there is only one.
fn stride(labels: &[char], shape: &[usize], label: char) -> usize {
    let at = labels.iter().position(|other| *other == label).filter(|at| shape[*at] > 1);
    at.map_or(0, |at| shape[at + 1..].iter().product())
}

/// The operator for a sum of products, and which inputs it takes, if there is one.
pub(super) fn of_einsum(
    op: &EinSum,
    facts: &[&TypedFact],
    out: &TypedFact,
) -> TractResult<Option<(Range<usize>, Box<dyn TypedOp>)>> {
    let is_f32 = |fact: &&TypedFact| fact.datum_type == f32::datum_type() && fact.is_plain();
    let &[_, _] = facts else { return Ok(None) };
    if op.q_params.is_some() || !facts.iter().all(is_f32) || op.operating_dt != f32::datum_type() {
        return Ok(None);
    }
    let Some(shape) = out.shape.as_concrete() else { return Ok(None) };
    for slot in [0, 1] {
        if let Some(op) = with_weights(op, facts, shape, slot)? {
            return Ok(Some((slot..slot + 1, op)));
        }
    }
    Ok(with_one_another(op, facts, shape).map(|op| (0..2, op.into())))
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
    let strides = |group: &[Axis]| -> Vec<(usize, usize)> {
        group.iter().map(|(label, dim)| (*dim, stride(&matrix, konst.shape(), *label))).collect()
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
fn with_one_another(op: &EinSum, facts: &[&TypedFact], shape: &[usize]) -> Option<Matrices> {
    let (left, right) = (facts[0].shape.as_concrete()?, facts[1].shape.as_concrete()?);
    let slots = [InOut::In(0), InOut::In(1), InOut::Out(0)];
    let tensors = slots.map(|slot| labels(op, slot)).into_iter().zip([left, right, shape]);
    let tensors: Vec<(Vec<char>, &[usize])> = tensors.collect();
    let mut axes: Vec<Axis> = vec![];
    for (labels, shape) in &tensors {
        for (at, axis) in long(labels, shape).into_iter().enumerate() {
            // A diagonal.
            if long(labels, shape)[..at].contains(&axis) {
                return None;
            }
            if !axes.contains(&axis) {
                axes.push(axis);
            }
        }
    }
    let axes: Vec<matrices::Axis> = axes
        .into_iter()
        .map(|(label, dim)| {
            let strides = tensors.iter().map(|(labels, shape)| stride(labels, shape, label));
            let strides: Vec<usize> = strides.collect();
            matrices::Axis { dim, strides: [strides[0], strides[1], strides[2]] }
        })
        .collect();
    Matrices::of(shape, &axes)
}
