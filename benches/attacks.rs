//! Samples per second of whole attacks, on one thread and on two.
//!
//! Runs on the embedded digits CNN and the reference models, or those that `IRONBOUND_NETWORKS` leads to; a filter behind `--` picks
//! some: `attack/digits/pgd`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should stop")]

mod networks;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use ironbound::attack::{AnyAttack, Apgd, Fgsm, Pgd, Sample, Session, Square};
use ironbound::{Aim, Classifier, Norm, Threat, argmax};
use networks::{networks, on, samples};
use rayon::prelude::*;

/// So small that nothing breaks: every attack takes all its steps, whatever the model.
const EPS: f64 = 1e-6;

fn attack_throughput(criterion: &mut Criterion) {
    let pgd = |steps| Pgd { steps, ..Pgd::default() };
    let attacks: [(&str, Box<dyn AnyAttack>); 5] = [
        ("fgsm", Box::new(Fgsm::default())),
        ("pgd-10", Box::new(pgd(10))),
        ("pgd-40", Box::new(pgd(40))),
        ("apgd-100", Box::new(Apgd { steps: 100, ..Apgd::default() })),
        ("square-1000", Box::new(Square { queries: 1000, ..Square::default() })),
    ];
    let threat = Threat::new(Norm::Linf, EPS);
    for (name, model) in networks() {
        let features = model.features();
        let mut logits = vec![];
        // The model settles its batch.
        Classifier::logits(&model, samples(features, 1)[..].into(), &mut logits).unwrap();
        let batch = model.preferred_batch();
        let inputs = samples(features, 2 * batch);
        Classifier::logits(&model, inputs[..].into(), &mut logits).unwrap();
        let labels = logits.chunks_exact(model.classes()).map(argmax);
        let samples: Vec<Sample<'_>> = inputs
            .chunks_exact(features)
            .zip(labels)
            .enumerate()
            .map(|(id, (clean, label))| Sample { id, clean, aim: Aim::untargeted(label) })
            .collect();
        let session = Session::new(&model, &threat);
        let mut group = criterion.benchmark_group(format!("attack/{name}"));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::Elements(samples.len() as u64));
        for (id, attack) in &attacks {
            for threads in [1, 2] {
                group.bench_function(BenchmarkId::new(*id, threads), |bencher| {
                    on(threads, || {
                        bencher.iter(|| {
                            samples
                                .par_chunks(batch)
                                .try_for_each(|unit| attack.run(&session, unit).map(drop))
                                .unwrap();
                        });
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, attack_throughput);
criterion_main!(benches);
