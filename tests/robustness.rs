//! A robustness test of a model, as in the README.

use ironbound::attack::{Fgsm, Pgd};
use ironbound::{Dataset, Evaluation, Model, Norm, Report, Threat, assert_robust};

#[test]
fn the_classifier_withstands_small_perturbations() -> ironbound::Result<()> {
    let model = Model::load("examples/assets/digits_cnn.onnx")?;
    let data = Dataset::from_npz("examples/assets/digits_test.npz")?.subset(0, Some(50))?;
    let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.05));
    let report = Report::new(&run.attack(Fgsm::default()).attack(Pgd::default()).run()?);
    assert_robust!(report, clean, at_least = 0.9);
    assert_robust!(report, linf = 0.05, at_least = 0.8);
    Ok(())
}
