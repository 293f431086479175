//! Graphs inside operators, the bodies of loops and branches: their gradients.

use tract_onnx::prelude::*;

use super::straight_through::StraightThrough;
use super::tape::Tape;
use super::walk::sweep;

/// A body, followed by the nodes of its vector-Jacobian product; forward nodes keep their ids.
#[derive(Debug)]
pub(super) struct BodyGradient {
    pub model: TypedModel,
    /// How many nodes the body itself has; all later ones are backward.
    pub forward: usize,
    /// A source for the cotangent of each output, in the order given.
    pub seeds: TVec<OutletId>,
    /// The cotangent of each input, in the order given; `None` where it is zero.
    pub gradients: TVec<Option<OutletId>>,
}

/// Differentiates a decluttered body: `outputs` are to be seeded, `inputs` want cotangents.
pub(super) fn differentiate(
    body: &TypedModel,
    outputs: &[OutletId],
    inputs: &[OutletId],
    through: &StraightThrough,
) -> TractResult<BodyGradient> {
    let mut model = body.clone();
    let mut tape = Tape::new(&mut model);
    let mut seeds = tvec![];
    for &output in outputs {
        let fact = tape.fact(output)?;
        let fact = fact.datum_type.fact(fact.shape.clone());
        seeds.push(tape.source(fact)?);
    }
    let pairs: TVec<_> = outputs.iter().copied().zip(seeds.iter().copied()).collect();
    let found = sweep(&mut tape, &pairs, inputs, through)?;
    let mut gradients: TVec<_> = inputs.iter().map(|&input| found.get(input)).collect();
    for gradient in &mut gradients {
        if let Some(outlet) = *gradient
            && tape.fact(outlet)?.konst.is_some()
        {
            // Gradients are linear in the seeds: one that does not depend on them is zero.
            *gradient = None;
        }
    }
    Ok(BodyGradient { forward: body.nodes().len(), model, seeds, gradients })
}
