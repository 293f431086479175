//! One forward pass, one forward+gradient pass, per model: the ratio is what an attack step costs.
//!
//! Runs on the embedded digits CNN, and on the reference models where `../shared` is there.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should stop")]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ironbound::{Aim, Classifier, LossGradient, LossKind, Model, ModelOptions};

const DIGITS: &[u8] = include_bytes!("../examples/assets/digits_cnn.onnx");

/// Reference models: MLPs, small CNNs, residual networks, a vision transformer.
const REFERENCE: &[&str] = &[
    "mnist_net_256x2",
    "mnist_cnn_ms",
    "mnist_cnn_max3",
    "cifar_base_kw",
    "cifar_winml_cnn",
    "cifar_resnet_2b",
    "cifar_sri_resnet_a",
    "cifar_vit_pgd",
];

fn models() -> Vec<(String, Model)> {
    let mut models = vec![("digits".to_owned(), Model::from_bytes(DIGITS, "digits").unwrap())];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/models");
    for name in REFERENCE {
        let path = folder.join(format!("{name}.onnx"));
        match Model::load_with(&path, &ModelOptions::default()) {
            Ok(model) => models.push(((*name).into(), model)),
            Err(error) => println!("SKIPPED {name}: {error}"),
        }
    }
    models
}

fn gradient_against_forward(criterion: &mut Criterion) {
    let loss = LossKind::CrossEntropy.loss();
    for (name, model) in models() {
        let mut group = criterion.benchmark_group(format!("gradient/{name}"));
        for batch in [1usize, 16] {
            let inputs: Vec<f32> =
                (0..batch * model.features()).map(|i| (i as f32 * 0.618).fract()).collect();
            let aims = vec![Aim::untargeted(0); batch];
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::new("forward", batch), |bencher| {
                let mut logits = vec![];
                bencher.iter(|| {
                    Classifier::logits(&model, black_box(&inputs[..]).into(), &mut logits).unwrap();
                });
            });
            group.bench_function(BenchmarkId::new("forward+gradient", batch), |bencher| {
                let mut out = LossGradient::default();
                bencher.iter(|| {
                    let inputs = black_box(&inputs);
                    Classifier::loss_and_gradient(
                        &model,
                        inputs[..].into(),
                        &aims,
                        &loss,
                        &mut out,
                    )
                    .unwrap();
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, gradient_against_forward);
criterion_main!(benches);
