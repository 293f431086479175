//! What a model is like around a sample: linear models in closed form, a smooth network by brute force.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;

use std::sync::Arc;

use approx::assert_relative_eq;
use closed::{Linear, dataset, samples};
use ironbound::vicinity::{Clever, Slopes, Vicinity};
use ironbound::{
    Aim, Batch, Bounds, Budget, Classifier, Loss, LossGradient, ModelInfo, Norm, Result, Threat,
    argmax,
};

const NORMS: [(Norm, Norm); 3] =
    [(Norm::L1, Norm::Linf), (Norm::L2, Norm::L2), (Norm::Linf, Norm::L1)];

fn free(norm: Norm, radius: f64) -> Threat {
    Threat::new(norm, radius).with_bounds(Bounds::NONE)
}

/// The distance to the nearest boundary of a linear model is lead / |w - w'| in the dual norm.
#[test]
fn linear_models_have_closed_forms() {
    let model = Linear::random(4, 5, 4);
    let (inputs, labels) = samples(&model, 1, 6);
    let data = dataset(inputs, labels, 5);
    for (norm, dual) in NORMS {
        let around = Vicinity::new(&model, &data, free(norm, 3.0));
        let scores = around.clever(&Clever { batches: 4, samples: 5, rivals: None }).unwrap();
        let slopes = around.slopes(&Slopes { draws: 20 }).unwrap();
        for (index, (score, slopes)) in scores.iter().zip(&slopes).enumerate() {
            let logits = model.one(data.sample(index));
            let own = argmax(&logits);
            let lead = |rival: usize| f64::from(logits[own]) - f64::from(logits[rival]);
            let steep = |rival: usize| dual.size(&model.weights[rival], &model.weights[own]);
            let others: Vec<usize> = (0..4).filter(|class| *class != own).collect();
            assert_eq!((score.prediction, score.rivals.len()), (own, 3));
            for rival in &score.rivals {
                assert!(rival.fit.is_none(), "all gradients are alike: {rival:?}");
                assert_relative_eq!(rival.lipschitz, steep(rival.class), max_relative = 1e-6);
                let expected = (lead(rival.class) / steep(rival.class)).min(3.0);
                assert_relative_eq!(rival.score, expected, max_relative = 1e-5);
            }
            let nearest = others.iter().map(|&c| lead(c) / steep(c)).fold(f64::INFINITY, f64::min);
            assert_relative_eq!(score.score, nearest.min(3.0), max_relative = 1e-5);
            let rival = *others.iter().max_by(|&&a, &&b| logits[a].total_cmp(&logits[b])).unwrap();
            assert_relative_eq!(slopes.margin, lead(rival), max_relative = 1e-5);
            assert_relative_eq!(slopes.here, steep(rival), max_relative = 1e-6);
        }
    }
    let near = Clever { batches: 2, samples: 2, rivals: Some(1) };
    let score = &Vicinity::new(&model, &data, free(Norm::L2, 0.01)).clever(&near).unwrap()[0];
    assert_eq!((score.rivals.len(), score.score), (1, 0.01), "at most the radius");
}

/// `V tanh(W x)`, two features, three classes.
#[derive(Debug)]
struct Smooth(ModelInfo);

const W: [[f64; 2]; 4] = [[1.5, -0.7], [0.4, 1.2], [-1.1, 0.9], [0.3, 0.8]];
const V: [[f64; 4]; 3] = [[1.0, -0.5, 0.3, 0.9], [-0.8, 0.7, 0.2, -0.4], [0.1, 0.6, -1.2, 0.5]];

impl Smooth {
    fn new() -> Self {
        Self(ModelInfo {
            path: "smooth".into(),
            shape: vec![2],
            classes: 3,
            ..ModelInfo::default()
        })
    }

    fn one(x: [f64; 2]) -> [f64; 3] {
        let hidden = W.map(|w| (w[0] * x[0] + w[1] * x[1]).tanh());
        V.map(|v| v.iter().zip(hidden).map(|(v, h)| v * h).sum())
    }

    /// The gradient of a weighted sum of the logits.
    fn gradient(x: [f64; 2], weights: [f64; 3]) -> [f64; 2] {
        let mut gradient = [0.0; 2];
        for (unit, w) in W.iter().enumerate() {
            let slope = 1.0 - (w[0] * x[0] + w[1] * x[1]).tanh().powi(2);
            let up: f64 = (0..3).map(|class| weights[class] * V[class][unit]).sum();
            gradient[0] += up * slope * w[0];
            gradient[1] += up * slope * w[1];
        }
        gradient
    }
}

impl Classifier for Smooth {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        for x in batch.inputs.chunks_exact(2) {
            logits.extend(Self::one([x[0].into(), x[1].into()]).map(|z| z as f32));
        }
        Ok(())
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.logits(batch, &mut out.logits)?;
        out.loss.clear();
        out.gradient.clear();
        for ((x, logits), aim) in
            batch.inputs.chunks_exact(2).zip(out.logits.chunks_exact(3)).zip(aims)
        {
            let mut up = [0.0; 3];
            out.loss.push(loss.value_and_gradient(logits, *aim, &mut up));
            let gradient = Self::gradient([x[0].into(), x[1].into()], up.map(f64::from));
            out.gradient.extend(gradient.map(|g| g as f32));
        }
        Ok(())
    }
}

/// The largest gradient on a fine grid of the ball: of the lead of a class over another, or over whichever is largest.
fn brute_force(norm: Norm, dual: Norm, radius: f64, own: usize, rival: Option<usize>) -> f64 {
    let steps = 120;
    let mut largest = 0.0_f64;
    for i in -steps..=steps {
        for j in -steps..=steps {
            let offset = [i, j].map(|k| (f64::from(k) / f64::from(steps) * radius) as f32);
            if norm.size(&[0.0; 2], &offset) <= radius * (1.0 + 1e-6) {
                let x = [0, 1].map(|k| f64::from(CENTRE[k]) + f64::from(offset[k]));
                let mut logits = Smooth::one(x);
                logits[own] = f64::NEG_INFINITY;
                let rival = rival.unwrap_or_else(|| argmax(&logits.map(|z| z as f32)));
                let mut weights = [0.0; 3];
                (weights[own], weights[rival]) = (1.0, -1.0);
                let gradient = Smooth::gradient(x, weights).map(|g| g as f32);
                largest = largest.max(dual.size(&[0.0; 2], &gradient));
            }
        }
    }
    largest
}

const CENTRE: [f32; 2] = [0.55, 0.35];

#[test]
fn the_steepest_slope_of_a_smooth_network_is_found() {
    let model = Smooth::new();
    let data = dataset(CENTRE.to_vec(), vec![0], 2);
    let own = argmax(&Smooth::one(CENTRE.map(f64::from)).map(|z| z as f32));
    for (norm, dual) in NORMS {
        let around = Vicinity::new(&model, &data, free(norm, 0.25)).seed(1);
        let clever = Clever { batches: 60, samples: 100, rivals: None };
        let score = around.clever(&clever).unwrap().remove(0);
        assert_eq!(score.prediction, own);
        for rival in &score.rivals {
            let truth = brute_force(norm, dual, 0.25, own, Some(rival.class));
            let off = rival.lipschitz / truth - 1.0;
            assert!(off.abs() < 0.02, "{norm} {}: {} {truth}", rival.class, rival.lipschitz);
            assert_relative_eq!(rival.score, (rival.lead / rival.lipschitz).min(0.25));
        }
        let slopes = around.slopes(&Slopes { draws: 2000 }).unwrap().remove(0);
        let truth = brute_force(norm, dual, 0.25, own, None);
        let share = slopes.steepest / truth;
        assert!(share > 0.95 && share < 1.002, "{norm}: {slopes:?} {truth}");
        assert!(slopes.here < slopes.steepest);
    }
}

#[test]
fn masks_samples_and_seeds_count() {
    let model = Linear::random(4, 5, 3);
    let (inputs, labels) = samples(&model, 1, 6);
    let data = dataset(inputs, labels, 5);
    let mask = vec![true, false, true, false, false];
    let around = Vicinity::new(&model, &data, free(Norm::L2, 1.0).with_mask(mask)).samples([3]);
    let found = around.slopes(&Slopes { draws: 5 }).unwrap();
    let logits = model.one(data.sample(3));
    let mut order: Vec<usize> = (0..3).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let apart = |f: usize| f64::from(model.weights[order[0]][f] - model.weights[order[1]][f]);
    assert_eq!((found.len(), found[0].sample), (1, 3));
    assert_relative_eq!(found[0].here, apart(0).hypot(apart(2)), max_relative = 1e-6);

    let smooth = Smooth::new();
    let data = dataset(vec![0.55, 0.35, 0.1, 0.9], vec![0, 0], 2);
    let run = |ids: &[usize], seed| {
        let around = Vicinity::new(&smooth, &data, free(Norm::L2, 0.5)).samples(ids.to_vec());
        around.seed(seed).clever(&Clever { batches: 5, samples: 7, rivals: None }).unwrap()
    };
    assert_eq!(run(&[1], 0)[0], run(&[0, 1], 0)[1]);
    assert_ne!(run(&[1], 0)[0], run(&[1], 1)[0]);
}

#[test]
fn impossible_requests_are_refused() {
    let model = Linear::random(4, 5, 3);
    let (inputs, labels) = samples(&model, 1, 6);
    let data = dataset(inputs, labels, 5);
    let refusal = |threat: Threat, clever: Clever| {
        Vicinity::new(&model, &data, threat).clever(&clever).unwrap_err().to_string()
    };
    let few = Clever { batches: 1, samples: 1, rivals: None };
    let found = refusal(free(Norm::L0, 1.0), few);
    assert!(found.starts_with("`norm` is l0: a slope needs a norm"), "{found}");
    let budget = Budget::PerFeature(vec![0.1; 5]);
    let found = refusal(Threat { budget, ..free(Norm::Linf, 0.1) }, few);
    assert!(found.starts_with("`eps` is per feature"), "{found}");
    let found = refusal(free(Norm::L2, 1.0), Clever { rivals: Some(0), ..few });
    assert_eq!(found, "`rivals` is 0: expected 1 or more");
    let found = Vicinity::new(&model, &data, free(Norm::L2, 1.0)).samples([6]);
    let found = found.slopes(&Slopes::default()).unwrap_err().to_string();
    assert_eq!(found, "`samples` is 6: data has samples 0 to 5");
    assert!(Slopes { draws: 0 }.validate().is_err());
}
