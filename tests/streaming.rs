//! Data that stay in their file, and runs that stop as soon as enough is known.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::example;
use common::fixture::Fixture;
use common::write_stored;
use ironbound::attack::AttackSpec;
use ironbound::evaluate::Fate;
use ironbound::metrics::clopper_pearson;
use ironbound::report::WorstCase;
use ironbound::{
    DataOptions, Dataset, Domain, Evaluation, Goal, Levels, Model, Norm, NpzArray, NpzValues,
    Report, Results, Stopping, StreamedDataset, Threat, write_npz,
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
        let values = |out: &mut dyn Write| {
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
    let (data, stream) = (
        Dataset::from_npz(&path).unwrap(),
        StreamedDataset::open(&path, &DataOptions::default()).unwrap(),
    );
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
        let (data, stream) = (
            Dataset::from_npz(path).unwrap(),
            StreamedDataset::open(path, &DataOptions::default()).unwrap(),
        );
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

/// What is streamed is what is read at once: values, labels, names, groups, notes and the hash.
#[track_caller]
fn streams_alike(path: &Path, options: &DataOptions) {
    let stream = StreamedDataset::open(path, options).unwrap();
    let all: Vec<usize> = (0..stream.len()).collect();
    let data = Dataset::open(path, options).unwrap();
    assert_eq!(stream.read(&all).unwrap(), data);
    let some = stream.read(&[2, 0]).unwrap();
    assert_eq!(
        (some.ids(), some.labels()),
        (&[2, 0][..], &[data.labels()[2], data.labels()[0]][..])
    );
    assert_eq!((some.sample(0), some.sample(1)), (data.sample(2), data.sample(0)));
    assert_eq!((some.sha256(), some.notes()), (data.sha256(), data.notes()));
    assert_eq!((stream.class_names(), stream.groups()), (data.class_names(), data.groups()));
}

#[test]
fn every_kind_of_data_streams_as_it_is_read() {
    let files = Files::new();
    let path = |name: &str| files.path(name);
    let default = DataOptions::default;
    // An npz file with groups and an array that the model takes besides.
    let (values, further): (Vec<f32>, Vec<f32>) =
        ((0..12).map(|value| value as f32 / 12.0).collect(), vec![0.5, 0.25, 1.0]);
    let index = |values: &'static [usize]| NpzValues::Index(values).into();
    let (x, z) = (
        NpzArray::new([3, 2, 2], NpzValues::F32(&values)),
        NpzArray::new([3, 1], NpzValues::F32(&further)),
    );
    let arrays = [
        ("x", x.unwrap()),
        ("y", index(&[1, 0, 1])),
        ("z", z.unwrap()),
        ("site", index(&[7, 7, 9])),
    ];
    write_npz(path("compressed.npz"), &arrays).unwrap();
    let mut archive = zip::ZipArchive::new(File::open(path("compressed.npz")).unwrap()).unwrap();
    let mut stored = zip::ZipWriter::new(File::create(path("stored.npz")).unwrap());
    for name in ["x.npy", "y.npy", "z.npy", "site.npy"] {
        let method = zip::CompressionMethod::Stored;
        let as_is = zip::write::SimpleFileOptions::default().compression_method(method);
        stored.start_file(name, as_is).unwrap();
        std::io::copy(&mut archive.by_name(name).unwrap(), &mut stored).unwrap();
        std::io::copy(&mut archive.by_name(name).unwrap(), &mut File::create(path(name)).unwrap())
            .unwrap();
    }
    stored.finish().unwrap();
    let options =
        DataOptions { groups: vec!["site".into()], arrays: vec!["z".into()], ..default() };
    streams_alike(&path("stored.npz"), &options);
    streams_alike(&path("stored.npz"), &DataOptions { unlabelled: true, ..default() });
    std::fs::write(path("names.txt"), "cat\ndog\n").unwrap();
    let named = DataOptions { class_names: Some(path("names.txt")), ..default() };
    streams_alike(&path("stored.npz"), &named);
    // One array, its classes in another file.
    let labels = Some(path("y.npy"));
    streams_alike(&path("x.npy"), &DataOptions { labels, ..default() });
    streams_alike(&path("x.npy"), &DataOptions { unlabelled: true, ..default() });
    // IDX.
    let bytes = [
        &[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2][..],
        &[0, 51, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ];
    std::fs::write(path("t-images-idx3-ubyte"), bytes.concat()).unwrap();
    std::fs::write(path("t-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 3, 4, 0, 2]).unwrap();
    streams_alike(&path("t-images-idx3-ubyte"), &default());
    streams_alike(&path("t-images-idx3-ubyte"), &DataOptions { raw_pixels: true, ..default() });
    // CIFAR.
    let record = |class: u8| {
        (0..3073_u32).map(move |at| if at == 0 { class } else { (at * u32::from(class)) as u8 })
    };
    let records: Vec<u8> = [3, 9, 1].into_iter().flat_map(record).collect();
    std::fs::write(path("test_batch.bin"), records).unwrap();
    streams_alike(&path("test_batch.bin"), &default());
    // Images, some of which are scaled.
    let images = files.path("images");
    for (name, size, level) in [("cat/a.png", 8, 10), ("dog/b.png", 4, 90), ("dog/c.jpg", 9, 200)] {
        std::fs::create_dir_all(images.join(name).parent().unwrap()).unwrap();
        let pixel = |x, y| image::Rgb([level, (x * 20) as u8, (y * 20) as u8]);
        image::RgbImage::from_fn(size, size, pixel).save(images.join(name)).unwrap();
    }
    let sample_shape = Some(vec![3, 4, 4]);
    streams_alike(&images, &DataOptions { sample_shape, ..default() });
    let sample_shape = Some(vec![6, 6, 1]);
    streams_alike(&images, &DataOptions { sample_shape, resize: Some(8), ..default() });

    let refusal = |path: &Path| StreamedDataset::open(path, &default()).unwrap_err().one_line();
    std::fs::write(path("table.csv"), "a,label\n1,0\n2,1\n").unwrap();
    assert!(refusal(&path("table.csv")).contains("table.csv: a table is read at once"));
    let message = refusal(&images);
    assert!(
        message.contains("an image of shape (3, 4, 4), but the first one has (3, 8, 8)"),
        "{message}"
    );
    let file = File::create(path("t-images-idx3-ubyte.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gzip.write_all(&bytes.concat()).unwrap();
    gzip.finish().unwrap();
    let message = refusal(&path("t-images-idx3-ubyte.gz"));
    assert!(message.contains("ubyte.gz: compressed, so that samples"), "{message}");
    // Only its pixels are damaged: the first reading tells, before any attack.
    let image = std::fs::read(images.join("cat/a.png")).unwrap();
    std::fs::write(images.join("dog/b.png"), &image[..60]).unwrap();
    let options = DataOptions { sample_shape: Some(vec![3, 4, 4]), ..default() };
    let stream = StreamedDataset::open(&images, &options).unwrap();
    let message = stream.read(&[1]).unwrap_err().one_line();
    assert!(message.contains("b.png: cannot be read as PNG or JPEG"), "{message}");
}

#[test]
fn files_that_cannot_be_streamed_are_refused_before_anything_runs() {
    let files = Files::new();
    let refusal = |path: &PathBuf| {
        StreamedDataset::open(path, &DataOptions::default()).unwrap_err().one_line()
    };
    let path = files.path("compressed.npz");
    let x = NpzArray::new([2, 3], NpzValues::F32(&[0.0; 6])).unwrap();
    write_npz(&path, &[("x", x), ("y", NpzValues::Index(&[0, 1]).into())]).unwrap();
    assert!(refusal(&path).contains("compressed.npz: `x`: compressed"), "{}", refusal(&path));

    let stored = files.stored("<f4", f32::to_le_bytes);
    let keys = Some(("images".to_owned(), "y".to_owned()));
    let options = DataOptions { keys, ..DataOptions::default() };
    let missing = StreamedDataset::open(&stored, &options).unwrap_err().one_line();
    assert!(missing.contains("no array `images`; the file has `x`, `y`"), "{missing}");
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
    let write = |out: &mut dyn Write| {
        values.iter().for_each(|value| out.write_all(&value.to_le_bytes()).unwrap());
    };
    write_stored(&path, ("<f4", &[360, 1, 8, 8]), write, digits().labels());
    let stream = StreamedDataset::open(&path, &DataOptions::default()).unwrap();
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
    let (data, stream) = (
        Dataset::from_npz(&stored).unwrap(),
        StreamedDataset::open(&stored, &DataOptions::default()).unwrap(),
    );
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
    let write = |out: &mut dyn Write| {
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
