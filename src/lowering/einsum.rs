//! Products with a matrix of weights that does not change, among tract's sums of products: fully connected layers and
//! convolutions of 1x1, forwards and backwards.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::conv::Windowed;
use super::dense::Dense;

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

/// The operator for a product with weights, and which input it takes, if there is one.
pub(super) fn of_einsum(
    op: &EinSum,
    facts: &[&TypedFact],
    out: &TypedFact,
) -> TractResult<Option<(usize, Box<dyn TypedOp>)>> {
    let is_f32 = |fact: &&TypedFact| fact.datum_type == f32::datum_type() && fact.is_plain();
    let &[_, _] = facts else { return Ok(None) };
    if op.q_params.is_some() || !facts.iter().all(is_f32) || op.operating_dt != f32::datum_type() {
        return Ok(None);
    }
    let labels = |slot| op.axes.axes(slot).map(|axis| axis.repr).collect::<Vec<char>>();
    let Some(shape) = out.shape.as_concrete() else { return Ok(None) };
    let to = long(&labels(InOut::Out(0)), shape);
    for (slot, other) in [(0, 1), (1, 0)] {
        let (Some(konst), Some(rows)) = (&facts[other].konst, facts[slot].shape.as_concrete())
        else {
            continue;
        };
        let matrix = labels(InOut::In(other));
        let from = long(&labels(InOut::In(slot)), rows);
        let Some(roles) = Roles::of(&from, &long(&matrix, konst.shape()), &to) else {
            continue;
        };
        let strides = |group: &[Axis]| -> Vec<(usize, usize)> {
            let stride = |label: char| {
                let at = matrix.iter().position(|other| *other == label).unwrap_or(matrix.len());
                konst.shape().get(at + 1..).unwrap_or_default().iter().product()
            };
            group.iter().map(|(label, dim)| (*dim, stride(*label))).collect()
        };
        let (depths, columns) = (places(&strides(&roles.summed)), places(&strides(&roles.brought)));
        let values = konst.try_as_plain_ram()?;
        let values = values.as_slice::<f32>()?;
        let weight = |k: usize, n: usize| values[depths[k] + columns[n]];
        let sizes = (depths.len(), columns.len());
        let op: Box<dyn TypedOp> = match roles.trail {
            1 => Dense::new(shape, sizes, weight).into(),
            trail => Windowed::pointwise(shape, sizes, trail, weight).into(),
        };
        return Ok(Some((slot, op)));
    }
    Ok(None)
}
