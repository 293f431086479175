//! Data that stay in their file, and runs that stop as soon as enough is known.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::example;
use common::fixture::Fixture;
use common::write_stored;
use ironbound::attack::AttackSpec;
use ironbound::evaluate::Fate;
use ironbound::metrics::clopper_pearson;
use ironbound::report::WorstCase;
use ironbound::{
    Dataset, Domain, Evaluation, Goal, Levels, Model, Norm, NpzArray, NpzValues, Report, Results,
    Stopping, StreamedDataset, Threat, write_npz,
};
use tempfile::TempDir;

const MODEL: &str = "examples/assets/digits_cnn.onnx";

fn digits() -> Dataset {
    Dataset::from_npz("examples/assets/digits_test.npz").unwrap()
}

struct Files {
    model: Model,
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { model: Model::load(MODEL).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The digits as `np.savez` writes them, each value through `store`.
    fn stored<const N: usize>(&self, dtype: &str, store: impl Fn(f32) -> [u8; N]) -> PathBuf {
        let (data, path) = (digits(), self.path("stored.npz"));
        let values = |out: &mut dyn std::io::Write| {
            data.values().iter().for_each(|value| out.write_all(&store(*value)).unwrap());
        };
        write_stored(&path, (dtype, &[360, 1, 8, 8]), values, data.labels());
        path
    }
}

fn attacked<'a>(run: Evaluation<'a>, attacks: &[&str]) -> Evaluation<'a> {
    attacks.iter().fold(run, |run, attack| run.attack(attack.parse::<AttackSpec>().unwrap()))
}

fn json(results: &Results) -> String {
    Report::new(results).to_json()
}

#[test]
fn a_file_gives_the_record_of_memory_whatever_the_blocks() {
    let files = Files::new();
    let path = files.stored("<f4", f32::to_le_bytes);
    let (data, stream) =
        (Dataset::from_npz(&path).unwrap(), StreamedDataset::npz(&path, "x", "y").unwrap());
    assert_eq!((stream.len(), stream.features()), (360, 64));
    assert_eq!((stream.labels(), stream.sha256()), (data.labels(), data.sha256()));
    let grid = Domain { grid: Some(Levels::Uniform("1/16".parse().unwrap())), ..Domain::ANY };
    let set_up = |run: Evaluation<'_>| {
        let attacks = ["pgd:steps=3", "fab:steps=3"];
        let random = Threat::new(Norm::Linf, 0.2).with_goal(Goal::Random);
        let levels = Threat { domain: grid.clone(), ..Threat::new(Norm::Linf, 0.2) };
        let run = attacked(run, &attacks).range(85, Some(40)).seed(2);
        let run = run.threat(random).threat(levels).threat(Threat::new(Norm::Linf, 0.1));
        json(&run.run().unwrap())
    };
    let whole = set_up(Evaluation::new(&files.model, &data));
    for block in [1, 7, 40, 1000] {
        let streamed = Evaluation::streamed(&files.model, &stream).block(block);
        assert!(set_up(streamed) == whole, "blocks of {block}");
    }
    assert!(set_up(Evaluation::streamed(&files.model, &stream)) == whole);
    // Attacks that start from samples, or learn from them, see all of so few.
    let others = |run: Evaluation<'_>| {
        let attacks = ["hopskipjump:queries=40", "universal:epochs=1"];
        let run = attacked(run, &attacks).range(85, Some(9)).threat(Threat::new(Norm::Linf, 0.2));
        json(&run.run().unwrap())
    };
    let streamed = Evaluation::streamed(&files.model, &stream).block(4);
    assert!(others(streamed) == others(Evaluation::new(&files.model, &data)));
}

#[test]
fn other_types_and_layouts_are_read_as_they_are_in_memory() {
    let files = Files::new();
    let check = |path: &PathBuf| {
        let (data, stream) =
            (Dataset::from_npz(path).unwrap(), StreamedDataset::npz(path, "x", "y").unwrap());
        let some = stream.read(&[7, 8, 9, 3, 359, 0]).unwrap();
        assert_eq!(some.ids(), [7, 8, 9, 3, 359, 0]);
        assert_eq!(some.shape(), data.shape());
        for (at, id) in some.ids().iter().enumerate() {
            assert_eq!(some.sample(at), data.sample(*id));
            assert_eq!(some.labels()[at], data.labels()[*id]);
        }
    };
    check(&files.stored("|u1", |value| [(value * 255.0) as u8]));
    check(&files.stored(">f8", |value| f64::from(value).to_be_bytes()));
    check(&files.stored("<i4", |value| ((value * 100.0) as i32).to_le_bytes()));
}

#[test]
fn files_that_cannot_be_streamed_are_refused_before_anything_runs() {
    let files = Files::new();
    let refusal = |path: &PathBuf| StreamedDataset::npz(path, "x", "y").unwrap_err().one_line();
    let path = files.path("compressed.npz");
    let x = NpzArray::new([2, 3], NpzValues::F32(&[0.0; 6])).unwrap();
    write_npz(&path, &[("x", x), ("y", NpzValues::Index(&[0, 1]).into())]).unwrap();
    assert!(refusal(&path).contains("compressed.npz: `x`: compressed"), "{}", refusal(&path));

    let stored = files.stored("<f4", f32::to_le_bytes);
    let missing = StreamedDataset::npz(&stored, "images", "y").unwrap_err().one_line();
    assert!(missing.contains("`images`: no such array"), "{missing}");
    let bytes = std::fs::read(&stored).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refusal(&path).contains("not an npz file"), "{}", refusal(&path));
    write_stored(&path, ("<f4", &[3, 4]), |out| out.write_all(&[0; 20]).unwrap(), &[0, 1, 2]);
    let message = refusal(&path);
    assert!(
        message.contains("`x`: 20 bytes are there, another number than shape (3, 4)"),
        "{message}"
    );
    write_stored(&path, ("<f4", &[2, 4]), |out| out.write_all(&[0; 32]).unwrap(), &[0, 1, 2]);
    assert!(refusal(&path).contains("3 labels for 2 samples"), "{}", refusal(&path));
    write_stored(&path, ("<f4", &[0, 4]), |_| {}, &[]);
    assert!(refusal(&path).contains("there is nothing in it"), "{}", refusal(&path));
    write_stored(&path, ("<f4", &[1 << 40, 1 << 40]), |_| {}, &[0]);
    assert!(refusal(&path).contains("`"), "{}", refusal(&path));
    assert!(refusal(&files.path("none.npz")).contains("none.npz"));

    // A value at fault in the last block is told before the first attack.
    let mut values = digits().values().to_vec();
    values[359 * 64 + 3] = f32::NAN;
    let write = |out: &mut dyn std::io::Write| {
        values.iter().for_each(|value| out.write_all(&value.to_le_bytes()).unwrap());
    };
    write_stored(&path, ("<f4", &[360, 1, 8, 8]), write, digits().labels());
    let stream = StreamedDataset::npz(&path, "x", "y").unwrap();
    let run = attacked(Evaluation::streamed(&files.model, &stream), &["fgsm"]).block(50);
    let message = run.threat(Threat::new(Norm::Linf, 0.1)).run().unwrap_err().one_line();
    assert!(message.contains("sample 359, feature 3 is NaN"), "{message}");
    let message = stream.read(&[360]).unwrap_err().one_line();
    assert!(message.contains("expected less than the number of samples, 360"), "{message}");
}

#[test]
fn a_checkpoint_has_the_points_that_a_streamed_run_does_not_keep() {
    let files = Files::new();
    let stored = files.stored("<f4", f32::to_le_bytes);
    let (data, stream) =
        (Dataset::from_npz(&stored).unwrap(), StreamedDataset::npz(&stored, "x", "y").unwrap());
    let set_up = |run: Evaluation<'_>| {
        let run = attacked(run, &["pgd:steps=3", "fab:steps=3"]).range(0, Some(30));
        run.threat(Threat::new(Norm::Linf, 0.2)).run().unwrap()
    };
    let path = files.path("run.jsonl");
    let streamed = set_up(Evaluation::streamed(&files.model, &stream).block(8).checkpoint(&path));
    let whole = set_up(Evaluation::new(&files.model, &data));
    assert_eq!(json(&streamed), json(&whole));
    let points = |results: &Results| -> Vec<Vec<f32>> {
        let attempts = results.rows.iter().flat_map(|row| &row.attempts);
        attempts.filter_map(|a| a.adversarial.as_ref()).map(|found| found.point.to_vec()).collect()
    };
    assert!(points(&streamed).iter().all(Vec::is_empty));
    assert_eq!(points(&ironbound::merge([&path]).unwrap()), points(&whole));
    // Half of it, in other blocks.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 3]).unwrap();
    let resumed = set_up(Evaluation::streamed(&files.model, &stream).block(5).checkpoint(&path));
    assert_eq!(json(&resumed), json(&whole));
    assert_eq!(points(&ironbound::merge([&path]).unwrap()), points(&whole));
}

fn stopping(model: &Model, data: &Dataset, stopping: Stopping) -> Results {
    let run = attacked(Evaluation::new(model, data), &["fgsm"]).seed(4).stop(stopping);
    run.threat(Threat::new(Norm::Linf, 0.05)).threat(Threat::new(Norm::Linf, 0.2)).run().unwrap()
}

#[test]
fn a_run_stops_once_the_intervals_are_narrow() {
    let (model, data) = (Model::load(MODEL).unwrap(), digits());
    let results = stopping(&model, &data, Stopping::Width(0.2));
    let stopped = results.stopped.clone().unwrap();
    assert_eq!(stopped.reason.as_deref(), Some("every interval is at most 20.00 points wide"));
    let report = Report::new(&results);
    assert!(stopped.samples < 360 && !report.partial);
    let looks = [64, 96, 144, 216, 324];
    assert_eq!(stopped.samples, looks[stopped.looks - 1]);
    assert!(stopped.looks > 1, "the last look but one was not enough");
    for (case, interval) in report.worst_case.iter().zip(&stopped.intervals) {
        let WorstCase { robust, unreached, .. } = case;
        assert_eq!((robust.len(), unreached.len()), (360, 360 - stopped.samples));
        let robust = robust.iter().filter(|robust| **robust).count();
        let confidence = 1.0 - 0.05 / (stopped.looks * (stopped.looks + 1)) as f64;
        let exact = clopper_pearson(robust, stopped.samples, confidence);
        assert_eq!(interval.map(f64::to_bits), exact.map(f64::to_bits));
        assert!(interval[1] - interval[0] <= 0.2);
    }
    // Not the first of the file, which may be sorted.
    let reached: Vec<usize> =
        (0..360).filter(|at| results.clean[*at].prediction.is_some()).collect();
    assert_eq!(reached.len(), stopped.samples);
    let of_later_half = reached.iter().filter(|at| **at >= 180).count();
    assert!((reached.len() / 3..reached.len() * 2 / 3).contains(&of_later_half));
    // What is known of a sample does not depend on it.
    let whole = attacked(Evaluation::new(&model, &data), &["fgsm"]).seed(4);
    let whole = whole.threat(Threat::new(Norm::Linf, 0.05)).threat(Threat::new(Norm::Linf, 0.2));
    let whole = whole.run().unwrap();
    for (row, all) in results.rows.iter().zip(&whole.rows) {
        for &at in &reached {
            assert_eq!(row.attempts[at].fate, all.attempts[at].fate);
        }
        assert!(row.attempts.iter().filter(|a| a.fate != Fate::Unreached).count() == reached.len());
    }
    let again = Report::from_json(&report.to_json(), "report").unwrap();
    assert_eq!(again, report);
    let text = report.to_text();
    assert!(text.contains(&format!("stopped after {} of 360 samples: every", stopped.samples)));
}

#[test]
fn a_run_stops_once_the_gate_is_decided() {
    let (model, data) = (Model::load(MODEL).unwrap(), digits());
    let reason = |gate| {
        let stopped = stopping(&model, &data, Stopping::Gate(gate)).stopped.unwrap();
        (stopped.samples, stopped.reason)
    };
    // 40.0 % withstand FGSM within 0.2, 95.3 % within 0.05.
    let below = "robust accuracy within linf 0.2 is below 80.00 %";
    assert_eq!(reason(0.8), (64, Some(below.into())));
    assert_eq!(reason(0.1).1.as_deref(), Some("no robust accuracy is below 10.00 %"));
    assert_eq!(reason(0.4), (360, None));
}

#[test]
fn a_stopping_run_goes_on_from_a_checkpoint_to_the_same_bits() {
    let (files, data) = (Files::new(), digits());
    let path = files.path("run.jsonl");
    let run = |threads| {
        let run = attacked(Evaluation::new(&files.model, &data), &["fgsm"]).threads(threads);
        run.threat(Threat::new(Norm::Linf, 0.2)).stop(Stopping::Width(0.25)).batch(threads + 3)
    };
    let whole = json(&run(2).run().unwrap());
    assert_eq!(json(&run(1).checkpoint(&path).run().unwrap()), whole);
    let text = std::fs::read_to_string(&path).unwrap();
    for share in [3, 2] {
        std::fs::write(&path, &text[..text.len() / share]).unwrap();
        assert_eq!(json(&run(1).checkpoint(&path).run().unwrap()), whole);
        assert_eq!(json(&ironbound::merge([&path]).unwrap()), whole);
    }
    let message = run(1).stop(Stopping::Width(0.2)).checkpoint(&path).run().unwrap_err().one_line();
    assert!(message.contains("`stopping.width` is 0.25 there and 0.2 here"), "{message}");
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    let (model, data) = (Model::load(MODEL).unwrap(), digits());
    let refusal = |run: Evaluation<'_>| run.run().unwrap_err().one_line();
    let run = || {
        let run = attacked(Evaluation::new(&model, &data), &["fgsm"]).range(0, Some(70));
        run.threat(Threat::new(Norm::Linf, 0.2))
    };
    for (rule, field) in [
        (Stopping::Width(0.0), "`stopping width` is 0"),
        (Stopping::Gate(1.0), "`stopping gate` is 1"),
        (Stopping::Gate(f64::NAN), "`stopping gate` is NaN"),
    ] {
        let message = refusal(run().stop(rule));
        assert!(message.contains(field) && message.contains("between 0 and 1"), "{message}");
    }
    let message = refusal(run().stop(Stopping::Gate(0.5)).shard("1/2".parse().unwrap()));
    assert!(message.contains("a part alone does not know when enough is known"), "{message}");
    let message = refusal(Evaluation::new(&model, &data).stop(Stopping::Gate(0.5)));
    assert!(message.contains("expected a threat and an attack"), "{message}");
}

/// A file that does not fit into the memory that the program may take.
#[cfg(target_os = "linux")]
#[test]
fn a_file_larger_than_memory_is_evaluated() {
    const SAMPLES: usize = 1000;
    let files = Files::new();
    let model = files.path("mean.onnx");
    let fixture = Fixture::default()
        .input("x", &["N", "3", "224", "224"])
        .node("GlobalAveragePool", &["x"], "mean", &[])
        .node("Flatten", &["mean"], "z", &[])
        .output("z", &["N", "3"]);
    std::fs::write(&model, fixture.bytes()).unwrap();
    // 150 MB, of which one channel is bright: 600 MB as 32-bit floats.
    let data = files.path("large.npz");
    let labels: Vec<usize> = (0..SAMPLES).map(|sample| sample % 3).collect();
    let write = |out: &mut dyn std::io::Write| {
        for label in &labels {
            for channel in 0..3 {
                let value = if channel == *label { 200 } else { 100 };
                out.write_all(&vec![value; 224 * 224]).unwrap();
            }
        }
    };
    write_stored(&data, ("|u1", &[SAMPLES, 3, 224, 224]), write, &labels);
    let evaluate = |flags: &str| {
        let program = example::binary("evaluate");
        let script = format!(
            "ulimit -v 550000; exec {} {} --data {} --bounds 0,255 --eps 60 --threads 1 --batch 1 --attack fgsm:loss=margin --quiet {flags}",
            program.display(),
            model.display(),
            data.display()
        );
        Command::new("sh").args(["-c", &script]).output().unwrap()
    };
    let report = files.path("report.json");
    let streamed = evaluate(&format!("--stream --json {}", report.display()));
    assert!(streamed.status.success(), "{}", String::from_utf8_lossy(&streamed.stderr));
    let report = Report::from_json(&std::fs::read_to_string(report).unwrap(), "report").unwrap();
    assert_eq!(report.clean.accuracy, Some(1.0));
    // 60 of 255 on either side of a difference of 100, at which cross-entropy has no slope left.
    assert_eq!(report.worst_case[0].robust_accuracy, Some(0.0));
    assert!(!evaluate("").status.success(), "it fits into memory after all");
}
