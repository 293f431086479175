//! Errors on corrupted images, counted by hand and on a real model.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::Arc;

use ironbound::corruption::{Kind, ParameterSet, Severity};
use ironbound::{
    Aim, Batch, Bounds, Classifier, Corruptions, Dataset, Error, Loss, LossGradient, Model,
    ModelInfo, Result,
};
use ndarray::Array3;

/// Class 1 above a mean of 0.57; a logit that is no number above 0.97.
#[derive(Debug)]
struct Light(ModelInfo);

impl Light {
    fn new() -> Self {
        Self(ModelInfo { shape: vec![8, 8], classes: 2, ..ModelInfo::default() })
    }
}

impl Classifier for Light {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        for image in batch.inputs.chunks_exact(64) {
            let mean = image.iter().sum::<f32>() / 64.0;
            logits.extend([0.57, if mean > 0.97 { f32::NAN } else { mean }]);
        }
        Ok(())
    }

    fn loss_and_gradient(
        &self,
        _batch: Batch<'_>,
        _aims: &[Aim],
        _loss: &Arc<dyn Loss>,
        _out: &mut LossGradient,
    ) -> Result<()> {
        Err(Error::Cancelled)
    }
}

/// Even images of these shades.
fn even(shades: &[f32], labels: &[usize]) -> Dataset {
    let x = Array3::from_shape_fn((shades.len(), 8, 8), |(sample, _, _)| shades[sample]);
    Dataset::from_arrays(x.view(), labels).unwrap()
}

#[test]
fn errors_are_counted_as_by_hand() {
    // Brightness adds 0.05, 0.1, 0.15, 0.2 and 0.3; contrast leaves an even image alone.
    let data = even(&[0.5, 0.4, 0.5, 0.75], &[0, 0, 1, 1]);
    let model = Light::new();
    let sweep = Corruptions::new(&model, &data).kinds(&[Kind::Contrast, Kind::Brightness]);
    let found = sweep.run().unwrap();
    assert_eq!((found.samples, found.clean, found.parameters), (4, 1, ParameterSet::Cifar));
    let expected = [
        (Kind::Contrast, vec![1, 1, 1, 1, 1]),
        // The first image is lost from 0.6 on, the second from 0.6 on, the third is won from 0.6 on, and the last has no
        // finite logits at 1.
        (Kind::Brightness, vec![1, 1, 1, 2, 3]),
    ];
    assert_eq!(found.rows, expected);
    let hard = sweep.clone().parameters(ParameterSet::ImageNet).severities(&[Severity::ALL[0]]);
    let found = hard.kinds(&[Kind::Brightness]).run().unwrap();
    assert_eq!(found.rows, [(Kind::Brightness, vec![1])], "0.1 is added");
    assert_eq!(found.severities, [Severity::ALL[0]]);
}

fn digits() -> (Model, Dataset) {
    let model = Model::load("examples/assets/digits_cnn.onnx").unwrap();
    (
        model,
        Dataset::from_npz("examples/assets/digits_test.npz").unwrap().subset(0, Some(60)).unwrap(),
    )
}

#[test]
fn what_is_found_does_not_depend_on_what_else_is_run() {
    let (model, data) = digits();
    let all = Corruptions::new(&model, &data).seed(3).run().unwrap();
    assert_eq!(all.rows.len(), 15);
    assert!(all.rows.iter().all(|(_, errors)| errors.len() == 5));
    assert!(all.rows.iter().flat_map(|(_, errors)| errors).any(|&count| count > all.clean));
    let part = Corruptions::new(&model, &data)
        .seed(3)
        .kinds(&[Kind::Snow, Kind::GaussianNoise])
        .severities(&Severity::ALL[3..]);
    let halves = [0, 30].map(|offset| data.subset(offset, Some(30)).unwrap());
    let counts = |data| {
        let run = Corruptions::new(&model, data).seed(3).kinds(&[Kind::Snow]).run().unwrap();
        run.rows[0].1.clone()
    };
    let [head, tail] = halves.each_ref().map(counts);
    for (kind, errors) in &part.run().unwrap().rows {
        let whole = &all.rows.iter().find(|(other, _)| other == kind).unwrap().1;
        assert_eq!(errors[..], whole[3..], "{}", kind.name());
        if *kind == Kind::Snow {
            let sums: Vec<usize> = head.iter().zip(&tail).map(|(a, b)| a + b).collect();
            assert_eq!(&sums, whole);
        }
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| Corruptions::new(&model, &data).seed(3).run().unwrap()), all);
}

#[test]
fn what_cannot_be_run_is_refused() {
    let (model, data) = digits();
    let sweep = Corruptions::new(&model, &data);
    let refused = |sweep: Corruptions<'_>| sweep.run().unwrap_err().to_string();
    assert_eq!(refused(sweep.clone().kinds(&[])), "`kinds` is empty: expected at least one");
    assert!(refused(sweep.clone().severities(&[])).starts_with("`severities` is empty"));
    assert!(refused(sweep.clone().bounds(Bounds::NONE)).contains("expected finite ones"));
    let dark = refused(sweep.bounds(Bounds::Uniform(0.0, 0.5)));
    assert!(dark.contains("digits_test.npz"), "{dark}");
}
