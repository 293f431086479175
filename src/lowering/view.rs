//! Tensors that are parts of others, or multiples: read where those lie, without a copy.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::Slice;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::Mul;

/// A tensor whose values are those of another times a factor.
#[derive(Debug)]
pub(super) struct View {
    /// The other.
    pub(super) outlet: OutletId,
    pub(super) shape: TVec<usize>,
    /// Where the first value lies, and from one to the next along each axis.
    pub(super) start: usize,
    strides: Vec<usize>,
    pub(super) factor: f32,
}

impl View {
    /// A tensor as it is.
    pub(super) fn whole(outlet: OutletId, shape: &[usize]) -> Self {
        Self { outlet, shape: shape.into(), start: 0, strides: natural(shape), factor: 1.0 }
    }

    /// As a part or a multiple of the tensor that was there first, if its shape is known and it holds f32.
    pub(super) fn of(model: &TypedModel, outlet: OutletId) -> TractResult<Option<Self>> {
        let is_fit = |outlet: OutletId| -> TractResult<bool> {
            let fact = model.outlet_fact(outlet)?;
            let is_known = fact.shape.as_concrete().is_some();
            Ok(is_known && fact.is_plain() && fact.datum_type == f32::datum_type())
        };
        let Some(shape) = model.outlet_fact(outlet)?.shape.as_concrete() else { return Ok(None) };
        if !is_fit(outlet)? {
            return Ok(None);
        }
        let (mut origin, mut starts, mut factor) = (outlet, vec![0; shape.len()], 1.0);
        loop {
            let node = model.node(origin.node);
            if let Some(Slice { axis, start, .. }) = node.op_as::<Slice>()
                && let Some(start) = start.as_i64()
                && is_fit(node.inputs[0])?
            {
                starts[*axis] += start as usize;
                origin = node.inputs[0];
            } else if let Some((of, by)) = multiple(model, node)?.filter(|_| origin.slot == 0)
                && is_fit(of)?
            {
                factor *= by;
                origin = of;
            } else {
                break;
            }
        }
        let strides = natural(model.outlet_fact(origin)?.shape.as_concrete().unwrap_or_default());
        let start = starts.iter().zip(&strides).map(|(start, stride)| start * stride).sum();
        Ok(Some(Self { outlet: origin, shape: shape.into(), start, strides, factor }))
    }

    /// From one value to the next along the axis with a label; nothing if there is only one.
    pub(super) fn stride(&self, labels: &[char], label: char) -> usize {
        let at = labels.iter().position(|other| *other == label);
        at.filter(|at| self.shape[*at] > 1).map_or(0, |at| self.strides[at])
    }
}

fn natural(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|at| shape[at..].iter().product()).collect()
}

/// What a product with a constant that is the same everywhere multiplies, and by how much.
fn multiple(model: &TypedModel, node: &TypedNode) -> TractResult<Option<(OutletId, f32)>> {
    if !node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Mul>()) {
        return Ok(None);
    }
    for (of, by) in [(0, 1), (1, 0)] {
        let of = node.inputs[of];
        let konst = model.outlet_fact(node.inputs[by])?.konst.as_ref();
        let by = konst.and_then(|konst| konst.as_uniform());
        let is_alike = model.outlet_fact(of)?.shape == node.outputs[0].fact.shape;
        if let Some(by) = by.filter(|_| is_alike) {
            return Ok(Some((of, by.cast_to_scalar::<f32>()?)));
        }
    }
    Ok(None)
}
