//! How long an evaluation of a model takes, as in the README.

use criterion::{Criterion, criterion_group, criterion_main};
use ironbound::attack::Pgd;
use ironbound::{Dataset, Evaluation, Model, Norm, Threat};

fn pgd(criterion: &mut Criterion) {
    let model = Model::load("examples/assets/digits_cnn.onnx").expect("the model loads");
    let data = Dataset::from_npz("examples/assets/digits_test.npz").expect("the data are read");
    let run = Evaluation::new(&model, &data).range(0, Some(50)).preflight(false);
    let run = run.threat(Threat::new(Norm::Linf, 0.05)).attack(Pgd::default());
    criterion.bench_function("50 digits, pgd", |bencher| {
        bencher.iter(|| run.run().expect("the run succeeds"));
    });
}

criterion_group!(benches, pgd);
criterion_main!(benches);
