//! Samples per second of whole attacks on the embedded digits CNN, and on reference models where `../shared` is there.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should stop")]

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ironbound::attack::{AnyAttack, Fgsm, Pgd, Sample, Session};
use ironbound::{Aim, Classifier, Model, Norm, Threat, argmax};

const DIGITS: &[u8] = include_bytes!("../examples/assets/digits_cnn.onnx");
const SAMPLES: usize = 32;

fn attack_throughput(criterion: &mut Criterion) {
    let mut models = vec![("digits", Model::from_bytes(DIGITS, "digits").unwrap())];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/models");
    for name in ["mnist_net_256x2", "mnist_cnn_ms", "cifar_resnet_2b"] {
        match Model::load(folder.join(format!("{name}.onnx"))) {
            Ok(model) => models.push((name, model)),
            Err(error) => println!("SKIPPED {name}: {error}"),
        }
    }
    // Every step is taken, whether or not the sample is broken: the time does not depend on the model's robustness.
    let pgd = Pgd { steps: 10, random_start: false, early_stop: false, ..Pgd::default() };
    let attacks: [(&str, &dyn AnyAttack); 2] = [("fgsm", &Fgsm::default()), ("pgd-10", &pgd)];
    for (name, model) in &models {
        let features = model.features();
        let inputs: Vec<f32> =
            (0..SAMPLES * features).map(|i| (i as f32 * 0.618).fract()).collect();
        let mut logits = vec![];
        Classifier::logits(model, inputs[..].into(), &mut logits).unwrap();
        let labels = logits.chunks_exact(model.classes()).map(argmax);
        let samples: Vec<Sample<'_>> = inputs
            .chunks_exact(features)
            .zip(labels)
            .enumerate()
            .map(|(id, (clean, label))| Sample { id, clean, aim: Aim::untargeted(label) })
            .collect();
        let threat = Threat::new(Norm::Linf, 8.0 / 255.0);
        let session = Session::new(model, &threat);
        let mut group = criterion.benchmark_group(format!("attack/{name}"));
        group.throughput(Throughput::Elements(SAMPLES as u64));
        for (id, attack) in attacks {
            group.bench_function(id, |bencher| {
                bencher.iter(|| attack.run(&session, &samples).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, attack_throughput);
criterion_main!(benches);
