//! What a profile counts: in a process of its own, as there is one profile for all that a process does.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::time::Duration;

use ironbound::attack::Pgd;
use ironbound::evaluate::Results;
use ironbound::profile::{self, Profile, Stage};
use ironbound::{Dataset, Evaluation, Model, Norm, Threat};

const STEPS: usize = 7;
const SAMPLES: usize = 12;

/// An evaluation from the file to the results, on one thread.
fn run() -> (Results, Profile) {
    profile::start();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets");
    let model = Model::load(format!("{folder}/digits_cnn.onnx")).unwrap();
    let data = Dataset::open(format!("{folder}/digits_test.npz"), &Default::default()).unwrap();
    let results = Evaluation::new(&model, &data)
        .attack(Pgd { steps: STEPS, ..Pgd::default() })
        // Too small to break anything: no sample leaves early.
        .threat(Threat::new(Norm::Linf, 1e-6))
        .range(0, Some(SAMPLES))
        .threads(1)
        .run()
        .unwrap();
    profile::timed(Stage::Report, || std::thread::sleep(Duration::from_millis(20)));
    (results, profile::stop())
}

#[test]
fn time_and_passes_are_where_they_were_spent() {
    let (results, profile) = run();
    let row = &results.rows[0];
    let backward: u64 = row.attempts.iter().map(|attempt| attempt.backward).sum();
    assert!(backward >= (STEPS * SAMPLES / 2) as u64, "most samples are attacked: {backward}");
    assert_eq!(profile.gradients, backward);
    for stage in Stage::ALL {
        assert!(profile.time(stage) > Duration::ZERO, "{stage:?}: {profile}");
    }
    assert!(profile.time(Stage::Report) >= Duration::from_millis(20));
    // One thread at a time: the stages do not overlap.
    let total: Duration = Stage::ALL.iter().map(|stage| profile.time(*stage)).sum();
    assert!(total <= profile.elapsed, "{profile}");
    let passes = profile.time(Stage::Forward) + profile.time(Stage::Backward);
    let rate = profile.gradients_per_second().unwrap();
    let expected = backward as f64 / passes.as_secs_f64();
    assert!((rate / expected - 1.0).abs() < 1e-12);
    let text = profile.to_string();
    assert!(text.contains(&format!("{backward} gradients")), "{text}");
    assert!(text.contains("backward") && text.contains('%'), "{text}");

    // A start forgets what was before; nothing is measured after a stop.
    assert_eq!(run().1.gradients, backward);
    profile::start();
    let nothing = profile::stop();
    assert_eq!((nothing.gradients, nothing.gradients_per_second()), (0, None));
    profile::timed(Stage::Judge, || ());
    assert_eq!(profile::stop().time(Stage::Judge), Duration::ZERO);
}
