//! Attention and the rotation of its queries and keys by position. All smooth.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{add, mul, sub};
use tract_onnx::tract_core::ops::nn::{Softmax, SoftmaxKind};
use tract_transformers::ops::apply_rope::RotateHalf;
use tract_transformers::ops::sdpa::Sdpa;

use super::{Cotangents, Step};
use crate::grad::ops::SoftmaxGrad;
use crate::grad::tape::Tape;

/// With p = softmax(scale q k' + mask) and y = p v, the cotangents of v, p, and the scores in turn. The weights p are
/// made anew: the forward pass never holds them all.
pub(super) fn sdpa(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Sdpa>()?;
    let heads = Heads::new(tape, step)?;
    let cotangent = step.cotangent()?;
    let q = heads.split(tape, step.input(0))?;
    let k = heads.plain(tape, step.input(1))?;
    let v = heads.plain(tape, step.input(2))?;
    let dy = heads.split(tape, cotangent)?;
    let scale = match &op.scale {
        Some(scale) => scale.cast_to_scalar::<f64>()?,
        None => (heads.depth as f64).sqrt().recip(),
    };
    let scale = tape.scalar(scale, q)?;
    let scores = einsum(tape, "bhgmk,bhnk->bhgmn", q, k)?;
    let mut scores = tape.emit(mul(), &[scores, scale])?;
    if let Some(&mask) = step.node.inputs.get(3) {
        let mask = heads.mask(tape, mask)?;
        scores = tape.emit(add(), &[scores, mask])?;
    }
    if op.is_causal {
        let mask = heads.causal(tape)?;
        scores = tape.emit(add(), &[scores, mask])?;
    }
    let axes = tvec![4];
    let softmax = Softmax::new(axes.clone(), None, SoftmaxKind::Softmax);
    let weights = tape.emit(softmax, &[scores])?;

    let wanted = |slot: usize| step.wants.get(slot).copied().unwrap_or(false);
    let mut parents: Cotangents = tvec![None; step.node.inputs.len()];
    if wanted(2) {
        let dv = einsum(tape, "bhgmn,bhgmv->bhnv", weights, dy)?;
        parents[2] = Some(heads.restore(tape, dv, step.input(2))?);
    }
    if !(wanted(0) || wanted(1) || wanted(3)) {
        return Ok(parents);
    }
    let dp = einsum(tape, "bhgmv,bhnv->bhgmn", dy, v)?;
    let gradient = SoftmaxGrad { axes, kind: SoftmaxKind::Softmax };
    let ds = tape.emit(gradient, &[weights, dp])?;
    if wanted(3) {
        let merged = heads.merge(tape, ds)?;
        let mask = step.input(3);
        let mut shape = tape.shape(mask)?;
        if heads.added {
            shape.insert(1, 1);
        }
        let dmask = tape.unbroadcast(merged, &shape)?;
        parents[3] = Some(heads.restore(tape, dmask, mask)?);
    }
    let ds = tape.emit(mul(), &[ds, scale])?;
    if wanted(0) {
        let dq = einsum(tape, "bhgmn,bhnk->bhgmk", ds, k)?;
        let dq = heads.merge(tape, dq)?;
        parents[0] = Some(heads.restore(tape, dq, step.input(0))?);
    }
    if wanted(1) {
        let dk = einsum(tape, "bhgmn,bhgmk->bhnk", ds, q)?;
        parents[1] = Some(heads.restore(tape, dk, step.input(1))?);
    }
    Ok(parents)
}

/// A rotation of pairs (x1, x2) is undone by the opposite angle: its transpose.
pub(super) fn apply_rope(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let cotangent = step.cotangent()?;
    let [x, cos, sin] = [step.input(0), step.input(1), step.input(2)];
    let mut parents = tvec![None; 3];
    if step.wants[0] {
        let straight = tape.emit(mul(), &[cotangent, cos])?;
        let crossed = tape.emit(mul(), &[cotangent, sin])?;
        let crossed = tape.emit(RotateHalf, &[crossed])?;
        parents[0] = Some(tape.emit(sub(), &[straight, crossed])?);
    }
    if step.wants[1] {
        let product = tape.emit(mul(), &[cotangent, x])?;
        let shape = tape.shape(cos)?;
        parents[1] = Some(tape.unbroadcast(product, &shape)?);
    }
    if step.wants[2] {
        let rotated = tape.emit(RotateHalf, &[x])?;
        let product = tape.emit(mul(), &[cotangent, rotated])?;
        let shape = tape.shape(sin)?;
        parents[2] = Some(tape.unbroadcast(product, &shape)?);
    }
    Ok(parents)
}

/// How queries share the heads of keys and values.
struct Heads {
    /// The tensors have no axis of heads: it is added.
    added: bool,
    /// Heads of keys and values.
    keys: usize,
    /// Queries per head of the keys.
    group: usize,
    depth: usize,
    rows: usize,
    columns: usize,
}

impl Heads {
    fn new(tape: &Tape<'_>, step: &Step<'_>) -> TractResult<Self> {
        let (mut q, mut k) = (tape.shape(step.input(0))?, tape.shape(step.input(1))?);
        let added = q.len() == 3;
        if added {
            q.insert(1, 1);
            k.insert(1, 1);
        }
        ensure!(q.len() == 4 && k.len() == 4, "queries of rank {}", q.len());
        let (keys, group) = (k[1], q[1] / k[1]);
        Ok(Self { added, keys, group, depth: k[3], rows: q[2], columns: k[2] })
    }

    /// In f32, as tract accumulates, with an axis of heads.
    fn plain(&self, tape: &mut Tape<'_>, tensor: OutletId) -> TractResult<OutletId> {
        let tensor = to_type(tape, tensor, f32::datum_type())?;
        if self.added { tape.emit(AxisOp::Add(1), &[tensor]) } else { Ok(tensor) }
    }

    /// As [`Self::plain`], with the heads of the queries as heads of the keys and groups.
    fn split(&self, tape: &mut Tape<'_>, tensor: OutletId) -> TractResult<OutletId> {
        let tensor = self.plain(tape, tensor)?;
        let (from, to) = self.reshaped();
        tape.emit(AxisOp::Reshape(1, from, to), &[tensor])
    }

    fn merge(&self, tape: &mut Tape<'_>, tensor: OutletId) -> TractResult<OutletId> {
        let (from, to) = self.reshaped();
        tape.emit(AxisOp::Reshape(1, to, from), &[tensor])
    }

    fn reshaped(&self) -> (TVec<TDim>, TVec<TDim>) {
        (tvec![(self.keys * self.group).into()], tvec![self.keys.into(), self.group.into()])
    }

    /// Undoes [`Self::plain`].
    fn restore(
        &self,
        tape: &mut Tape<'_>,
        tensor: OutletId,
        like: OutletId,
    ) -> TractResult<OutletId> {
        let tensor = if self.added { tape.emit(AxisOp::Rm(1), &[tensor])? } else { tensor };
        let dt = tape.fact(like)?.datum_type;
        to_type(tape, tensor, dt)
    }

    fn mask(&self, tape: &mut Tape<'_>, mask: OutletId) -> TractResult<OutletId> {
        ensure!(tape.fact(mask)?.datum_type.is_float(), "its mask is not one of floats");
        let mask = self.plain(tape, mask)?;
        if tape.shape(mask)?[1] == 1 {
            return tape.emit(AxisOp::Add(2), &[mask]);
        }
        let (from, to) = self.reshaped();
        tape.emit(AxisOp::Reshape(1, from, to), &[mask])
    }

    /// The last query sees all keys, the one before all but the last, and so on.
    fn causal(&self, tape: &mut Tape<'_>) -> TractResult<OutletId> {
        let visible = |row: usize, column: usize| column + self.rows <= row + self.columns;
        let values: Vec<f32> = (0..self.rows * self.columns)
            .map(|at| match visible(at / self.columns, at % self.columns) {
                true => 0.0,
                false => f32::NEG_INFINITY,
            })
            .collect();
        tape.constant(Tensor::from_shape(&[1, 1, 1, self.rows, self.columns], &values)?)
    }
}

fn to_type(tape: &mut Tape<'_>, tensor: OutletId, dt: DatumType) -> TractResult<OutletId> {
    if tape.fact(tensor)?.datum_type == dt { Ok(tensor) } else { tape.emit(cast(dt), &[tensor]) }
}

fn einsum(tape: &mut Tape<'_>, axes: &str, a: OutletId, b: OutletId) -> TractResult<OutletId> {
    tape.emit(EinSum::new(axes.parse()?, f32::datum_type()), &[a, b])
}

#[cfg(test)]
mod tests;
