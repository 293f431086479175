//! Gradients of real models against an independent f64 interpreter of the same graphs.

mod common;

use std::sync::Arc;

use common::{npz, shared};
use ironbound::{Aim, Classifier, Error, Loss, LossGradient, Model, ModelOptions};

/// `sum w * y` of the oracle, whose `y` may stand behind a final sigmoid.
#[derive(Debug)]
struct Projection {
    weights: Vec<f64>,
    sigmoid: bool,
}

impl Loss for Projection {
    fn name(&self) -> &str {
        "projection"
    }

    fn value_and_gradient(&self, logits: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        let scores = &logits[logits.len() - self.weights.len()..];
        let offset = gradient.len() - self.weights.len();
        gradient.fill(0.0);
        let mut loss = 0.0;
        for (index, (z, w)) in scores.iter().zip(&self.weights).enumerate() {
            let y = if self.sigmoid { 1.0 / (1.0 + (-f64::from(*z)).exp()) } else { f64::from(*z) };
            loss += w * y;
            let slope = if self.sigmoid { y * (1.0 - y) } else { 1.0 };
            gradient[offset + index] = (w * slope) as f32;
        }
        loss as f32
    }
}

/// The largest error of each sample's gradient, relative to its largest component, and likewise of the outputs.
fn errors(name: &str) -> Option<Result<(Vec<f64>, f64), Error>> {
    let oracle = npz::read(&shared(&format!("reference/gradients/{name}.npz"))?);
    let (x, y, w, g) = (&oracle["x"], &oracle["y"], &oracle["w"], &oracle["g"]);
    let options = ModelOptions {
        input: oracle["input"].text.clone(),
        output: oracle["stop"].text.clone(),
        input_shape: Some(x.shape[2..].to_vec()),
        ..ModelOptions::default()
    };
    let model = match Model::load_with(shared(&format!("reference/models/{name}.onnx"))?, &options)
    {
        Ok(model) => model,
        Err(error) => return Some(Err(error)),
    };
    let samples = x.shape[0];
    let scores = w.values.len() / samples;
    let sigmoid = model.notes().iter().any(|(_, message)| message.contains("sigmoid"));
    let mut gradients = vec![];
    let mut output_error = 0.0f64;
    for sample in 0..samples {
        let weights = w.values[sample * scores..][..scores].to_vec();
        let loss: Arc<dyn Loss> = Arc::new(Projection { weights, sigmoid });
        let features = model.features();
        let input = &x.floats()[sample * features..][..features];
        let mut out = LossGradient::default();
        if let Err(error) = model.loss_and_gradient_of(input, &loss, &mut out) {
            return Some(Err(error));
        }
        let expected = &g.values[sample * features..][..features];
        let largest = expected.iter().fold(1e-30f64, |largest, g| largest.max(g.abs()));
        let error = out.gradient.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
        gradients.push(error.fold(0.0, f64::max) / largest);
        let value: f64 = y.values[sample * scores..][..scores]
            .iter()
            .zip(&w.values[sample * scores..])
            .map(|(y, w)| y * w)
            .sum();
        let scale = y.values.iter().fold(1e-30f64, |largest, y| largest.max(y.abs()));
        output_error = output_error.max((f64::from(out.loss[0]) - value).abs() / scale);
    }
    Some(Ok((gradients, output_error)))
}

trait OfOneSample {
    fn loss_and_gradient_of(
        &self,
        input: &[f32],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<(), Error>;
}

impl OfOneSample for Model {
    fn loss_and_gradient_of(
        &self,
        input: &[f32],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<(), Error> {
        Classifier::loss_and_gradient(self, input, &[Aim::untargeted(0)], loss, out)
    }
}

#[test]
fn real_models() {
    let Some(folder) = shared("reference/gradients") else { return };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    for name in &names {
        match errors(name).unwrap() {
            Ok((errors, output)) => {
                let mut sorted = errors.clone();
                sorted.sort_by(f64::total_cmp);
                println!(
                    "{name}: median {:.1e}, max {:.1e}, outputs {output:.1e}",
                    sorted[sorted.len() / 2],
                    sorted[sorted.len() - 1]
                );
            }
            Err(error) => println!("{name}: {}", common::chain(&error)),
        }
    }
}
