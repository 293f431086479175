//! Preprocessing as graph nodes in front of the model.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Slice, TypedConcat};
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math;

use super::options::Preprocessing;

/// The name of the attacked tensor in every graph that the crate builds.
pub(super) const INPUT: &str = "ironbound.input";

/// What stands before a graph.
#[derive(Debug)]
pub(super) struct Front<'a> {
    /// The attacked input's name.
    pub attacked: &'a str,
    /// The value of each input of the graph that has one for all samples, in their order.
    pub constants: &'a [Option<Tensor>],
    pub preprocessing: &'a Preprocessing,
    /// The channel axis of one sample; the batch axis stands before it.
    pub axis: Option<usize>,
}

impl Front<'_> {
    /// A copy of `model` whose first input is the data, `x` before preprocessing, in f32; the inputs without a constant
    /// value follow.
    pub(super) fn prepend(&self, model: &TypedModel) -> TractResult<TypedModel> {
        let sources = model.input_outlets()?;
        let attacked = sources.iter().find(|source| model.node(source.node).name == self.attacked);
        let attacked = *attacked.context("the attacked input is gone")?;
        let mut target = TypedModel { symbols: model.symbols.clone(), ..TypedModel::default() };
        let wire = self.preprocess(&mut target, model.outlet_fact(attacked)?)?;
        let mut mapping = HashMap::from([(attacked, wire)]);
        for (source, constant) in sources.iter().zip(self.constants) {
            let (name, fact) = (&model.node(source.node).name, model.outlet_fact(*source)?);
            let wire = match constant {
                _ if *source == attacked => continue,
                Some(value) => {
                    let value = value.cast_to_dt(fact.datum_type)?.into_owned();
                    target.add_const(name, value)?
                }
                None => target.add_source(name, fact.without_value())?,
            };
            mapping.insert(*source, wire);
        }
        for id in model.eval_order()? {
            let node = model.node(id);
            if mapping.contains_key(&OutletId::new(id, 0)) {
                continue;
            }
            let inputs: TVec<OutletId> = node.inputs.iter().map(|input| mapping[input]).collect();
            let outputs = if node.inputs.is_empty() {
                let facts =
                    node.outputs.iter().map(|output| output.fact.clone()).collect::<TVec<_>>();
                let id = target.add_node(&node.name, node.op.clone(), facts)?;
                (0..node.outputs.len()).map(|slot| OutletId::new(id, slot)).collect()
            } else {
                target.wire_node(&node.name, node.op.clone(), &inputs)?
            };
            mapping.extend(
                outputs
                    .into_iter()
                    .enumerate()
                    .map(|(slot, outlet)| (OutletId::new(id, slot), outlet)),
            );
        }
        let outputs: TVec<OutletId> =
            model.output_outlets()?.iter().map(|output| mapping[output]).collect();
        target.select_output_outlets(&outputs)?;
        Ok(target)
    }

    /// Adds the data as a source, and what turns them into the attacked input, of this fact.
    fn preprocess(&self, target: &mut TypedModel, fact: &TypedFact) -> TractResult<OutletId> {
        let Self { preprocessing, axis, .. } = *self;
        let input = target.add_source(INPUT, f32::fact(&*fact.shape))?;
        let mut emit = Emit { model: target, wire: input };
        if let Some(axis) = axis.filter(|_| preprocessing.reverse_channels) {
            emit.reverse(axis + 1)?;
        }
        let not_one = |value: &f32| (value - 1.0).abs() > 0.0;
        if not_one(&preprocessing.scale) {
            emit.affine("scale", math::mul(), &[preprocessing.scale], None)?;
        }
        if preprocessing.mean.iter().any(|mean| *mean != 0.0) {
            emit.affine("mean", math::sub(), &preprocessing.mean, axis)?;
        }
        if preprocessing.std.iter().any(not_one) {
            emit.affine("std", math::div(), &preprocessing.std, axis)?;
        }
        if fact.datum_type != f32::datum_type() {
            let cast = cast(fact.datum_type);
            emit.wire = emit.model.wire_node("ironbound.cast", cast, &[emit.wire])?[0];
        }
        Ok(emit.wire)
    }
}

struct Emit<'a> {
    model: &'a mut TypedModel,
    wire: OutletId,
}

impl Emit<'_> {
    /// Applies a binary op with one value for all, or one per channel.
    fn affine(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        values: &[f32],
        axis: Option<usize>,
    ) -> TractResult<()> {
        let mut shape = vec![1; self.model.outlet_fact(self.wire)?.rank()];
        if values.len() > 1 {
            shape[axis.context("per-channel values need a channel axis")? + 1] = values.len();
        }
        let values = Tensor::from_shape(&shape, values)?;
        let values = self.model.add_const(format!("ironbound.{name}.value"), values)?;
        self.wire = self.model.wire_node(format!("ironbound.{name}"), op, &[self.wire, values])?[0];
        Ok(())
    }

    fn reverse(&mut self, axis: usize) -> TractResult<()> {
        let channels = self.model.outlet_fact(self.wire)?.shape[axis].to_usize()?;
        let mut slices = tvec![];
        for channel in (0..channels).rev() {
            let slice = Slice::new(axis, channel, channel + 1);
            slices.extend(self.model.wire_node(
                format!("ironbound.channel.{channel}"),
                slice,
                &[self.wire],
            )?);
        }
        self.wire = self.model.wire_node("ironbound.channels", TypedConcat::new(axis), &slices)?[0];
        Ok(())
    }
}
