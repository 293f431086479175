//! Robust accuracy of a classifier in a few lines; the README shows them.

use ironbound::attack::{Fgsm, Pgd};
use ironbound::{Dataset, Evaluation, Model, Norm, Report, Result, Threat};

fn main() -> Result<()> {
    let model = Model::load("examples/assets/digits_cnn.onnx")?;
    let data = Dataset::from_npz("examples/assets/digits_test.npz")?;

    let results = Evaluation::new(&model, &data)
        .threat(Threat::new(Norm::Linf, 0.05))
        .threat(Threat::new(Norm::Linf, 0.1))
        .attack(Fgsm::default())
        .attack(Pgd { steps: 20, restarts: 2, ..Pgd::default() })
        .run()?;

    let report = Report::new(&results);
    print!("{}", report.to_text());
    Ok(())
}
