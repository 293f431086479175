//! Classifiers written down as functions, which record what they are asked.

use std::fmt;
use std::sync::{Arc, Mutex};

use ironbound::attack::Session;
use ironbound::{Aim, Batch, Classifier, Loss, LossGradient, ModelInfo, Result, Threat, stream};
use rand::RngExt;

type Forward = Box<dyn Fn(&[f32]) -> Vec<f32> + Send + Sync>;
type Backward = Box<dyn Fn(&[f32], &[f32]) -> Vec<f32> + Send + Sync>;

/// A model given by its logits and its vector-Jacobian product.
pub(crate) struct Toy {
    info: ModelInfo,
    forward: Forward,
    backward: Backward,
    calls: Mutex<Vec<Call>>,
}

/// One call of the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) gradient: bool,
    pub(crate) inputs: Vec<f32>,
}

impl Toy {
    pub(crate) fn new(
        features: usize,
        classes: usize,
        forward: impl Fn(&[f32]) -> Vec<f32> + Send + Sync + 'static,
        backward: impl Fn(&[f32], &[f32]) -> Vec<f32> + Send + Sync + 'static,
    ) -> Self {
        let info = ModelInfo { shape: vec![features], classes, ..ModelInfo::default() };
        let (forward, backward) = (Box::new(forward), Box::new(backward));
        Self { info, forward, backward, calls: Mutex::default() }
    }

    /// Logits (m, -m) for m = (w.x + b) / 2, and -1000 for every further class: class 0 leads by w.x + b.
    pub(crate) fn linear(weights: Vec<f32>, bias: f32, classes: usize) -> Self {
        let w = weights.clone();
        let forward = move |x: &[f32]| {
            let dot: f64 = x.iter().zip(&w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
            let margin = ((dot + f64::from(bias)) / 2.0) as f32;
            let mut logits = vec![-1000.0; classes];
            (logits[0], logits[1]) = (margin, -margin);
            logits
        };
        let features = weights.len();
        let backward =
            move |_: &[f32], c: &[f32]| weights.iter().map(|w| w * (c[0] - c[1]) / 2.0).collect();
        Self::new(features, classes, forward, backward)
    }

    /// tanh units with random weights: smooth, curved, and no two samples alike.
    pub(crate) fn curved(features: usize, classes: usize) -> Self {
        const UNITS: usize = 8;
        let mut draw = stream(7, "curved", features, classes);
        let mut weights = |rows: usize, columns: usize| -> Vec<Vec<f32>> {
            let mut row = || (0..columns).map(|_| draw.random_range(-2.0..2.0)).collect();
            (0..rows).map(|_| row()).collect()
        };
        let (inner, outer) = (weights(UNITS, features), weights(classes, UNITS));
        let hidden = {
            let inner = inner.clone();
            move |x: &[f32]| -> Vec<f32> { inner.iter().map(|row| dot(row, x).tanh()).collect() }
        };
        let forward = {
            let (hidden, outer) = (hidden.clone(), outer.clone());
            move |x: &[f32]| {
                let h = hidden(x);
                outer.iter().map(|row| dot(row, &h)).collect()
            }
        };
        let backward = move |x: &[f32], c: &[f32]| {
            let mut gradient = vec![0.0; features];
            for (unit, h) in hidden(x).into_iter().enumerate() {
                let above: f32 = outer.iter().zip(c).map(|(row, c)| row[unit] * c).sum();
                let slope = above * (1.0 - h * h);
                gradient.iter_mut().zip(&inner[unit]).for_each(|(g, w)| *g += slope * w);
            }
            gradient
        };
        Self::new(features, classes, forward, backward)
    }

    /// The same model for samples of this shape.
    pub(crate) fn shaped(mut self, shape: &[usize]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), self.features());
        self.info.shape = shape.to_vec();
        self
    }

    /// The same logits everywhere.
    pub(crate) fn constant(features: usize, logits: Vec<f32>) -> Self {
        let classes = logits.len();
        Self::new(features, classes, move |_| logits.clone(), move |_, _| vec![0.0; features])
    }

    pub(crate) fn session<'a>(&'a self, threat: &'a Threat) -> Session<'a> {
        Session::new(self, threat)
    }

    /// The logits of one sample, which nobody asked for.
    pub(crate) fn scores(&self, x: &[f32]) -> Vec<f32> {
        (self.forward)(x)
    }

    /// The forward passes asked for so far, one row each.
    pub(crate) fn rows(&self) -> usize {
        self.calls().iter().map(|call| call.inputs.len() / self.features()).sum()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn record(&self, gradient: bool, inputs: &[f32]) {
        assert!(!inputs.is_empty(), "an empty batch needs no model call");
        self.calls.lock().unwrap().push(Call { gradient, inputs: inputs.to_vec() });
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl fmt::Debug for Toy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Toy")
    }
}

impl Classifier for Toy {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        self.record(false, batch.inputs);
        logits.clear();
        batch.inputs.chunks(self.features()).for_each(|x| logits.extend((self.forward)(x)));
        Ok(())
    }

    fn logits_alone(&self, row: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        // Not recorded: confirmations are no queries of the attack.
        *logits = (self.forward)(row.inputs);
        Ok(())
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.record(true, batch.inputs);
        *out = LossGradient::default();
        for (x, &aim) in batch.inputs.chunks(self.features()).zip(aims) {
            let logits = (self.forward)(x);
            let mut cotangent = vec![0.0; logits.len()];
            out.loss.push(loss.value_and_gradient(&logits, aim, &mut cotangent));
            out.gradient.extend((self.backward)(x, &cotangent));
            out.logits.extend(logits);
        }
        Ok(())
    }
}
