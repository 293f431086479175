//! The same bits from an evaluation for any batch size, number of threads and shard, for every attack of the table.

use ironbound::attack::{AnyAttack, AttackSpec};
use ironbound::evaluate::Attempt;
use ironbound::{Dataset, Evaluation, Norm, Threat, argmax, stream};
use rand::RngExt;

use crate::toy::Toy;

const FEATURES: usize = 12;
const SAMPLES: usize = 7;

/// A twentieth of what takes long shows the same.
pub(crate) fn shorter(attack: AttackSpec) -> AttackSpec {
    let params = attack.params();
    let long = ["steps", "queries"].into_iter().find_map(|field| {
        let count = params[field].as_u64().filter(|count| *count >= 200)?;
        Some(format!("{}:{field}={}", attack.id(), count / 20))
    });
    long.map_or(attack, |text| text.parse().unwrap())
}

fn eps(norm: Norm) -> f64 {
    match norm {
        Norm::L0 => 2.0,
        Norm::L1 => 0.6,
        Norm::L2 => 0.25,
        _ => 0.08,
    }
}

fn data(model: &Toy) -> Dataset {
    use ironbound::Classifier;
    let mut draw = stream(9, "same bits", 0, 0);
    let values: Vec<f32> = (0..SAMPLES * FEATURES).map(|_| draw.random_range(0.0..1.0)).collect();
    let mut logits = vec![];
    model.logits(values[..].into(), &mut logits).unwrap();
    let labels: Vec<usize> = logits.chunks(4).map(argmax).collect();
    let view = ndarray::ArrayView3::from_shape((SAMPLES, 3, 4), &values).unwrap();
    Dataset::from_arrays(view, &labels).unwrap()
}

#[test]
fn every_attack_finds_the_same_however_it_is_run() {
    for attack in AttackSpec::all().into_iter().map(shorter) {
        for &norm in attack.norms() {
            let model = Toy::curved(FEATURES, 4).shaped(&[3, 4]);
            let data = data(&model);
            let run = |batch: usize, threads: usize, from: usize, count: Option<usize>| {
                let run = Evaluation::new(&model, &data).preflight(false).attack(attack.clone());
                let run = run
                    .threat(Threat::new(norm, eps(norm)))
                    .threat(Threat::new(norm, 2.0 * eps(norm)));
                let results = run.batch(batch).threads(threads).range(from, count).run().unwrap();
                results.rows.into_iter().map(|row| row.attempts).collect::<Vec<_>>()
            };
            let whole = run(16, 1, 0, None);
            assert!(whole[0].iter().any(|attempt| attempt.attacked), "{attack:?}");
            for (batch, threads) in [(1, 2), (3, 1), (3, 2), (16, 2)] {
                let name = format!("{attack:?} {norm}, batch {batch}, {threads} threads");
                assert_eq!(run(batch, threads, 0, None), whole, "{name}");
            }
            let (first, last) = (run(3, 2, 0, Some(4)), run(16, 1, 4, None));
            let joined: Vec<Vec<Attempt>> =
                first.into_iter().zip(last).map(|(first, last)| [first, last].concat()).collect();
            assert_eq!(joined, whole, "{attack:?} {norm}, in two shards");
        }
    }
}
