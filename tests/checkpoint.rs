//! Runs that go on where they were, and parts that become one.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use common::example;
use ironbound::attack::AttackSpec;
use ironbound::evaluate::UnitDone;
use ironbound::report::save_adversarial;
use ironbound::{
    Cancel, Dataset, Evaluation, Goal, Model, Norm, Observer, Report, Results, Shard, Threat, merge,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

/// Every kind of row: fixed budgets, a minimal norm, an ensemble, one made from the data, decisions, a transformation.
const ATTACKS: [&str; 7] = [
    "noise",
    "pgd:steps=3",
    "fab:steps=3",
    "autoattack:version=quick",
    "universal:train=8,epochs=1",
    "hopskipjump:queries=60",
    "spatial:rotations=3,shifts=1",
];

/// A model, samples, and a folder for files.
struct Run {
    model: Model,
    data: Dataset,
    folder: TempDir,
}

impl Run {
    fn new() -> Self {
        Self {
            model: Model::load("examples/assets/digits_cnn.onnx").unwrap(),
            data: Dataset::from_npz("examples/assets/digits_test.npz").unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn evaluation(&self) -> Evaluation<'_> {
        let run = Evaluation::new(&self.model, &self.data).range(88, Some(10)).seed(3).batch(3);
        let run = ATTACKS.iter().fold(run, |run, attack| run.attack(spec(attack)));
        let aimed = Threat::new(Norm::Linf, 0.1).with_goal(Goal::Class(3));
        run.threat(Threat::new(Norm::Linf, 0.2)).threat(Threat::new(Norm::Linf, 0.1)).threat(aimed)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The record and the points.
    fn bits(&self, results: &Results) -> (String, Vec<u8>) {
        let path = self.path("points.npz");
        save_adversarial(results, &path).unwrap();
        (Report::new(results).to_json(), std::fs::read(path).unwrap())
    }
}

fn spec(attack: &str) -> AttackSpec {
    attack.parse().unwrap()
}

fn refusal(results: ironbound::Result<Results>) -> String {
    let message = results.unwrap_err().one_line();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn a_run_that_is_cut_anywhere_goes_on_to_the_same_bits() {
    let run = Run::new();
    let whole = run.bits(&run.evaluation().run().unwrap());
    let path = run.path("run.jsonl");
    let kept = run.evaluation().checkpoint(&path).run().unwrap();
    assert_eq!(run.bits(&kept), whole);
    let bytes = std::fs::read(&path).unwrap();
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines > 70, "{lines} lines");

    let mut random = SmallRng::seed_from_u64(1);
    let mut cuts: Vec<usize> = (0..4).map(|_| random.random_range(0..bytes.len())).collect();
    let first = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    cuts.extend([0, 1, first + 1, bytes.len() - 1, bytes.len()]);
    for cut in cuts {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        // Neither threads nor batches matter.
        let resumed = run.evaluation().batch(5).threads(1).checkpoint(&path).run().unwrap();
        assert_eq!(run.bits(&resumed), whole, "cut at {cut} of {}", bytes.len());
        assert_eq!(run.bits(&merge([&path]).unwrap()), whole, "cut at {cut}");
    }
}

/// Asks for the end after so many units.
struct Stop {
    after: usize,
    units: AtomicUsize,
    cancel: Cancel,
}

impl Observer for Stop {
    fn unit_done(&self, _unit: UnitDone<'_>) {
        if self.units.fetch_add(1, Ordering::Relaxed) + 1 == self.after {
            self.cancel.cancel();
        }
    }
}

#[test]
fn an_interrupted_run_goes_on_and_asks_nothing_twice() {
    let run = Run::new();
    let whole = run.evaluation().run().unwrap();
    let path = run.path("run.jsonl");
    let mut rounds = 0;
    let last = loop {
        let cancel = Cancel::default();
        let stop = Stop { after: 9, units: 0.into(), cancel: cancel.clone() };
        let part = run.evaluation().batch(1).threads(1).observer(&stop).cancel(cancel);
        let part = part.checkpoint(&path).run().unwrap();
        rounds += 1;
        if !part.partial {
            break part;
        }
        assert!(rounds < 60, "it does not come to an end");
    };
    assert_eq!(run.bits(&last), run.bits(&whole));
    assert!(rounds > 5, "{rounds} rounds");
    // Each sample stands there once.
    let once = run.path("once.jsonl");
    run.evaluation().checkpoint(&once).run().unwrap();
    assert_eq!(lines(&path), lines(&once));
}

fn lines(path: &Path) -> Vec<String> {
    let mut lines: Vec<_> =
        std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn any_number_of_shards_makes_the_whole() {
    let run = Run::new();
    let whole = run.bits(&run.evaluation().run().unwrap());
    for count in 1..=7 {
        let mut paths = vec![];
        for index in (1..=count).rev() {
            let path = run.path(&format!("{index}-of-{count}.jsonl"));
            let shard = Shard::new(index, count).unwrap();
            let part = run.evaluation().shard(shard).checkpoint(&path).run().unwrap();
            assert_eq!(part.ids.len(), shard.range(10).len());
            paths.push(path);
        }
        assert_eq!(run.bits(&merge(&paths).unwrap()), whole, "{count} shards");
    }
}

#[test]
fn shards_that_do_not_make_one_run_are_refused_by_name() {
    let run = Run::new();
    let quick = || {
        let run = Evaluation::new(&run.model, &run.data).range(0, Some(6)).preflight(false);
        run.threat(Threat::new(Norm::Linf, 0.1)).attack(spec("fgsm"))
    };
    let part = |evaluation: Evaluation<'_>, shard: &str, name: &str| {
        let path = run.path(name);
        evaluation.shard(shard.parse().unwrap()).checkpoint(&path).run().unwrap();
        path
    };
    let first = part(quick(), "1/3", "first.jsonl");
    let second = part(quick(), "2/3", "second.jsonl");
    let third = part(quick(), "3/3", "third.jsonl");
    assert!(merge([&third, &first, &second]).is_ok());

    let message = refusal(merge([&first]));
    assert!(message.contains("expected all 3: 2/3, 3/3 are missing"), "{message}");
    let again = part(quick(), "2/3", "again.jsonl");
    let message = refusal(merge([&first, &second, &again, &third]));
    assert!(message.contains("again.jsonl: holds shard 2/3, as "), "{message}");
    let named = |other: &Path, text: &str| {
        let message = refusal(merge([&first, &second, other]));
        assert!(message.starts_with(&other.display().to_string()), "{message}");
        assert!(message.contains("is of another run than ") && message.contains(text), "{message}");
    };
    named(&part(quick().seed(9), "3/3", "seed.jsonl"), "`seed` is 9, and 0 there");
    named(&part(quick(), "3/4", "count.jsonl"), "`shard.count` is 4, and 3 there");
    let range = quick().range(1, Some(6));
    named(&part(range, "3/3", "range.jsonl"), "`samples.end` is 7, and 6 there");
    let more = quick().attack(spec("noise"));
    named(&part(more, "3/3", "attacks.jsonl"), "`attacks` is ");

    let cut = run.path("cut.jsonl");
    let text = std::fs::read_to_string(&third).unwrap();
    std::fs::write(&cut, &text[..text.len() - 1]).unwrap();
    let message = refusal(merge([&first, &second, &cut]));
    assert!(message.contains("cut.jsonl: shard 3/3 is not finished: run it again"), "{message}");
    assert!(refusal(merge::<&Path>([])).contains("expected a checkpoint per shard"));
    let message = refusal(merge([run.path("none.jsonl")]));
    assert!(message.contains("none.jsonl: "), "{message}");

    let message = refusal(quick().shard("7/7".parse().unwrap()).run());
    assert!(message.contains("expected at most as many shards as samples, 6"), "{message}");
}

#[test]
fn a_checkpoint_of_another_run_is_refused_with_the_field_that_differs() {
    let run = Run::new();
    let path = run.path("run.jsonl");
    let quick = || {
        let run = Evaluation::new(&run.model, &run.data).range(0, Some(4)).preflight(false);
        run.threat(Threat::new(Norm::Linf, 0.1))
    };
    let begun = quick().attack(spec("pgd:steps=2"));
    begun.clone().checkpoint(&path).run().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let plain = Model::load("examples/assets/digits_cnn_plain.onnx").unwrap();
    let mut values = run.data.values().to_vec();
    values[70] += 0.001;
    let view = ndarray::ArrayView4::from_shape((360, 1, 8, 8), &values).unwrap();
    let other = Dataset::from_arrays(view, run.data.labels()).unwrap();
    let over = |model, data| {
        let run = Evaluation::new(model, data).range(0, Some(4)).preflight(false);
        run.threat(Threat::new(Norm::Linf, 0.1)).attack(spec("pgd:steps=2"))
    };
    let others = [
        (quick().attack(spec("pgd:steps=3")), "`attacks[0].params.steps` is 2 there and 3 here"),
        (begun.clone().seed(1), "`seed` is 0 there and 1 here"),
        (begun.clone().query_limit(9), "`query_limit` is null there and 9 here"),
        (begun.clone().preflight(true), "`preflight` is false there and true here"),
        (begun.clone().range(0, Some(5)), "`samples.end` is 4 there and 5 here"),
        (begun.clone().threat(Threat::new(Norm::Linf, 0.2)), "`threats` is "),
        (begun.clone().shard("1/2".parse().unwrap()), "`shard.count` is 1 there and 2 here"),
        (over(&plain, &run.data), "`model.sha256` is "),
        (over(&run.model, &other), "`data.sha256` is "),
    ];
    for (evaluation, text) in others {
        let message = refusal(evaluation.checkpoint(&path).run());
        assert!(message.contains(&format!("run.jsonl: is of another run: {text}")), "{message}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{text}");
    }
    // What only changes the speed is no difference.
    assert!(begun.clone().batch(1).threads(1).checkpoint(&path).run().is_ok());
}

#[test]
fn a_file_that_is_no_checkpoint_is_left_alone() {
    let run = Run::new();
    let path = run.path("other");
    let evaluation = Evaluation::new(&run.model, &run.data).range(0, Some(3)).checkpoint(&path);
    let finished = run.path("finished.jsonl");
    evaluation.clone().checkpoint(&finished).run().unwrap();
    let text = std::fs::read_to_string(&finished).unwrap();
    let head = text.split_inclusive('\n').next().unwrap();
    let later = head.replace("ironbound/checkpoint/1", "ironbound/checkpoint/2");
    let cases = [
        ("no line".into(), "line 1: not a checkpoint"),
        ("a line\nmore".into(), "line 1: not a checkpoint"),
        ("{\"schema\":\"ironbound/report/1\"}\n".into(), "line 1: not a checkpoint"),
        (
            later,
            "line 1: the format is `ironbound/checkpoint/2`, expected `ironbound/checkpoint/1`",
        ),
        (format!("{head}{{\"attempt\":{{\"run\":0}}}}\n"), "line 2: damaged"),
        (format!("{head}{head}"), "line 2: out of place"),
        (format!("{text}{head}"), "line 3: out of place"),
    ];
    for (text, problem) in cases {
        std::fs::write(&path, &text).unwrap();
        for message in [refusal(evaluation.run()), refusal(merge([&path]))] {
            assert!(message.contains(problem) && message.contains("delete or rename"), "{message}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    assert!(refusal(evaluation.checkpoint(run.folder.path()).run()).contains("directory"));
}

#[test]
fn two_processes_cannot_keep_one_file() {
    let run = Run::new();
    let path = run.path("run.jsonl");
    let held = std::fs::File::create(&path).unwrap();
    held.lock().unwrap();
    let evaluation = Evaluation::new(&run.model, &run.data).range(0, Some(3));
    let message = refusal(evaluation.clone().checkpoint(&path).run());
    assert!(message.contains("another process is writing this checkpoint"), "{message}");
    drop(held);
    assert!(evaluation.checkpoint(&path).run().is_ok());
}

/// The command line, killed at random moments until it gets through.
#[cfg(unix)]
#[test]
fn a_killed_program_goes_on_to_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    let evaluate = |checkpoint: &str, json: &str| {
        let mut command = Command::new(example::binary("evaluate"));
        let flags = ["--limit", "40", "--eps", "0.1,0.2", "--quiet", "--batch", "2"];
        let attacks = ["--attack", "fab:steps=10", "--attack", "pgd:steps=20,restarts=2"];
        command.args(flags).args(attacks).args(["--checkpoint", checkpoint, "--json", json]);
        command.current_dir(folder.path()).stdout(Stdio::null());
        command
    };
    let path = |name: &str| folder.path().join(name);
    let begun = Instant::now();
    assert!(evaluate("whole.jsonl", "whole.json").status().unwrap().success());
    let whole = begun.elapsed();
    let mut random = SmallRng::seed_from_u64(7);
    let mut kills = 0;
    while kills < 10 {
        let mut child = evaluate("killed.jsonl", "killed.json").spawn().unwrap();
        std::thread::sleep(whole.mul_f64(random.random_range(0.0..0.5)));
        if child.try_wait().unwrap().is_some() {
            // It got through: begin anew.
            let json = |name| std::fs::read(path(name)).unwrap();
            assert!(json("killed.json") == json("whole.json"));
            std::fs::remove_file(path("killed.jsonl")).unwrap();
            std::fs::remove_file(path("killed.json")).unwrap();
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(evaluate("killed.jsonl", "killed.json").status().unwrap().success());
    assert!(
        std::fs::read(path("killed.json")).unwrap() == std::fs::read(path("whole.json")).unwrap()
    );
}

#[test]
fn merge_writes_what_one_run_would_have_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, args: &[&str]| {
        let mut command = Command::new(example::binary(name));
        command.args(args).current_dir(folder.path()).output().unwrap()
    };
    let common = ["--limit", "11", "--eps", "0.1", "--attack", "pgd:steps=3", "--quiet", "--json"];
    let whole = run("evaluate", &[&common[..], &["whole.json"]].concat());
    assert!(whole.status.success());
    for shard in ["1/2", "2/2"] {
        let checkpoint = format!("{}.jsonl", &shard[..1]);
        let args = [&common[..], &["part.json", "--shard", shard, "--checkpoint", &checkpoint]];
        assert!(run("evaluate", &args.concat()).status.success());
    }
    let merged = run("merge", &["2.jsonl", "1.jsonl", "--json", "merged.json", "--csv", "m.csv"]);
    assert_eq!(merged.status.code(), Some(0));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("merged.json"), read("whole.json"));
    let report = Report::from_json(&read("whole.json"), "whole").unwrap();
    assert_eq!(String::from_utf8(merged.stdout).unwrap(), report.to_text());
    assert_eq!(read("m.csv"), report.to_csv());

    // Gates are those of one run.
    let gated = |gate: &str| {
        let flags = ["1.jsonl", "2.jsonl", "--quiet", "--attestation", "a.json", "--gate", gate];
        let output = run("merge", &flags);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(gated("worst_case >= 0"), (Some(0), String::new()));
    assert_eq!(read("a.json").matches("\"passedTests\":[\"worst_case >= 0\"]").count(), 1);
    let (code, told) = gated("worst_case.l1 >= 0");
    assert!(code == Some(1) && told.starts_with("gate failed: no threat in l1 "), "{told}");
    let (code, told) = gated("drop_from_baseline <= 0");
    assert!(code == Some(2) && told.contains("there is no baseline here"), "{told}");
    let failed = run("merge", &["1.jsonl", "2.jsonl", "--attestation", "a.json"]);
    assert_eq!(failed.status.code(), Some(2));

    let failed = run("merge", &["2.jsonl"]);
    assert_eq!(failed.status.code(), Some(2));
    let message = String::from_utf8(failed.stderr).unwrap();
    assert!(message.contains("expected all 2: 1/2 are missing"), "{message}");
    let failed = run("evaluate", &["--shard", "1/2"]);
    assert_eq!(failed.status.code(), Some(2));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("--checkpoint"));
}
