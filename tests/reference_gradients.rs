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

/// How far a model is from its oracle.
struct Comparison {
    /// The largest error of each sample's gradient, relative to its largest component.
    gradients: Vec<f64>,
    /// The largest error of `sum w * y`, relative to the largest output.
    output: f64,
}

fn compare(name: &str) -> Option<Result<Comparison, Error>> {
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
    let sigmoid = model.notes().iter().any(|note| note.message.contains("sigmoid"));
    let mut gradients = vec![];
    let resolution = VANISHING * largest(&g.values);
    let mut output = 0.0f64;
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
        let error = out.gradient.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
        let scale = largest(expected).max(resolution).max(f64::MIN_POSITIVE);
        gradients.push(error.fold(0.0, f64::max) / scale);
        let value: f64 = y.values[sample * scores..][..scores]
            .iter()
            .zip(&w.values[sample * scores..])
            .map(|(y, w)| y * w)
            .sum();
        output = output.max((f64::from(out.loss[0]) - value).abs() / largest(&y.values));
    }
    Some(Ok(Comparison { gradients, output }))
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
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
        Classifier::loss_and_gradient(self, input.into(), &[Aim::untargeted(0)], loss, out)
    }
}

/// Below this share of a model's largest gradient, f32 activations no longer resolve a sample's gradient.
const VANISHING: f64 = 1e-15;

#[test]
fn real_models() {
    let Some(folder) = shared("reference/gradients") else { return };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    for name in &names {
        let Comparison { mut gradients, output } =
            compare(name).unwrap().unwrap_or_else(|error| panic!("{name}: {}", error.one_line()));
        gradients.sort_by(f64::total_cmp);
        let (median, worst) = (gradients[gradients.len() / 2], gradients[gradients.len() - 1]);
        println!(
            "{name:22} gradient: median {median:.1e}, worst {worst:.1e}; outputs: {output:.1e}"
        );
        assert!(worst <= 1e-3 && median <= 1e-4, "{name}");
    }
    println!("all of {} models agree with the oracle", names.len());
}
