//! A plan in double precision.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::floats::FloatPrecisionTranslator;
use tract_onnx::tract_core::transform::ModelTransform;

use super::wide::Wide;
use crate::model::graph::Graph;
use crate::model::guard::guard;
use crate::model::job::Others;
use crate::model::source::Source;

/// How far double precision may be from single, relative to the largest logit of the row.
const TOLERANCE: f64 = 1e-3;

/// A plan for one sample.
#[derive(Debug)]
pub(in crate::model) struct Precise {
    plan: Arc<TypedRunnableModel>,
    shape: TVec<usize>,
    others: Vec<Source>,
}

impl Precise {
    /// Builds the plan; none where an operator of the graph does not run in double precision.
    pub(in crate::model) fn build(graph: &Graph) -> Option<Self> {
        let (mut model, _) = graph.forward(1).ok()?;
        Wide::replace_in(&mut model);
        let prepare = || -> TractResult<Arc<TypedRunnableModel>> {
            let translator = FloatPrecisionTranslator::new(f32::datum_type(), f64::datum_type());
            translator.transform(&mut model)?;
            model.into_decluttered()?.into_optimized()?.into_runnable()
        };
        let plan = guard(prepare)
            .inspect_err(|cause| log::debug!("{}: no double precision: {cause}", graph.name));
        let shape = std::iter::once(1).chain(graph.shape.iter().copied()).collect();
        Some(Self { plan: plan.ok()?, shape, others: graph.others().cloned().collect() })
    }

    /// The logits of one sample.
    pub(in crate::model) fn run(&self, input: &[f64], others: Others<'_>) -> TractResult<Vec<f64>> {
        let mut inputs = tvec![Tensor::from_shape(&self.shape, input)?.into_tvalue()];
        for (index, source) in self.others.iter().enumerate() {
            let tensor = others.tensor(index, source, 1)?;
            // The translation widens every input.
            let wide = if source.dt == f32::datum_type() { f64::datum_type() } else { source.dt };
            inputs.push(tensor.cast_to_dt(wide)?.into_owned().into_tvalue());
        }
        let output = guard(|| self.plan.run(inputs))?.remove(0);
        Ok(output.try_as_plain_ram()?.as_slice::<f64>()?.to_vec())
    }

    /// Whether logits are, but for rounding, those of single precision.
    pub(in crate::model) fn agrees(precise: &[f64], single: &[f32]) -> bool {
        let largest = single.iter().fold(f32::MIN_POSITIVE, |largest, z| largest.max(z.abs()));
        let close =
            |(a, b): (&f64, &f32)| (a - f64::from(*b)).abs() <= TOLERANCE * f64::from(largest);
        precise.len() == single.len() && precise.iter().zip(single).all(close)
    }
}
