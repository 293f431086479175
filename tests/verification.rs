//! Stored adversarial points: what holds, and what was tampered with.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;
mod common;

use std::path::Path;
use std::process::{Command, Output};

use closed::{Linear, dataset, samples};
use common::example;
use ironbound::attack::AttackSpec;
use ironbound::report::{Report, Verification, VerificationRow, save_adversarial};
use ironbound::{AdversarialPoints, Dataset, Error, Evaluation, Goal, Norm, Threat};

fn model() -> Linear {
    let mut model = Linear::random(2, 16, 3);
    model.info.shape = vec![1, 4, 4];
    model
}

fn data(model: &Linear) -> Dataset {
    let (inputs, labels) = samples(model, 2, 30);
    dataset(inputs, labels, 16)
}

/// A run from sample 3 on, its report and its points.
fn run(threats: &[Threat], attacks: &[&str]) -> (Linear, Dataset, Report, AdversarialPoints) {
    let model = model();
    let data = data(&model);
    let run = Evaluation::new(&model, &data).seed(7).range(3, Some(20)).preflight(false);
    let run = threats.iter().fold(run, |run, threat| run.threat(threat.clone()));
    let attack = |text: &&str| text.parse::<AttackSpec>().unwrap();
    let results = attacks.iter().fold(run, |run, text| run.attack(attack(text))).run().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("points.npz");
    save_adversarial(&results, &path).unwrap();
    let points = AdversarialPoints::load(&path).unwrap();
    (model, data, Report::new(&results), points)
}

fn total(verification: &Verification, of: fn(&VerificationRow) -> usize) -> usize {
    verification.rows.iter().map(of).sum()
}

#[test]
fn what_a_run_stored_holds() {
    let linf = Threat::new(Norm::Linf, 0.1);
    let threats = [
        linf.clone(),
        Threat::new(Norm::L2, 0.5),
        linf.clone().with_goal(Goal::Random),
        linf.clone().with_goal(Goal::KthLikely(2)),
        linf.with_goal(Goal::EveryOther),
    ];
    let attacks = ["pgd:steps=5", "fmn:steps=20", "spatial", "corruption:severity=5"];
    let (model, data, report, points) = run(&threats, &attacks);
    let verification = Verification::new(&report, &points, &model, &data).unwrap();
    assert!(verification.holds(), "{}", verification.to_text());
    let stored = total(&verification, |row| row.stored);
    assert_eq!(stored, points.len());
    assert_eq!(stored, report.attacks.iter().map(|row| row.broken.len()).sum::<usize>());
    for row in &verification.rows {
        assert_eq!((row.stored, row.hold, row.not_rendered), (row.broken, row.broken, 0));
    }
    let of = |name: &str| {
        let rows = verification.rows.iter().filter(|row| row.attack == name);
        rows.map(|row| row.hold).sum::<usize>()
    };
    for name in ["pgd", "fmn", "spatial", "corruption"] {
        assert!(of(name) > 0, "{name} broke nothing");
    }
    assert!(verification.to_text().ends_with(&format!("\nall {stored} points hold\n")));
    let json: Verification = serde_json::from_str(&verification.to_json()).unwrap();
    assert_eq!(json, verification);
}

/// Every way to tamper with a point, and where it is counted.
#[test]
fn tampered_points_are_told() {
    let (model, data, report, honest) = run(&[Threat::new(Norm::Linf, 0.1)], &["pgd", "spatial"]);
    let count = |row: usize| honest.row.iter().filter(|of| **of == row).count();
    assert!(count(0) > 2 && count(1) > 0, "{:?}", honest.row);
    let spatial = count(0);
    let clean = |at: usize| data.sample(honest.sample[at]).to_vec();
    let judged = |tamper: &dyn Fn(&mut AdversarialPoints)| {
        let mut points = honest.clone();
        tamper(&mut points);
        Verification::new(&report, &points, &model, &data).unwrap()
    };
    let only = |verification: &Verification, part: &str| {
        let [fault] = &verification.faults[..] else { panic!("{}", verification.to_text()) };
        assert!(fault.problem.contains(part), "{fault:?}");
        assert!(verification.to_text().contains(&fault.problem));
        assert_eq!(total(verification, |row| row.hold) + 1, honest.len());
    };
    // Beyond the ball, by two units in the last place of a feature at its edge.
    let moved = judged(&|points| {
        let at = (0..16).max_by(|a, b| {
            let size = |f: usize| (points.x[f] - clean(0)[f]).abs();
            size(*a).total_cmp(&size(*b))
        });
        let x = &mut points.x[at.unwrap()];
        let up = *x > clean(0)[at.unwrap()];
        *x = if up { x.next_up().next_up() } else { x.next_down().next_down() };
    });
    only(&moved, "the perturbation's size is");
    assert_eq!(moved.rows[0].outside, 1);
    let bright = judged(&|points| points.x[1] = 1.5);
    only(&bright, "feature 1 is out of bounds");
    let nan = judged(&|points| points.x[2] = f32::NAN);
    only(&nan, "feature 2 is not finite");
    // The clean sample itself, as large as the point was said to be or as it is.
    let undone = judged(&|points| points.x[..16].copy_from_slice(&clean(0)));
    only(&undone, "the perturbation's size is 0, not what was recorded");
    assert_eq!(undone.rows[0].other, 1);
    // As large as recorded, but the other way.
    let turned = judged(&|points| {
        let sample = clean(0);
        for (x, c) in points.x[..16].iter_mut().zip(sample) {
            *x = (c - (*x - c)).clamp(0.0, 1.0);
        }
    });
    assert_eq!(turned.rows[0].hold + 1, turned.rows[0].stored);
    let shifted = judged(&|points| {
        let x = &mut points.x[16 * spatial..][..16];
        let other = clean(spatial).iter().map(|x| 1.0 - x).collect::<Vec<_>>();
        x.copy_from_slice(&other);
    });
    only(&shifted, "the recorded transformation leads to another point");
    assert_eq!(shifted.rows[1].outside, 1);

    only(&judged(&|points| points.prediction[1] = 9), "the report has no such point");
    only(&judged(&|points| points.distance[1] *= 0.5), "the report has no such point");
    let elsewhere = judged(&|points| points.row[0] = 77);
    assert_eq!(elsewhere.faults.len(), 2, "one is not in the report, one is missing");
    let robust = (3..23).find(|sample| !honest.sample.contains(sample)).unwrap();
    let named = judged(&|points| points.sample[0] = robust);
    assert_eq!((named.faults.len(), named.rows[0].missing), (2, 1));
    let gone = judged(&|points| {
        points.row.pop();
        points.sample.pop();
        points.prediction.pop();
        points.distance.pop();
        points.x.truncate(16 * points.row.len());
    });
    assert_eq!((gone.faults.len(), gone.rows[1].missing), (1, 1));
    assert!(!gone.holds());
}

/// Report and points that agree with each other, and not with the model.
#[test]
fn a_consistent_lie_is_told() {
    let (model, data, report, points) = run(&[Threat::new(Norm::Linf, 0.1)], &["pgd"]);
    let (mut lie, mut lying) = (report.clone(), points.clone());
    let other = (0..3)
        .find(|class| *class != points.prediction[0] && *class != data.labels()[points.sample[0]]);
    lying.prediction[0] = other.unwrap();
    lie.attacks[0].broken[0].prediction = other.unwrap();
    let told = Verification::new(&lie, &lying, &model, &data).unwrap();
    assert!(told.faults[0].problem.contains("recorded was"), "{}", told.to_text());

    // A sample that no attack broke, "broken" by itself.
    let (mut lie, mut lying) = (report.clone(), points.clone());
    let robust = (3..23).find(|id| report.attacks[0].robust[id - 3]).unwrap();
    lie.attacks[0].broken[0].sample = robust;
    lie.attacks[0].broken[0].distance = Some(0.0);
    lying.sample[0] = robust;
    lying.distance[0] = 0.0;
    lying.x[..16].copy_from_slice(data.sample(robust));
    let told = Verification::new(&lie, &lying, &model, &data).unwrap();
    assert_eq!((told.faults.len(), told.rows[0].not_fooled), (1, 1), "{}", told.to_text());

    // A sample that is wrong without an attack.
    let wrong = (3..23).find(|id| !report.clean.correct[id - 3]).unwrap();
    let prediction = report.clean.predictions[wrong - 3].unwrap();
    (lie.attacks[0].broken[0].sample, lying.sample[0]) = (wrong, wrong);
    (lie.attacks[0].broken[0].prediction, lying.prediction[0]) = (prediction, prediction);
    lying.x[..16].copy_from_slice(data.sample(wrong));
    let told = Verification::new(&lie, &lying, &model, &data).unwrap();
    assert!(told.faults[0].problem.contains("wrong without an attack"), "{}", told.to_text());

    // A row of another threat, and a threat that fits no data.
    let mut lie = report.clone();
    lie.worst_case[0].threat.as_mut().unwrap().mask = Some(vec![false; 16]);
    let told = Verification::new(&lie, &points, &model, &data).unwrap();
    assert_eq!(told.rows[0].outside, points.len());
    lie.worst_case[0].threat.as_mut().unwrap().mask = Some(vec![false; 3]);
    assert!(matches!(
        Verification::new(&lie, &points, &model, &data),
        Err(Error::Parameter { .. })
    ));
    lie.worst_case.clear();
    assert!(Verification::new(&lie, &points, &model, &data).is_err());
    let mut lie = report;
    lie.attacks[0].broken[0].sample = 1000;
    let mut lying = points;
    lying.sample[0] = 1000;
    let error = Verification::new(&lie, &lying, &model, &data).unwrap_err().to_string();
    assert!(error.contains("30 samples"), "{error}");
}

#[test]
fn attacks_of_ones_own_are_not_rendered() {
    let (model, data, mut report, mut points) = run(&[Threat::new(Norm::Linf, 0.1)], &["spatial"]);
    report.attacks[0].id = "twirl".into();
    let verification = Verification::new(&report, &points, &model, &data).unwrap();
    assert!(verification.holds());
    assert_eq!(verification.rows[0].not_rendered, points.len());
    assert!(verification.to_text().contains("were not rendered again"));
    // Bounds and class are looked at all the same.
    points.x[0] = -0.5;
    assert!(!Verification::new(&report, &points, &model, &data).unwrap().holds());
}

#[test]
fn another_model_and_other_data_are_refused() {
    let (mut model, data, report, points) = run(&[Threat::new(Norm::Linf, 0.1)], &["pgd"]);
    let (inputs, mut labels) = samples(&model, 2, 30);
    labels[0] = (labels[0] + 1) % 3;
    let other = dataset(inputs, labels, 16);
    let error = Verification::new(&report, &points, &model, &other).unwrap_err().to_string();
    assert!(error.starts_with("`data` is data (sha256 "), "{error}");
    model.info.sha256 = "11".repeat(32);
    let error = Verification::new(&report, &points, &model, &data).unwrap_err().to_string();
    assert!(error.contains("the report is about linear (sha256 0000"), "{error}");
}

const MODEL: &str = "examples/assets/digits_cnn.onnx";
const DATA: &str = "examples/assets/digits_test.npz";

fn example_run(name: &str, args: &[&str]) -> Output {
    let mut command = Command::new(example::binary(name));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().unwrap()
}

/// The files of `evaluate` with these flags, in `folder`.
fn evaluated(folder: &Path, flags: &[&str]) -> [String; 2] {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [json, points] = ["report.json", "points.npz"].map(path);
    let common = [MODEL, "--data", DATA, "--limit", "10", "--offset", "5", "--quiet"];
    let files = ["--json", &json, "--save-adversarial", &points];
    let output = example_run("evaluate", &[&common[..], &files, flags].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    [json, points]
}

#[test]
fn files_are_verified_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let flags: [&[&str]; 4] = [
        &["--eps", "0.2,0.3", "--attack", "pgd:steps=5", "--attack", "spatial"],
        &[
            "--eps", "0.15", "--scale", "1", "--mean", "0.1", "--std", "0.9", "--attack", "fgsm",
            "--grid", "1/16", "--bounds", "0,1",
        ],
        &["--eps", "0.2", "--objective", "moved:by=3", "--attack", "pgd:loss=margin,steps=5"],
        &[
            "--eps",
            "0.2",
            "--attack",
            "mi-fgsm",
            "--surrogate",
            "examples/assets/digits_cnn_plain.onnx",
        ],
    ];
    for flags in flags {
        let [json, points] = evaluated(folder.path(), flags);
        let out = folder.path().join("verdicts.json");
        let args = [&json, "--adversarial", &points, "--model", MODEL, "--data", DATA, "--json"];
        let output = example_run("verify", &[&args[..], &[out.to_str().unwrap()]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{flags:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let read: Verification =
            serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
        assert!(read.holds() && total(&read, |row| row.stored) > 0, "{flags:?}: {text}");
        assert_eq!(text, read.to_text());
    }
}

#[test]
fn exit_codes_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let [json, points] = evaluated(folder.path(), &["--eps", "0.3", "--attack", "fgsm"]);
    let verify = |report: &str, points: &str, model: &str, data: &str| {
        let args = [report, "--adversarial", points, "--model", model, "--data", data, "--quiet"];
        let output = example_run("verify", &args);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(verify(&json, &points, MODEL, DATA), (0, String::new()));
    let text = std::fs::read_to_string(&json).unwrap();
    let forged = folder.path().join("forged.json").to_str().unwrap().to_owned();
    std::fs::write(&forged, text.replace("\"scalar\":0.3", "\"scalar\":0.2")).unwrap();
    let (code, message) = verify(&forged, &points, MODEL, DATA);
    assert_eq!(
        (code, message.ends_with(" points do not hold or are missing\n")),
        (1, true),
        "{message}"
    );
    let (code, message) = verify(&json, &points, "examples/assets/digits_cnn_plain.onnx", DATA);
    assert_eq!(code, 2);
    assert!(
        message.starts_with("error: `model` is examples/assets/digits_cnn_plain.onnx"),
        "{message}"
    );
    for (points, part) in
        [(DATA, "no array `prediction`"), (MODEL, "not an npz file"), ("none.npz", "none.npz")]
    {
        let (code, message) = verify(&json, points, MODEL, DATA);
        assert!(code == 2 && message.contains(part), "{message}");
    }
    assert_eq!(verify(&json, &points, DATA, DATA).0, 3);
    let help = example_run("verify", &["--help"]);
    assert!(String::from_utf8(help.stdout).unwrap().contains("Exit codes:"));
    // A run that broke nothing has nothing to verify.
    let [json, points] = evaluated(folder.path(), &["--eps", "0", "--attack", "fgsm"]);
    assert_eq!(verify(&json, &points, MODEL, DATA).0, 0);
}
