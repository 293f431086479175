//! Quantised models: exact gradients are zero, straight-through ones break them. Embedded data only.

use ironbound::attack::Pgd;
use ironbound::{
    Aim, Classifier, Dataset, Evaluation, LossGradient, LossKind, Model, ModelOptions, Norm,
    Report, Threat,
};

const INT8: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_cnn_int8.onnx");

fn model(through: &[&str]) -> Model {
    let straight_through = through.iter().map(|entry| (*entry).into()).collect();
    Model::load_with(INT8, &ModelOptions { straight_through, ..ModelOptions::default() }).unwrap()
}

fn data() -> Dataset {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/digits_test.npz");
    Dataset::from_npz(path).unwrap()
}

#[test]
fn try_it() {
    let data = data();
    for through in [&[][..], &["QuantizeLinear"], &["all"]] {
        let model = model(through);
        println!("{:?} {:?}", model.gradient_cuts(), model.info().notes);
        let mut logits = vec![];
        Classifier::logits(&model, data.sample(0), &mut logits).unwrap();
        println!("{logits:?}");
        let mut out = LossGradient::default();
        Classifier::loss_and_gradient(&model, data.sample(0), &[Aim::untargeted(data.labels()[0])], &LossKind::CrossEntropy.loss(), &mut out).unwrap();
        println!("{:?}", out.gradient);
        let results = Evaluation::new(&model, &data)
            .threat(Threat::new(Norm::Linf, 0.1))
            .attack(Pgd { random_start: false, ..Pgd::default() })
            .run()
            .unwrap();
        let report = Report::new(&results);
        println!("{} {:?}", report.clean.correct.iter().filter(|x| **x).count(), report.attacks[0].robust_accuracy);
    }
}
