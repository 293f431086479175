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

    pub(crate) fn model(&self) -> &TypedModel {
        self.model
    }

    /// Adds a node with one output.
    pub(crate) fn emit(
        &mut self,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        Ok(self.emit_all(op, inputs)?[0])
    }

    /// Adds a node with any number of outputs.
    pub(crate) fn emit_all(
        &mut self,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let name = self.name();
        self.model.wire_node(name, op, inputs)
    }

    /// Adds an input of the graph.
    pub(crate) fn source(&mut self, fact: TypedFact) -> TractResult<OutletId> {
        let name = self.name();
        self.model.add_source(name, fact)
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

    /// Gives a forward node another operator, which computes the same outputs and possibly more after them.
    pub(crate) fn extend(
        &mut self,
        node: usize,
        op: impl Into<Box<dyn TypedOp>>,
    ) -> TractResult<()> {
        let op = op.into();
        let facts = op.output_facts(&self.model.node_input_facts(node)?)?;
        let node = &mut self.model.nodes[node];
        ensure!(facts.len() >= node.outputs.len(), "an output would be lost");
        for (slot, fact) in facts.into_iter().enumerate() {
            match node.outputs.get_mut(slot) {
                Some(known) if known.successors.is_empty() => known.fact = fact,
                Some(known) => ensure!(known.fact.shape == fact.shape, "output {slot} changes"),
                None => node.outputs.push(Outlet { fact, successors: tvec![] }),
            }
        }
        node.op = op;
        Ok(())
    }

    /// Copies the nodes of `source` that `outputs` need, given where its outlets in `known` already are; returns
    /// where the outputs come to lie.
    pub(crate) fn graft(
        &mut self,
        source: &TypedModel,
        outputs: &[OutletId],
        known: &mut HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let mut waiting = outputs.to_vec();
        while let Some(&outlet) = waiting.last() {
            let node = source.node(outlet.node);
            if known.contains_key(&outlet) {
                waiting.pop();
                continue;
            }
            ensure!(!Graph::is_source(&node.op), "`{}` is not given", node.name);
            let missing = node.inputs.iter().filter(|input| !known.contains_key(input));
            let before = waiting.len();
            waiting.extend(missing.copied().collect::<Vec<_>>());
            if waiting.len() > before {
                continue;
            }
            let inputs: TVec<OutletId> = node.inputs.iter().map(|input| known[input]).collect();
            for (slot, &wire) in self.emit_all(node.op.clone(), &inputs)?.iter().enumerate() {
                known.insert(OutletId::new(node.id, slot), wire);
            }
        }
        Ok(outputs.iter().map(|output| known[output]).collect())
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
