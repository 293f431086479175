//! Loops: backpropagation through time.
//!
//! The forward loop records, step by step, the tensors that the gradient of its body reads; a second loop runs over
//! the steps in reverse and carries the cotangents of the states. A loop is as smooth as its body.

use std::collections::BTreeSet;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::TypedConcat;
use tract_onnx::tract_core::ops::math::add;
use tract_onnx::tract_core::ops::scan::{InputMapping, OutputMapping, Scan, ScanInfo};

use super::{Cotangents, Part, Step};
use crate::grad::body::{self, BodyGradient};
use crate::grad::ops::Unstack;
use crate::grad::tape::Tape;
use crate::grad::walk::dependents;

pub(super) fn scan(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    through_time(tape, step, step.op::<Scan>()?)
}

/// What of a loop's body is differentiated.
pub(super) fn part(op: &Scan, wants: &[bool]) -> TractResult<Part> {
    let inputs = outlets(&op.body.inputs, &varying(op, wants)?);
    let mut reached: Vec<bool> =
        op.output_mapping.iter().map(|mapping| !mapping.invisible()).collect();
    loop {
        let mut grown = reached.clone();
        for (input, output) in states(op) {
            let depends = dependents(&op.body, &[op.body.inputs[input]])?;
            let mut outputs = op.body.outputs.iter().zip(&reached);
            grown[output] |= outputs.any(|(outlet, reached)| *reached && depends[outlet.node]);
        }
        if grown == reached {
            let outputs = outlets(&op.body.outputs, &reached);
            return Ok(Part { body: op.body.clone(), outputs, inputs });
        }
        reached = grown;
    }
}

/// The gradient of a node that does what the loop `op` does.
pub(super) fn through_time(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    op: &Scan,
) -> TractResult<Cotangents> {
    let steps = steps(tape, step, op)?;
    let gradient = LoopGradient::new(op, step)?;
    let mut body = TypedModel::default();
    let mut reverse = Reverse {
        op,
        step,
        steps,
        gradient: &gradient,
        moving: gradient.moving(op)?,
        recorded: vec![],
        tape: Tape::new(&mut body),
        inputs: vec![],
        known: HashMap::default(),
    };
    for outlet in gradient.reads() {
        reverse.read(outlet)?;
    }
    reverse.seed(tape)?;
    let outputs = reverse.outputs(tape)?;
    if outputs.is_empty() {
        return Ok(tvec![None; step.node.inputs.len()]);
    }
    let (inputs, recorded) = (reverse.inputs, reverse.recorded);
    body.select_output_outlets(&outputs.iter().map(|output| output.inner).collect::<Vec<_>>())?;
    if !recorded.is_empty() {
        tape.extend(step.node.id, recording(op, step, &gradient, &recorded)?)?;
    }
    let (outer, input_mapping): (Vec<OutletId>, Vec<InputMapping>) = inputs.into_iter().unzip();
    let output_mapping = outputs.iter().map(|output| output.mapping.clone()).collect();
    let mut scan = Scan::new(body, input_mapping, output_mapping, 0)?;
    scan.reset_every_turn = true;
    let results = tape.emit_all(scan, &outer)?;
    let mut parents: Cotangents = tvec![None; step.node.inputs.len()];
    for output in outputs {
        let slot = output.mapping.last_value_slot.or(output.mapping.scan.map(|(slot, _)| slot));
        if let Some(slot) = slot {
            let parent = output.parent;
            parents[parent] = Some(match op.input_mapping[parent].as_scan() {
                Some(info) if output.stacked => unstack(tape, results[slot], info.axis)?,
                _ => results[slot],
            });
        }
    }
    Ok(parents)
}

/// The number of steps; refuses what ONNX has no name for.
fn steps(tape: &Tape<'_>, step: &Step<'_>, op: &Scan) -> TractResult<usize> {
    ensure!(op.skip == 0, "it skips its first {} steps", op.skip);
    let mut steps = None;
    for (slot, mapping) in op.input_mapping.iter().enumerate() {
        if let InputMapping::Scan(info) = mapping {
            let len = tape.shape(step.input(slot))?[info.axis];
            let chunk = info.chunk.unsigned_abs();
            ensure!(len % chunk == 0, "{len} values come in chunks of {chunk}: the last is cut");
            ensure!(
                steps.is_none_or(|steps| steps == len / chunk),
                "its inputs differ in their number of steps"
            );
            steps = Some(len / chunk);
        }
    }
    let steps = steps.context("it has no sequence to run over")?;
    ensure!(steps > 0, "its sequence is empty");
    for (output, mapping) in op.body.outputs.iter().zip(&op.output_mapping) {
        if let Some((_, info)) = mapping.scan {
            let len = op.body.outlet_fact(*output)?.shape[info.axis].to_usize()?;
            let backwards = info.chunk < 0;
            ensure!(len == 1 || !backwards, "tract misplaces chunks of {len} written backwards");
            if let Some(hint) = &mapping.full_dim_hint {
                ensure!(*hint == (len * steps).to_dim(), "its output has {hint} values");
            }
        }
    }
    Ok(steps)
}

/// The states, as (input, output) of the body.
fn states(op: &Scan) -> impl Iterator<Item = (usize, usize)> {
    let inputs = op.input_mapping.iter().enumerate().filter(|(_, mapping)| mapping.is_state());
    let outputs = op.output_mapping.iter().enumerate().filter(|(_, mapping)| mapping.state);
    inputs.zip(outputs).map(|((input, _), (output, _))| (input, output))
}

/// Whether each input of the body depends on the attacked tensor, at some step.
fn varying(op: &Scan, wants: &[bool]) -> TractResult<Vec<bool>> {
    let mut varying = wants.to_vec();
    loop {
        let depends = dependents(&op.body, &outlets(&op.body.inputs, &varying))?;
        let mut grown = varying.clone();
        for (input, output) in states(op) {
            grown[input] |= depends[op.body.outputs[output].node];
        }
        if grown == varying {
            return Ok(varying);
        }
        varying = grown;
    }
}

fn outlets(all: &[OutletId], chosen: &[bool]) -> TVec<OutletId> {
    all.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(outlet, _)| *outlet).collect()
}

/// The gradient of a loop's body.
struct LoopGradient {
    body: BodyGradient,
    /// The outputs that have seeds, in order.
    seeded: Vec<usize>,
    /// Per input, its cotangent.
    gradients: Vec<Option<OutletId>>,
    /// The states, as (input, output), whose cotangents go from step to step.
    carried: BTreeSet<(usize, usize)>,
}

impl LoopGradient {
    /// Which states carry cotangents is found by adding those that the outputs seeded so far depend on.
    fn new(op: &Scan, step: &Step<'_>) -> TractResult<Self> {
        let varying = varying(op, step.wants)?;
        let inputs = outlets(&op.body.inputs, &varying);
        let depends = dependents(&op.body, &inputs)?;
        let mut carried = BTreeSet::new();
        loop {
            let seeded: Vec<usize> = (0..op.body.outputs.len())
                .filter(|&output| {
                    let mapping = &op.output_mapping[output];
                    depends[op.body.outputs[output].node]
                        && (every_step(step, mapping).is_some()
                            || last_step(step, mapping).is_some()
                            || carried.iter().any(|state: &(usize, usize)| state.1 == output))
                })
                .collect();
            let outputs: Vec<_> = seeded.iter().map(|&output| op.body.outputs[output]).collect();
            let body = body::differentiate(&op.body, &outputs, &inputs, step.through)?;
            let mut found = body.gradients.iter().copied();
            let gradients: Vec<Option<OutletId>> = varying
                .iter()
                .map(|&varies| if varies { found.next().flatten() } else { None })
                .collect();
            let grown: BTreeSet<_> = states(op)
                .filter(|&(input, output)| {
                    gradients[input].is_some() && depends[op.body.outputs[output].node]
                })
                .collect();
            if grown == carried {
                return Ok(Self { body, seeded, gradients, carried });
            }
            carried = grown;
        }
    }

    /// What of the forward body the backward nodes read.
    fn reads(&self) -> Vec<OutletId> {
        let mut read = vec![];
        let mut seen = vec![false; self.body.model.nodes().len()];
        let mut waiting: Vec<usize> =
            self.gradients.iter().flatten().map(|outlet| outlet.node).collect();
        while let Some(id) = waiting.pop() {
            if std::mem::replace(&mut seen[id], true) {
                continue;
            }
            for &input in &self.body.model.node(id).inputs {
                if input.node >= self.body.forward {
                    waiting.push(input.node);
                } else if !read.contains(&input) {
                    read.push(input);
                }
            }
        }
        read.sort();
        read
    }

    /// Whether each node's value may change from step to step.
    fn moving(&self, op: &Scan) -> TractResult<Vec<bool>> {
        let changes: Vec<bool> =
            op.input_mapping.iter().map(|mapping| *mapping != InputMapping::Full).collect();
        dependents(&self.body.model, &outlets(&op.body.inputs, &changes))
    }
}

/// The cotangent of what an output collects over all steps.
fn every_step(step: &Step<'_>, mapping: &OutputMapping<TDim>) -> Option<OutletId> {
    mapping.scan.and_then(|(slot, _)| step.cotangents[slot])
}

/// The cotangent of an output's last value.
fn last_step(step: &Step<'_>, mapping: &OutputMapping<TDim>) -> Option<OutletId> {
    mapping.last_value_slot.and_then(|slot| step.cotangents[slot])
}

/// The body of the reverse loop, under construction.
struct Reverse<'a> {
    op: &'a Scan,
    step: &'a Step<'a>,
    steps: usize,
    gradient: &'a LoopGradient,
    moving: Vec<bool>,
    /// What the forward loop has to record.
    recorded: Vec<OutletId>,
    tape: Tape<'a>,
    /// The inputs so far: what is given from outside, and how.
    inputs: Vec<(OutletId, InputMapping)>,
    /// Where the outlets of the differentiated body are.
    known: HashMap<OutletId, OutletId>,
}

/// An output of the reverse loop.
struct Output {
    inner: OutletId,
    mapping: OutputMapping<TDim>,
    /// The input of the forward loop that takes it as its cotangent.
    parent: usize,
    /// Whether its steps have an axis of their own, in front.
    stacked: bool,
}

impl Reverse<'_> {
    /// Makes a tensor of the forward body available.
    fn read(&mut self, outlet: OutletId) -> TractResult<()> {
        if self.known.contains_key(&outlet) {
            return Ok(());
        }
        let model = &self.gradient.body.model;
        let fact = model.outlet_fact(outlet)?;
        let input = self.op.body.inputs.iter().position(|input| *input == outlet);
        let mapping = input.map(|slot| (slot, &self.op.input_mapping[slot]));
        let node = model.node(outlet.node);
        let wire = if let Some(value) = &fact.konst {
            self.tape.constant(value.clone().into_tensor())?
        } else if let Some((slot, InputMapping::Full)) = mapping {
            self.input(self.step.input(slot), InputMapping::Full, &concrete(fact)?, fact)?
        } else if let Some((slot, InputMapping::Scan(info))) = mapping {
            let reversed = ScanInfo { axis: info.axis, chunk: -info.chunk };
            let given = self.step.input(slot);
            self.input(given, InputMapping::Scan(reversed), &concrete(fact)?, fact)?
        } else if mapping.is_none() && (!self.moving[outlet.node] || node.op_is::<AxisOp>()) {
            for &input in &node.inputs {
                self.read(input)?;
            }
            self.tape.graft(model, &[outlet], &mut self.known)?[0]
        } else {
            let recorded = self.step.node.outputs.len() + self.recorded.len();
            self.recorded.push(outlet);
            self.stacked(OutletId::new(self.step.node.id, recorded), fact)?
        };
        self.known.insert(outlet, wire);
        Ok(())
    }

    fn input(
        &mut self,
        given: OutletId,
        mapping: InputMapping,
        shape: &[usize],
        like: &TypedFact,
    ) -> TractResult<OutletId> {
        self.inputs.push((given, mapping));
        self.tape.source(like.datum_type.fact(shape))
    }

    /// A tensor that is stacked over the steps, along an axis of its own in front.
    fn stacked(&mut self, given: OutletId, like: &TypedFact) -> TractResult<OutletId> {
        let mut shape = concrete(like)?;
        shape.insert(0, 1);
        let backwards = InputMapping::Scan(ScanInfo { axis: 0, chunk: -1 });
        let chunk = self.input(given, backwards, &shape, like)?;
        self.tape.emit(Unstack, &[chunk])
    }

    /// Adds up the cotangents that arrive at each seeded output.
    fn seed(&mut self, outer: &mut Tape<'_>) -> TractResult<()> {
        let LoopGradient { body, seeded, carried, .. } = self.gradient;
        let facts: Vec<&TypedFact> = body
            .seeds
            .iter()
            .map(|seed| body.model.outlet_fact(*seed))
            .collect::<TractResult<_>>()?;
        let mut parts: Vec<Vec<OutletId>> = vec![vec![]; seeded.len()];
        for &(_, output) in carried {
            if let Some(index) = seeded.iter().position(|seeded| *seeded == output) {
                let shape = concrete(facts[index])?;
                let initial = match last_step(self.step, &self.op.output_mapping[output]) {
                    Some(cotangent) => cotangent,
                    None => outer.constant(Tensor::zero_dt(facts[index].datum_type, &shape)?)?,
                };
                parts[index].push(self.input(
                    initial,
                    InputMapping::State,
                    &shape,
                    facts[index],
                )?);
            }
        }
        for (index, &output) in seeded.iter().enumerate() {
            let mapping = &self.op.output_mapping[output];
            if let (Some(cotangent), Some((_, info))) =
                (every_step(self.step, mapping), mapping.scan)
            {
                let shape = concrete(facts[index])?;
                let chunk = -info.chunk.signum() * shape[info.axis] as isize;
                let reversed = InputMapping::Scan(ScanInfo { axis: info.axis, chunk });
                parts[index].push(self.input(cotangent, reversed, &shape, facts[index])?);
            }
            let carries = carried.iter().any(|state| state.1 == output);
            if let (Some(cotangent), false) = (last_step(self.step, mapping), carries) {
                let last = at_the_end(outer, cotangent, self.steps)?;
                parts[index].push(self.stacked(last, facts[index])?);
            }
        }
        if !self.inputs.iter().any(|(_, mapping)| mapping.is_scan())
            && let (Some(first), Some(fact)) = (parts.first_mut(), facts.first())
        {
            // A loop runs as long as a sequence among its inputs.
            let mut shape = concrete(fact)?;
            shape.insert(0, self.steps);
            let zeros = outer.constant(Tensor::zero_dt(fact.datum_type, &shape)?)?;
            first.push(self.stacked(zeros, fact)?);
        }
        for (&seed, parts) in body.seeds.iter().zip(parts) {
            let mut parts = parts.into_iter();
            let mut sum = parts.next().context("an output was seeded for nothing")?;
            for part in parts {
                sum = self.tape.emit(add(), &[sum, part])?;
            }
            self.known.insert(seed, sum);
        }
        Ok(())
    }

    /// Emits the cotangents of the inputs: the carried states first, in the order of their sources.
    fn outputs(&mut self, outer: &mut Tape<'_>) -> TractResult<Vec<Output>> {
        let gradient = self.gradient;
        let wants = self.step.wants;
        let mut outputs: Vec<Output> = vec![];
        let mut slots = 0..;
        let mut slot = || slots.next().unwrap_or_default();
        for &(input, _) in &gradient.carried {
            let last_value_slot = wants[input].then(&mut slot);
            outputs.push(Output {
                inner: self.cotangent(input)?.context("a carried state has a cotangent")?,
                mapping: OutputMapping { state: true, last_value_slot, ..Default::default() },
                parent: input,
                stacked: false,
            });
        }
        for (input, mapping) in self.op.input_mapping.iter().enumerate() {
            let carried = gradient.carried.iter().any(|state| state.0 == input);
            if !wants[input] || carried {
                continue;
            }
            let Some(mut inner) = self.cotangent(input)? else {
                continue;
            };
            let mut output = OutputMapping::default();
            let mut stacked = false;
            match mapping {
                InputMapping::Scan(info) => {
                    let mut reversed = ScanInfo { axis: info.axis, chunk: -info.chunk };
                    // tract 0.23.9 misplaces chunks written backwards, and moves an operator with several outputs
                    // out of a loop by its first one.
                    let producer = self.tape.model().node(inner.node);
                    stacked = info.chunk.abs() > 1 || producer.outputs.len() > 1;
                    if stacked {
                        inner = self.tape.emit(AxisOp::Add(0), &[inner])?;
                        reversed = ScanInfo { axis: 0, chunk: -info.chunk.signum() };
                    }
                    output.scan = Some((slot(), reversed));
                }
                InputMapping::State => output.last_value_slot = Some(slot()),
                InputMapping::Full => {
                    let fact = self.tape.fact(inner)?.clone();
                    let shape = concrete(&fact)?;
                    let zeros = outer.constant(Tensor::zero_dt(fact.datum_type, &shape)?)?;
                    let sum = self.input(zeros, InputMapping::State, &shape, &fact)?;
                    inner = self.tape.emit(add(), &[sum, inner])?;
                    output.state = true;
                    output.last_value_slot = Some(slot());
                }
            }
            outputs.push(Output { inner, mapping: output, parent: input, stacked });
        }
        Ok(outputs)
    }

    fn cotangent(&mut self, input: usize) -> TractResult<Option<OutletId>> {
        let Some(outlet) = self.gradient.gradients[input] else {
            return Ok(None);
        };
        let model = &self.gradient.body.model;
        Ok(Some(self.tape.graft(model, &[outlet], &mut self.known)?[0]))
    }
}

/// The forward loop, which also stacks the `recorded` tensors of its body over the steps.
fn recording(
    op: &Scan,
    step: &Step<'_>,
    gradient: &LoopGradient,
    recorded: &[OutletId],
) -> TractResult<Scan> {
    let mut body = gradient.body.model.clone();
    let mut outputs = op.body.outputs.clone();
    let mut output_mapping = op.output_mapping.clone();
    for (index, &outlet) in recorded.iter().enumerate() {
        let name = format!("recorded.{index}");
        outputs.push(body.wire_node(name, AxisOp::Add(0), &[outlet])?[0]);
        output_mapping.push(OutputMapping {
            scan: Some((step.node.outputs.len() + index, ScanInfo { axis: 0, chunk: 1 })),
            ..Default::default()
        });
    }
    body.inputs = op.body.inputs.clone();
    body.select_output_outlets(&outputs)?;
    body.compact()?;
    Ok(Scan { body, output_mapping, decluttered: false, ..op.clone() })
}

/// `value` as the last of `steps`, along a new axis in front, after zeros.
fn at_the_end(tape: &mut Tape<'_>, value: OutletId, steps: usize) -> TractResult<OutletId> {
    let last = tape.emit(AxisOp::Add(0), &[value])?;
    if steps == 1 {
        return Ok(last);
    }
    let mut shape = tape.shape(last)?;
    shape[0] = steps - 1;
    let zeros = tape.constant(Tensor::zero_dt(tape.fact(value)?.datum_type, &shape)?)?;
    tape.emit(TypedConcat::new(0), &[zeros, last])
}

/// Chunks that are stacked over the steps, put end to end along `axis`.
fn unstack(tape: &mut Tape<'_>, stacked: OutletId, axis: usize) -> TractResult<OutletId> {
    let moved = tape.emit(AxisOp::Move(0, axis), &[stacked])?;
    let shape = tape.shape(moved)?;
    let (steps, chunk) = (shape[axis], shape[axis + 1]);
    let from = tvec![steps.to_dim(), chunk.to_dim()];
    tape.emit(AxisOp::Reshape(axis, from, tvec![(steps * chunk).to_dim()]), &[moved])
}

fn concrete(fact: &TypedFact) -> TractResult<TVec<usize>> {
    Ok(fact.shape.as_concrete().context("a body has concrete shapes")?.into())
}

#[cfg(test)]
mod tests;
