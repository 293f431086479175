//! The graph under construction, as rules see it.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

/// Appends backward nodes to a copy of the forward graph, whose own nodes keep their ids.
#[derive(Debug)]
pub(crate) struct Tape<'a> {
    model: &'a mut TypedModel,
    emitted: usize,
}

impl<'a> Tape<'a> {
    pub(crate) fn new(model: &'a mut TypedModel) -> Self {
        Self { model, emitted: 0 }
    }

    /// Adds a node with one output.
    pub(crate) fn emit(
        &mut self,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        let name = self.name();
        Ok(self.model.wire_node(name, op, inputs)?[0])
    }

    /// Adds a node of an operator that knows f32 only, between casts where `inputs` are of another float type.
    pub(crate) fn emit_in_f32(
        &mut self,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        let (f32, dt) = (f32::datum_type(), self.fact(inputs[0])?.datum_type);
        if dt == f32 {
            return self.emit(op, inputs);
        }
        let mut wires: TVec<OutletId> = tvec![];
        for &input in inputs {
            wires.push(self.emit(cast(f32), &[input])?);
        }
        let output = self.emit(op, &wires)?;
        self.emit(cast(dt), &[output])
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, tensor: Tensor) -> TractResult<OutletId> {
        let name = self.name();
        self.model.add_const(name, tensor)
    }

    /// Adds a scalar constant of `like`'s type and rank (every axis 1).
    pub(crate) fn scalar(&mut self, value: f64, like: OutletId) -> TractResult<OutletId> {
        let fact = self.fact(like)?;
        let (dt, rank) = (fact.datum_type, fact.rank());
        let tensor = tensor0(value).cast_to_dt(dt)?.into_owned().broadcast_into_rank(rank)?;
        self.constant(tensor)
    }

    pub(crate) fn fact(&self, outlet: OutletId) -> TractResult<&TypedFact> {
        self.model.outlet_fact(outlet)
    }

    /// The concrete shape of a tensor: graphs are differentiated after their batch is fixed.
    pub(crate) fn shape(&self, outlet: OutletId) -> TractResult<TVec<usize>> {
        Ok(self.fact(outlet)?.shape.iter().map(|dim| dim.to_usize()).collect::<Result<_, _>>()?)
    }

    /// Sums a cotangent over the axes along which a parent of shape `shape` (same rank) was broadcast.
    pub(crate) fn unbroadcast(
        &mut self,
        cotangent: OutletId,
        shape: &[usize],
    ) -> TractResult<OutletId> {
        let from = self.shape(cotangent)?;
        let axes: TVec<usize> =
            (0..from.len()).filter(|&axis| shape[axis] == 1 && from[axis] != 1).collect();
        if axes.is_empty() {
            return Ok(cotangent);
        }
        self.emit(Reduce { axes, reducer: Reducer::Sum }, &[cotangent])
    }

    fn name(&mut self) -> String {
        self.emitted += 1;
        format!("backward.{}", self.emitted)
    }
}
