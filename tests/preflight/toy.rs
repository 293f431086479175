//! Classifiers written down as functions of a batch.

use std::sync::Arc;

use ironbound::{Aim, Batch, Classifier, Loss, LossGradient, ModelInfo, Result};

type Forward = Box<dyn Fn(&[f32]) -> Vec<f32> + Send + Sync>;

/// A model given by its logits; its gradient is that of `slope` times the loss's, feature by feature.
pub(crate) struct Toy {
    info: ModelInfo,
    forward: Forward,
    gradient: fn(usize) -> f32,
}

impl std::fmt::Debug for Toy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Toy")
    }
}

impl Toy {
    /// `forward` takes a whole batch.
    pub(crate) fn new(
        shape: &[usize],
        classes: usize,
        forward: impl Fn(&[f32]) -> Vec<f32> + Send + Sync + 'static,
    ) -> Self {
        let info = ModelInfo { shape: shape.to_vec(), classes, ..ModelInfo::default() };
        Self { info, forward: Box::new(forward), gradient: |_| 1.0 }
    }

    /// With this gradient at each feature of a batch.
    pub(crate) fn with_gradient(self, gradient: fn(usize) -> f32) -> Self {
        Self { gradient, ..self }
    }

    /// Sure of class k within `radius` of template k, and of nothing elsewhere.
    pub(crate) fn templates(shape: &[usize], templates: Vec<Vec<f32>>, radius: f32) -> Self {
        let (features, classes) = (templates[0].len(), templates.len());
        Self::new(shape, classes, move |inputs| {
            let score = |x: &[f32], template: &Vec<f32>| {
                let square: f32 = x.iter().zip(template).map(|(x, t)| (x - t).powi(2)).sum();
                (1.0 - square / (radius * radius)).max(0.0)
            };
            let rows = inputs.chunks_exact(features);
            rows.flat_map(|x| templates.iter().map(|t| score(x, t)).collect::<Vec<_>>()).collect()
        })
    }
}

impl Classifier for Toy {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        *logits = (self.forward)(batch.inputs);
        Ok(())
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        _: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        out.logits = (self.forward)(batch.inputs);
        out.loss = vec![0.0; aims.len()];
        out.gradient = (0..batch.inputs.len()).map(self.gradient).collect();
        Ok(())
    }
}
