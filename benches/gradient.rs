//! One forward pass, one forward+gradient pass, per model: the ratio is what an attack step costs.
//!
//! Runs on the embedded digits CNN and the reference models, or those that `IRONBOUND_NETWORKS` leads to.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should stop")]

mod networks;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ironbound::{Aim, Classifier, LossGradient, LossKind};
use networks::{networks, on, samples};

fn gradient_against_forward(criterion: &mut Criterion) {
    let loss = LossKind::CrossEntropy.loss();
    for (name, model) in networks() {
        let mut group = criterion.benchmark_group(format!("gradient/{name}"));
        group.sample_size(10);
        for (batch, threads) in [(1, 1), (16, 1), (16, 2)] {
            let inputs = samples(model.features(), batch);
            let aims = vec![Aim::untargeted(0); batch];
            group.throughput(Throughput::Elements(batch as u64));
            let of = |what: &str| BenchmarkId::new(what, format!("{batch} on {threads}"));
            group.bench_function(of("forward"), |bencher| {
                let mut logits = vec![];
                on(threads, || {
                    bencher.iter(|| {
                        let inputs = black_box(&inputs[..]);
                        Classifier::logits(&model, inputs.into(), &mut logits).unwrap();
                    });
                });
            });
            group.bench_function(of("forward+gradient"), |bencher| {
                let mut out = LossGradient::default();
                on(threads, || {
                    bencher.iter(|| {
                        let inputs = black_box(&inputs[..]).into();
                        Classifier::loss_and_gradient(&model, inputs, &aims, &loss, &mut out)
                            .unwrap();
                    });
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, gradient_against_forward);
criterion_main!(benches);
