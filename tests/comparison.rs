//! A model beside a baseline: in Rust, and by `examples/compare` and `evaluate --baseline`.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;
mod common;

use std::path::Path;
use std::process::{Command, Output};

use closed::{Linear, dataset, samples};
use common::example;
use ironbound::attack::AttackSpec;
use ironbound::evaluate::Fate;
use ironbound::report::{Comparison, Report, Transfers};
use ironbound::{Budget, Classifier, Dataset, Evaluation, Norm, Results, Threat, argmax};

const MODELS: [&str; 2] = ["digits_cnn", "digits_cnn_int8"];

fn data(model: &Linear) -> Dataset {
    let (inputs, labels) = samples(model, 2, 60);
    dataset(inputs, labels, 6)
}

fn report(model: &Linear, data: &Dataset, offset: usize, attack: &str, eps: &[f64]) -> Report {
    let run = Evaluation::new(model, data).range(offset, Some(40)).preflight(false);
    let run = eps.iter().fold(run, |run, eps| run.threat(Threat::new(Norm::Linf, *eps)));
    Report::new(&run.attack(attack.parse::<AttackSpec>().unwrap()).run().unwrap())
}

#[test]
fn samples_are_paired_by_their_index() {
    let (before, after) = (Linear::random(2, 6, 3), Linear::random(3, 6, 3));
    let data = data(&before);
    let [old, new] = [(&before, 0), (&after, 15)]
        .map(|(model, offset)| report(model, &data, offset, "fgsm", &[0.05, 0.1]));
    let comparison = Comparison::new(&new, &old).unwrap();
    assert_eq!((comparison.data.offset, comparison.data.samples), (15, 25));
    assert_eq!(comparison.rows.len(), 3);
    assert_eq!(comparison.rows[0].norm, None);
    for (row, (ours, theirs)) in comparison.rows.iter().zip([
        (&new.clean.correct, &old.clean.correct),
        (&new.worst_case[0].robust, &old.worst_case[0].robust),
        (&new.worst_case[1].robust, &old.worst_case[1].robust),
    ]) {
        let pairs = || (15..40).map(|id| (id, theirs[id], ours[id - 15]));
        let which = |old: bool, new: bool| {
            pairs().filter(|pair| (pair.1, pair.2) == (old, new)).map(|pair| pair.0).collect()
        };
        let (broken, fixed): (Vec<usize>, Vec<usize>) = (which(true, false), which(false, true));
        assert_eq!((&row.newly_broken, &row.newly_fixed), (&broken, &fixed));
        let share = |held: usize| held as f64 / 25.0;
        let held =
            |of: &dyn Fn(&(usize, bool, bool)) -> bool| share(pairs().filter(|p| of(p)).count());
        assert_eq!(row.baseline, Some(held(&|pair| pair.1)));
        assert_eq!(row.model, Some(held(&|pair| pair.2)));
        assert!(
            (row.difference.unwrap() - (row.model.unwrap() - row.baseline.unwrap())).abs() < 1e-12
        );
        assert!(
            row.interval[0] <= row.difference.unwrap()
                && row.difference.unwrap() <= row.interval[1]
        );
        assert!(!row.other_attacks);
    }
    assert!(comparison.rows.iter().any(|row| !row.newly_broken.is_empty()), "{comparison:?}");
    let fell = comparison.rows.iter().map(|row| -row.difference.unwrap()).fold(0.0, f64::max);
    assert!((comparison.largest_drop() - fell).abs() < 1e-12);
    assert_eq!(comparison.to_text().lines().count(), 4 + 4);
    let read: Comparison = serde_json::from_str(&comparison.to_json()).unwrap();
    assert_eq!(read, comparison);
}

#[test]
fn a_model_does_not_differ_from_itself() {
    let model = Linear::random(2, 6, 3);
    let report = report(&model, &data(&model), 0, "fgsm", &[0.1]);
    for row in Comparison::new(&report, &report).unwrap().rows {
        assert_eq!((row.difference, row.interval), (Some(0.0), [0.0, 0.0]));
        assert!((row.p - 1.0).abs() < 1e-12);
    }
}

#[test]
fn other_attacks_are_told_and_other_threats_left_out() {
    let model = Linear::random(2, 6, 3);
    let data = data(&model);
    let old = report(&model, &data, 0, "fgsm", &[0.05, 0.1]);
    let new = report(&model, &data, 0, "pgd:steps=2", &[0.1, 0.2]);
    let comparison = Comparison::new(&new, &old).unwrap();
    let rows: Vec<_> = comparison.rows.iter().map(|row| (row.eps, row.other_attacks)).collect();
    assert_eq!(rows, [(None, false), (Some(0.1), true)]);
    assert!(comparison.to_text().contains("* attacked with other attacks"));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let model = Linear::random(2, 6, 3);
    let data = data(&model);
    let whole = report(&model, &data, 0, "fgsm", &[0.1]);
    let refusal = |other: &Report| Comparison::new(&whole, other).unwrap_err().to_string();
    let mut foreign = whole.clone();
    foreign.data.sha256 = "0".repeat(64);
    assert!(refusal(&foreign).contains("run on other data"), "{}", refusal(&foreign));
    let threat = refusal(&report(&model, &data, 0, "fgsm", &[0.2]));
    assert!(threat.contains("no threat in common with linf 0.1"), "{threat}");
    let mut elsewhere = whole.clone();
    elsewhere.data.offset = 1000;
    assert!(refusal(&elsewhere).contains("no sample in common"), "{}", refusal(&elsewhere));
}

#[test]
fn unfinished_samples_are_not_counted() {
    let model = Linear::random(2, 6, 3);
    let whole = report(&model, &data(&model), 0, "fgsm", &[0.1]);
    let mut part = whole.clone();
    part.worst_case[0].unreached = (10..40).collect();
    let rows = Comparison::new(&part, &whole).unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.samples).collect::<Vec<_>>(), [40, 10]);
}

fn run(name: &str, folder: &Path, args: &[&str]) -> Output {
    Command::new(example::binary(name)).args(args).current_dir(folder).output().unwrap()
}

fn evaluate(folder: &Path, model: &str, args: &[&str]) -> Output {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/assets");
    let [model, data] = [&format!("{model}.onnx"), "digits_test.npz"].map(|name| assets.join(name));
    let always =
        ["--data", data.to_str().unwrap(), "--limit", "60", "--eps", "0.1", "--attack", "fgsm"];
    run("evaluate", folder, &[&[model.to_str().unwrap()], &always[..], args].concat())
}

#[test]
fn quantisation_is_compared_at_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = evaluate(folder, MODELS[0], &["--json", "old.json"]);
    assert!(first.status.success());
    let through = ["--straight-through", "all", "--json", "new.json", "--baseline", "old.json"];
    let second = evaluate(folder, MODELS[1], &[&through[..], &["--max-drop", "2%"]].concat());
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains("gate failed: ") && message.contains(" fell by "), "{message}");

    let compared = run("compare", folder, &["old.json", "new.json", "--json", "c.json"]);
    assert!(compared.status.success(), "{compared:?}");
    let table = String::from_utf8(compared.stdout).unwrap();
    assert!(String::from_utf8(second.stdout).unwrap().ends_with(&table), "{table}");
    let read = std::fs::read_to_string(folder.join("c.json")).unwrap();
    let read: Comparison = serde_json::from_str(&read).unwrap();
    assert_eq!(read.to_text(), table);

    let gate = |most: &str| {
        run("compare", folder, &["old.json", "new.json", "--quiet", "--max-drop", most])
            .status
            .code()
    };
    assert_eq!((gate("1"), gate("0")), (Some(0), Some(1)));
    let missing = run("compare", folder, &["none.json", "new.json"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("none.json"));
}

#[test]
fn another_model_or_baseline_is_refused_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hash = "0c3b19e62f166ac4c10263506ef3cdaa75b2b70ecc146a3ea630d9b61ee63cdb";
    assert!(evaluate(folder, MODELS[0], &["--expect-sha256", hash]).status.success());
    let other = evaluate(folder, MODELS[1], &["--expect-sha256", hash]);
    assert_eq!(other.status.code(), Some(2));
    let message = String::from_utf8(other.stderr).unwrap();
    assert!(
        message.contains("expect-sha256") && message.contains("digits_cnn_int8.onnx"),
        "{message}"
    );

    let model = Linear::random(2, 6, 3);
    report(&model, &data(&model), 0, "fgsm", &[0.1]).save(folder.join("foreign.json")).unwrap();
    let refused = evaluate(folder, MODELS[0], &["--baseline", "foreign.json", "--json", "r.json"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!folder.join("r.json").exists(), "it was told before the run");
}

/// Worked out again: each model run on each point that fooled each.
#[test]
fn adversarial_points_are_tried_on_other_models() {
    let mut models = [(2, 0.0), (2, 0.3), (9, 0.0)].map(|(seed, off)| {
        let mut model = Linear::random(seed, 6, 3);
        model.bias[0] += off;
        model
    });
    for (index, model) in models.iter_mut().enumerate() {
        model.info.sha256 = index.to_string().repeat(64);
        model.info.path = format!("model{index}.onnx");
    }
    let data = data(&models[0]);
    let run = |model: &Linear, eps: &[f64]| {
        let run = Evaluation::new(model, &data).range(3, Some(50)).preflight(false);
        let run = eps.iter().fold(run, |run, eps| run.threat(Threat::new(Norm::Linf, *eps)));
        let attacks = ["noise:draws=3", "fgsm"].map(|text| text.parse::<AttackSpec>().unwrap());
        attacks.into_iter().fold(run, Evaluation::attack).run().unwrap()
    };
    let results: Vec<_> = models.iter().map(|model| run(model, &[0.05, 0.2])).collect();
    let pairs: Vec<(&dyn Classifier, &Results)> =
        models.iter().zip(&results).map(|(model, results)| (model as _, results)).collect();
    let found = Transfers::new(&pairs, &data).unwrap();
    assert_eq!((found.threats.len(), found.models.len(), found.data.samples), (2, 3, 50));
    let mut partly = 0;
    for (case, threat) in found.threats.iter().zip([0.05, 0.2]) {
        assert_eq!(
            (case.norm, case.eps, &*case.goal),
            (Some(Norm::Linf), Some(threat), "untargeted")
        );
        for (from, row) in case.cells.iter().enumerate() {
            for (to, cell) in row.iter().enumerate() {
                let (mut points, mut fooled) = (0, 0);
                for index in 0..50 {
                    let label = data.labels()[index + 3];
                    let rows = results[from].rows.iter();
                    let hit = rows
                        .filter(|row| row.threat.budget == Budget::Scalar(threat))
                        .filter(|row| row.attempts[index].fate == Fate::Broken)
                        .find_map(|row| row.attempts[index].adversarial.as_ref());
                    let right = argmax(&models[to].one(data.sample(index + 3))) == label;
                    if let Some(hit) = hit.filter(|_| right) {
                        points += 1;
                        fooled += usize::from(argmax(&models[to].one(&hit.point)) != label);
                    }
                }
                assert_eq!((cell.points, cell.fooled), (points, fooled), "{threat} {from} {to}");
                assert_eq!(cell.share, (points > 0).then(|| fooled as f64 / points as f64));
                assert!(from != to || fooled == points);
                partly += usize::from(0 < fooled && fooled < points);
            }
        }
    }
    assert!(partly > 1, "{found:?}");
    let text = found.to_text();
    assert!(text.contains("linf 0.2, untargeted: share") && text.contains("model 3  "), "{text}");
    let read: Transfers = serde_json::from_str(&found.to_json()).unwrap();
    assert_eq!(read, found);

    let refusal = |pairs: &[(&dyn Classifier, &Results)], data: &Dataset| {
        Transfers::new(pairs, data).unwrap_err().to_string()
    };
    let message = refusal(&[(&models[0], &results[1])], &data);
    assert!(message.starts_with("`models` is model1.onnx (sha256 11"), "{message}");
    let other = self::data(&models[2]);
    assert!(refusal(&pairs, &other).contains("expected results on data"));
    let small = Linear::random(1, 4, 3);
    let mut of_small = results[0].clone();
    of_small.model = small.info.clone();
    let message = refusal(&[pairs[0], (&small, &of_small)], &data);
    assert!(message.ends_with("expected samples of shape [6], as the first's"), "{message}");
    assert!(refusal(&[], &data).contains("1 or more"));
}

#[test]
fn points_are_tried_on_other_models_at_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("transfers.json").display().to_string();
    let [robust, int8] = MODELS.map(|name| format!("examples/assets/{name}.onnx"));
    let data = ["--data", "examples/assets/digits_test.npz", "--eps", "0.3", "--limit", "12"];
    let run = |args: &[&str]| {
        let mut command = Command::new(example::binary("transfers"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).args(data).output().unwrap()
    };
    let output =
        run(&[&robust, &int8, "--attack", "fgsm", "--json", &json, "--straight-through", "all"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Transfers = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), found.to_text());
    let [own, other] = found.threats[0].cells[0][..] else { panic!("two models") };
    assert!(own.points > 0 && own.fooled == own.points && other.points > 0, "{found:?}");
    for (args, expected) in [
        (&["one.onnx"][..], "2 values required"),
        (&[&*robust, &*int8, "--attack", "guess"], "error: unknown attack `guess`"),
        (&[&*robust, "missing.onnx"], "error: missing.onnx: "),
    ] {
        let output = run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
        assert!(errors.contains(expected), "{errors}");
    }
}
