//! A binarised network of traffic signs: four signs on the way from the image to the logits.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::shared;
use ironbound::attack::Pgd;
use ironbound::evaluate::Fate;
use ironbound::{Dataset, Evaluation, LossKind, Model, ModelOptions, Norm, Preprocessing, Threat};

const SAMPLES: usize = 40;

fn model(through: &[&str]) -> Option<Model> {
    let path = shared("reference/models/gtsrb_qconv30.onnx")?;
    let straight_through = through.iter().map(|entry| (*entry).into()).collect();
    // Images in [0, 1] for a model that takes 0 to 255.
    let preprocessing = Preprocessing { scale: 255.0, ..Preprocessing::default() };
    let options = ModelOptions { straight_through, preprocessing, ..ModelOptions::default() };
    Some(Model::load_with(path, &options).unwrap())
}

#[test]
fn every_sign_cuts() {
    let Some(exact) = model(&[]) else { return };
    let sign = |name: &str| (format!("sequential_10/{name}"), "Sign".to_owned());
    let signs = [
        sign("quant_conv2d_21/ste_sign_52/Sign"),
        sign("quant_conv2d_21/ste_sign_52/Sign_1"),
        sign("quant_dense_10/ste_sign_54/Sign"),
        sign("quant_dense_10/ste_sign_54/Sign_1"),
    ];
    assert_eq!(exact.gradient_cuts().unwrap(), signs[3..]);
    for cut in 0..4 {
        let others: Vec<&str> = (0..4).filter(|at| *at != cut).map(|at| &*signs[at].0).collect();
        let model = model(&others).unwrap();
        assert_eq!(model.gradient_cuts().unwrap(), signs[cut..=cut]);
    }
    assert!(model(&["Sign"]).unwrap().gradient_cuts().unwrap().is_empty());
}

#[test]
fn only_straight_through_gradients_break_it() {
    let Some(data) = shared("reference/data/gtsrb_test_30.npz") else { return };
    let data = Dataset::from_npz(data).unwrap().subset(0, Some(SAMPLES)).unwrap();
    let broken = |through: &[&str], eps: f64| {
        let model = model(through)?;
        // Logits are hundreds apart: a softmax of them has no slope left.
        let pgd = Pgd { loss: LossKind::Margin, ..Pgd::default() };
        let threat = Threat::new(Norm::Linf, eps);
        let results = Evaluation::new(&model, &data).threat(threat).attack(pgd).run().unwrap();
        let attempts = &results.rows[0].attempts;
        let zero = attempts.iter().map(|attempt| attempt.zero_gradients).sum::<u64>();
        let backward = attempts.iter().map(|attempt| attempt.backward).sum::<u64>();
        let broken = attempts.iter().filter(|attempt| attempt.fate == Fate::Broken).count();
        if through.is_empty() {
            // The gradient of a query that breaks its sample is not stepped along.
            assert!(zero > 0 && backward - zero <= broken as u64, "{zero} of {backward}");
        } else {
            assert_eq!(zero, 0);
        }
        Some(broken)
    };
    for (eps, at_least) in [(1.0 / 255.0, 18), (3.0 / 255.0, 28)] {
        let (Some(exact), Some(through)) = (broken(&[], eps), broken(&["Sign"], eps)) else {
            return;
        };
        println!("eps {eps}: {exact} by random steps, {through} straight through");
        assert!(exact <= 6, "{exact} at {eps}");
        assert!(through >= at_least, "{through} at {eps}");
    }
}
