//! Where a gradient that never arrives ends.

use std::sync::Arc;

use tract_onnx::prelude::*;

use super::{Inspector, Interface, NodeRef};
use crate::error::{Error, Result};
use crate::goal::Aim;
use crate::grad::{self, LossHead, Objective, StraightThrough};
use crate::loss::Loss;
use crate::model::Batch;
use crate::model::guard::guard;

/// How far the gradient of one sample's loss gets on its way from the loss to the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GradientEnd {
    /// To the input.
    Arrives,
    /// Nowhere: the loss has a zero gradient at these logits.
    AtTheLoss,
    /// To these nodes and no further, the first that the way back meets first. At each, what arrives is not zero and
    /// what leaves towards the input is.
    At(Vec<NodeRef>),
}

/// A forward node and the places of its cotangents among the plan's outputs.
struct Watched {
    node: NodeRef,
    outputs: Vec<usize>,
    inputs: Vec<usize>,
}

impl Inspector<'_> {
    /// Follows the gradient of each sample's loss back through the graph.
    ///
    /// It builds a plan that keeps the cotangent of every inner tensor, and runs it once per sample: meant for a few
    /// samples whose gradient is identically zero.
    ///
    /// # Errors
    /// As [`Model::loss_and_gradient`](crate::Model::loss_and_gradient).
    pub fn gradient_ends(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
    ) -> Result<Vec<GradientEnd>> {
        let rows = self.samples_in(batch)?;
        if rows != aims.len() {
            return Err(self.model.misfit(format!("{} aims for {rows} samples", aims.len())));
        }
        let graph = &self.model.runner.graph;
        let (model, _) = graph.forward(1)?;
        let fail =
            |cause: TractError| Error::model(&graph.name, "its gradient cannot be followed", cause);
        let (plan, watched, arrives) =
            guard(|| prepare(self.model.interface(), &graph.through, model)).map_err(fail)?;
        let follow = |(row, aim): (usize, &Aim)| {
            let objective = Objective { loss: Arc::clone(loss), aims: vec![*aim] };
            let alive = guard(|| {
                let mut state = plan.spawn()?;
                state.turn_state.shared.insert(objective);
                let outputs = state.run(self.inputs(batch, row)?)?;
                outputs.iter().map(|cotangent| is_alive(cotangent)).collect::<TractResult<Vec<_>>>()
            })
            .map_err(fail)?;
            Ok(end(&watched, arrives, &alive))
        };
        aims.iter().enumerate().map(follow).collect()
    }
}

/// A plan whose outputs are cotangents, the loss's own first; the nodes from the loss backwards; and the place of the
/// input's cotangent.
fn prepare(
    interface: &Interface,
    through: &StraightThrough,
    mut model: TypedModel,
) -> TractResult<(Arc<TypedRunnableModel>, Vec<Watched>, Option<usize>)> {
    let (output, input) = (model.output_outlets()?[0], model.input_outlets()?[0]);
    let between = grad::statuses(&model, output, input, through)?;
    let head = model.wire_node("ironbound.loss", LossHead, &[output])?;
    let cotangents = grad::cotangents(&mut model, output, head[1], input, through)?;
    // Rules hand cotangents on: one tensor may stand for several.
    let mut kept: Vec<OutletId> = vec![head[1]];
    let mut place = |outlet: OutletId| {
        let cotangent = *cotangents.get(&outlet)?;
        Some(kept.iter().position(|known| *known == cotangent).unwrap_or_else(|| {
            kept.push(cotangent);
            kept.len() - 1
        }))
    };
    let mut watched = vec![];
    for (id, _) in between.into_iter().rev() {
        let node = model.node(id);
        let outputs = (0..node.outputs.len()).filter_map(|slot| place(OutletId::new(id, slot)));
        let outputs = outputs.collect();
        let inputs = node.inputs.iter().filter_map(|parent| place(*parent)).collect();
        watched.push(Watched { node: NodeRef::new(interface, node), outputs, inputs });
    }
    let arrives = place(input);
    model.select_output_outlets(&kept)?;
    let plan = model.into_decluttered()?.into_optimized()?.into_runnable()?;
    Ok((plan, watched, arrives))
}

fn is_alive(cotangent: &Tensor) -> TractResult<bool> {
    let values = cotangent.cast_to::<f64>()?;
    Ok(values.to_plain_array_view::<f64>()?.iter().any(|value| *value != 0.0))
}

fn end(watched: &[Watched], arrives: Option<usize>, alive: &[bool]) -> GradientEnd {
    if arrives.is_some_and(|place| alive[place]) {
        return GradientEnd::Arrives;
    }
    if !alive[0] {
        return GradientEnd::AtTheLoss;
    }
    let any = |places: &[usize]| places.iter().any(|place| alive[*place]);
    let ends = watched.iter().filter(|node| any(&node.outputs) && !any(&node.inputs));
    GradientEnd::At(ends.map(|watched| watched.node.clone()).collect())
}
