//! The contract of `examples/evaluate`: flags, exit codes, one-line errors, files.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::example;
use common::fixture::Fixture;
use common::write_stored;
use ironbound::report::Report;
use ironbound::{
    Classifier, Dataset, Model, Norm, NpzArray, NpzValues, Severity, Spacing, Threat, write_npz,
};

const MODEL: &str = "examples/assets/digits_cnn.onnx";
const DATA: &str = "examples/assets/digits_test.npz";

fn evaluate(args: &[&str]) -> Output {
    let mut command = Command::new(example::binary("evaluate"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().unwrap()
}

/// The one line that a failing run prints, without `error: `.
fn failure(args: &[&str], code: i32) -> String {
    let output = evaluate(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    let line = stderr.strip_prefix("error: ").unwrap_or_else(|| panic!("{args:?}: {stderr}"));
    assert_eq!(line.matches('\n').count(), 1, "{args:?}: {stderr}");
    line.trim_end().to_owned()
}

/// An npz file of `x` and `y`.
fn npz(folder: &Path, name: &str, shape: &[usize], x: &[f32], y: &[f32]) -> String {
    let path = folder.join(name);
    let x = NpzArray::new(shape, NpzValues::F32(x)).unwrap();
    write_npz(&path, &[("x", x), ("y", NpzValues::F32(y).into())]).unwrap();
    path.to_str().unwrap().to_owned()
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn wrong_model_files_exit_with_3_and_missing_ones_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = std::fs::read(MODEL).unwrap();
    let text = file(folder.path(), "text.onnx", b"this is not a model\n");
    let truncated = file(folder.path(), "truncated.onnx", &onnx[..onnx.len() / 2]);
    let empty = file(folder.path(), "empty.onnx", b"");
    for path in [&text, &truncated, &empty, DATA] {
        let message = failure(&[path, "--data", DATA], 3);
        assert!(message.starts_with(path), "{message}");
    }
    let message = failure(&["no/such/model.onnx", "--data", DATA], 2);
    assert!(message.starts_with("no/such/model.onnx: "), "{message}");
    let message = failure(&[MODEL, "--data", "no/such/data.npz"], 2);
    assert!(message.starts_with("no/such/data.npz: "), "{message}");
    let message = failure(&["--surrogate", "no/such/model.onnx"], 2);
    assert!(message.starts_with("no/such/model.onnx: "), "{message}");
    let message = failure(&["--surrogate", &text], 3);
    assert!(message.starts_with(&text), "{message}");
    let message = failure(&[MODEL, "--data", DATA, "--input", "pixels"], 2);
    assert!(message.contains("no input named `pixels`"), "{message}");
}

#[test]
fn wrong_data_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let grey = || vec![0.5; 2 * 64];
    let shape = [2, 1, 8, 8];
    let mut nan = grey();
    nan[70] = f32::NAN;
    let mut bright = grey();
    bright[3] = 255.0;
    let cases = [
        (file(folder, "text.npz", b"no archive"), "text.npz"),
        (npz(folder, "nan.npz", &shape, &nan, &[0.0, 1.0]), "NaN"),
        (npz(folder, "labels.npz", &shape, &grey(), &[0.0, 10.0]), "10"),
        (npz(folder, "negative.npz", &shape, &grey(), &[0.0, -1.0]), "-1"),
        (npz(folder, "lengths.npz", &shape, &grey(), &[0.0, 1.0, 2.0]), "3"),
        (npz(folder, "shape.npz", &[2, 1, 4, 8], &[0.5; 64], &[0.0, 1.0]), "shape.npz"),
        (npz(folder, "bright.npz", &shape, &bright, &[0.0, 1.0]), "255"),
        (npz(folder, "none.npz", &[0, 1, 8, 8], &[], &[]), "none.npz"),
    ];
    for (path, part) in cases {
        let message = failure(&[MODEL, "--data", &path], 2);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn wrong_settings_exit_with_2() {
    let cases: &[(&[&str], &str)] = &[
        (&["--eps", "-0.1"], "`eps` is -0.1"),
        (&["--eps", "8/x"], "`eps` is 8/x"),
        (&["--eps", "nan"], "`eps` is nan"),
        (&["--norm", "l7"], "unknown norm `l7`"),
        (&["--norm", "l0"], "`norm` is l0"),
        (&["--attack", "magic"], "unknown attack `magic`, expected one of"),
        (&["--attack", "pgd:stepz=3"], "unknown field `stepz`"),
        (&["--attack", "pgd:steps=many"], "steps"),
        (&["--attack", "pgd:steps=0"], "`steps` is 0"),
        (&["--bounds", "1,0"], "`bounds` is"),
        (&["--bounds", "dark"], "`bounds` is dark"),
        (&["--grid", "1/0"], "`grid` is 1/0"),
        (&["--grid", "1/100"], "sample 0, feature 2 is "),
        (&["--integer", "x"], "`integer` is x"),
        (&["--integer", "3-1"], "`integer` is 3-1"),
        (&["--immutable", "60,64"], "`immutable` is 64: the samples have 64 features, 0 to 63"),
        (&["--one-hot", "0-3"], "features [0, 1, 2, 3] are ["),
        (&["--one-hot", "3"], "`domain.one_hot[0]` is [3]"),
        (&["--increase", "0-3", "--decrease", "3"], "`decrease` is 3"),
        (&["--targeted", "cat"], "`targeted` is cat"),
        (&["--targeted", "10"], "10"),
        (&["--targeted", "kth-likely:x"], "`targeted` is kth-likely:x"),
        (&["--targeted", "kth-likely:10"], "`goal` is kth-likely 10"),
        (&["--fail-under", "-3"], "`fail-under` is -3"),
        (&["--fail-under", "101"], "`fail-under` is 101"),
        (&["--gate", "clean > 0.9"], "expected a comparison by >= or <="),
        (&["--gate", "robust >= 0.9"], "unknown gate `robust`, expected one of `clean`"),
        (&["--gate", "drop_from_baseline <= 0.1"], "--baseline is needed"),
        (&["--threads", "0"], "`threads` is 0"),
        (&["--batch", "0"], "`batch` is 0"),
        (&["--limit", "0"], "`limit` is 0"),
        (&["--offset", "360"], "`offset` is 360"),
        (&["--std", "0"], "`std` is 0"),
        (&["--layout", "nchv"], "unknown layout `nchv`"),
        (&["--keys", "images"], "`keys` is images"),
        (&["--input-shape", "1,4,4"], "[1, 4, 4]"),
        (&["--straight-through", "Sign"], "`straight_through` is Sign"),
        (&["--json", "no/such/folder/report.json"], "no/such/folder/report.json: "),
        (&["--csv", "no/such/folder/samples.csv"], "no/such/folder/samples.csv: "),
        (&["--jsonl", "examples"], "examples: "),
        (&["--markdown", "no/such/folder/report.md"], "no/such/folder/report.md: "),
        (&["--junit", "examples"], "examples: "),
        (&["--sarif", "no/such/folder/report.sarif"], "no/such/folder/report.sarif: "),
        (&["--attestation", "examples"], "examples: "),
        (&["--attestation", "x.json"], "`attestation` is x.json"),
        (&["--save-adversarial", "examples"], "examples: "),
    ];
    for (args, part) in cases {
        let message = failure(args, 2);
        assert!(message.contains(part), "{args:?}: {message}");
    }
    // Clap's own: a usage line follows the message.
    for args in [&["--colour"][..], &[MODEL], &["--data", DATA], &["--seed", "x"], &["a", "b"]] {
        let output = evaluate(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stderr.starts_with(b"error: ") && output.stdout.is_empty());
    }
}

#[test]
fn help_and_version() {
    let help = evaluate(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in [
        "--data",
        "--norm",
        "--eps",
        "--attack",
        "--surrogate",
        "--bounds",
        "--scale",
        "--mean",
        "--std",
        "--input",
        "--output",
        "--straight-through",
        "--grid",
        "--integer",
        "--one-hot",
        "--increase",
        "--decrease",
        "--immutable",
        "--targeted",
        "--limit",
        "--offset",
        "--seed",
        "--threads",
        "--batch",
        "--json",
        "--csv",
        "--jsonl",
        "--markdown",
        "--html",
        "--junit",
        "--sarif",
        "--attestation",
        "--save-adversarial",
        "--fail-under",
        "--gate",
        "--no-preflight",
        "--quiet",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(help.contains(flag), "{flag} is missing");
    }
    assert_eq!(evaluate(&["--version"]).status.code(), Some(0));
}

#[test]
fn without_a_model_the_digits_are_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let report = |name: &str, more: &[&str]| {
        let json = path(name);
        let args = ["--limit", "40", "--offset", "10", "--eps", "0.05,0.2", "--json", &json];
        let output = evaluate(&[&args, more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty());
        (String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(json).unwrap())
    };
    let found = path("found.npz");
    let (text, json) = report("one.json", &["--threads", "1", "--save-adversarial", &found]);
    assert!(text.contains("clean") && text.contains("worst case"), "{text}");
    assert!(std::fs::metadata(&found).unwrap().len() > 1000);
    let parsed = Report::from_json(&json, "one.json").unwrap();
    let ids: Vec<_> = parsed.attacks.iter().map(|row| &row.id[..]).collect();
    assert_eq!(ids, ["noise", "noise", "fgsm", "fgsm", "pgd", "pgd"]);
    assert_eq!((parsed.data.samples, parsed.data.offset, parsed.worst_case.len()), (40, 10, 2));
    assert_eq!(parsed.model.sha256.len(), 64);
    assert_eq!(parsed.data.sha256.len(), 64);
    assert!(parsed.worst_case[0].robust_accuracy > parsed.worst_case[1].robust_accuracy);

    // Attacks find the same without a look at the model and the data first.
    let (_, without) = report("without.json", &["--no-preflight"]);
    let without = Report::from_json(&without, "without.json").unwrap();
    assert_eq!((&without.attacks, &without.clean), (&parsed.attacks, &parsed.clean));
    assert!(parsed.warnings.iter().all(|warning| warning.severity == Severity::Info));

    // The same bytes from the files, for another number of threads and another batch.
    let (quiet, again) = report("two.json", &["--threads", "2", "--batch", "7", "--quiet"]);
    assert!(quiet.is_empty() && again == json);
}

#[test]
fn a_file_is_evaluated_as_the_embedded_model_is() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json").to_str().unwrap().to_owned();
    let common = ["--limit", "20", "--eps", "0.1", "--attack", "fgsm", "--json", &json, "--quiet"];
    let mut rows = vec![];
    for more in [
        &[][..],
        &[MODEL, "--data", DATA],
        &[MODEL, "--data", DATA, "--input", "image", "--output", "logits"],
    ] {
        let output = evaluate(&[&common, more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let report = Report::from_json(&std::fs::read_to_string(&json).unwrap(), "").unwrap();
        rows.push((report.attacks, report.model.sha256, report.data.sha256));
    }
    assert!(rows.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn gradients_go_straight_through_what_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json").to_str().unwrap().to_owned();
    let model = "examples/assets/digits_cnn_int8.onnx";
    let common = [model, "--data", DATA, "--limit", "20", "--eps", "0.2", "--attack", "fgsm"];
    let run = |more: &[&str]| {
        let output = evaluate(&[&common[..], &["--json", &json, "--quiet"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        Report::from_json(&std::fs::read_to_string(&json).unwrap(), "").unwrap()
    };
    let accuracy = |report: &Report| report.attacks[0].robust_accuracy.unwrap();
    let exact = run(&[]);
    assert!(accuracy(&exact) > 0.9);
    for (flags, recorded) in [
        (&["--straight-through", "QuantizeLinear"][..], 1),
        (&["--straight-through", "image_QuantizeLinear,QuantizeLinear"], 2),
        (&["--straight-through", "all", "--straight-through", "QuantizeLinear"], 2),
    ] {
        let report = run(flags);
        assert!(accuracy(&report) < 0.5, "{flags:?}");
        assert_eq!(report.clean, exact.clean, "{flags:?}");
        let options = &report.model.options["straight_through"];
        assert_eq!(options.as_array().unwrap().len(), recorded, "{options}");
        assert!(report.warnings.iter().any(|warning| warning.code == "straight-through"));
    }
}

/// Every attack runs on the surrogate, and the record says so.
#[test]
fn a_surrogate_is_attacked_in_the_place_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json").to_str().unwrap().to_owned();
    let other = "examples/assets/digits_cnn_plain.onnx";
    let common = ["--limit", "40", "--eps", "0.2", "--json", &json, "--attack", "pgd"];
    let run = |more: &[&str]| {
        let output = evaluate(&[&common, more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        (Report::from_json(&std::fs::read_to_string(&json).unwrap(), "").unwrap(), text)
    };
    let (direct, _) = run(&[]);
    let (report, text) = run(&["--attack", "noise", "--surrogate", other]);
    assert!(
        text.contains("transfer:attack=pgd") && text.contains("transfer:attack=noise"),
        "{text}"
    );
    assert!(report.attacks.iter().all(|row| row.id == "transfer"));
    let params = &report.attacks[0].params;
    assert_eq!(params["inner"]["attack"], "pgd");
    assert_eq!(params["surrogate"]["path"], other);
    let alone = Model::load(other).unwrap();
    assert_eq!(params["surrogate"]["sha256"], alone.info().sha256[..]);
    assert_ne!(report.model.sha256, alone.info().sha256);
    let robust: Vec<_> = report.attacks.iter().map(|row| row.robust_accuracy.unwrap()).collect();
    assert!(direct.attacks[0].robust_accuracy.unwrap() <= robust[0] && robust[0] < robust[1]);
    // Against itself, a model is as weak as it is, and one that cannot be differentiated exactly needs no gradient.
    let (own, _) = run(&["--surrogate", MODEL]);
    assert!(own.attacks[0].robust_accuracy <= direct.attacks[0].robust_accuracy);
    let int8 = "examples/assets/digits_cnn_int8.onnx";
    let (int8, _) = run(&["--surrogate", int8, "--straight-through", "QuantizeLinear"]);
    assert!(int8.attacks[0].robust_accuracy < Some(0.8), "{:?}", int8.attacks[0].robust_accuracy);
}

#[test]
fn the_gate_decides_at_the_largest_budget() {
    let gate = |least: &str| {
        let args =
            ["--limit", "40", "--eps", "0,0.5", "--attack", "fgsm", "--quiet", "--fail-under"];
        let output = evaluate(&[&args, &[least][..]].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = gate("90%");
    assert_eq!(code, Some(1));
    assert!(message.starts_with("gate failed: worst-case robust accuracy "), "{message}");
    assert_eq!(message.lines().count(), 1);
    assert_eq!(gate("0.9").0, Some(1));
    assert_eq!(gate("0"), (Some(0), String::new()));
}

/// Several gates, of which the first that fails is told, and all stand in the files.
#[test]
fn gates_are_given_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let junit = folder.path().join("report.xml").to_str().unwrap().to_owned();
    let run = |gates: &[&str]| {
        let args =
            ["--limit", "20", "--eps", "0,0.5", "--attack", "fgsm", "--quiet", "--junit", &junit];
        let output = evaluate(&[&args, gates].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let holds = ["--gate", "clean >= 90%", "--gate", "worst_case.linf@0 >= 0.9"];
    assert_eq!(run(&holds), (Some(0), String::new()));
    let fails = ["--gate", "worst_case.linf@0.5 >= 0.9", "--gate", "worst_case.l2 >= 0"];
    let (code, message) = run(&[&holds[..], &fails].concat());
    assert_eq!(code, Some(1));
    assert!(
        message.starts_with("gate failed: worst-case robust accuracy within linf 0.5 is "),
        "{message}"
    );
    let junit = std::fs::read_to_string(&junit).unwrap();
    assert!(
        junit.contains("name=\"worst_case.l2 &gt;= 0\"") && junit.contains("failures=\"2\""),
        "{junit}"
    );
}

/// Both gates are told, whichever fails, and exit code and files agree.
#[test]
fn gates_stand_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [json, markdown, html, junit, sarif] =
        ["report.json", "report.md", "report.html", "report.xml", "report.sarif"].map(path);
    let base = ["--limit", "20", "--eps", "0.2", "--attack", "fgsm", "--quiet"];
    let first = evaluate(&[&base[..], &["--json", &json]].concat());
    assert_eq!(first.status.code(), Some(0));
    let gates = ["--baseline", &json, "--max-drop", "0", "--fail-under", "99%"];
    let files = ["--markdown", &markdown, "--html", &html, "--junit", &junit, "--sarif", &sarif];
    let output = evaluate(&[&base[..], &gates, &files].concat());
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    let failure = told.strip_prefix("gate failed: ").unwrap().trim_end();
    let [markdown, html, junit, sarif] =
        [markdown, html, junit, sarif].map(|path| std::fs::read_to_string(path).unwrap());
    assert!(html.contains("Gate failed") && html.contains("src=\"data:image/png;base64,"));
    assert!(markdown.contains(&format!("- gate `--fail-under 99.00%` **failed**: {failure}\n")));
    assert!(markdown.contains("- gate `--max-drop 0.00%` passed\n"), "{markdown}");
    assert!(junit.contains(&format!("<failure message=\"{failure}\"/>")), "{junit}");
    assert!(junit.contains("tests=\"3\" failures=\"1\" errors=\"0\""), "{junit}");
    assert!(sarif.contains(&format!("--fail-under 99.00%: {failure}")), "{sarif}");
}

#[test]
fn the_curve_of_a_stored_report_is_its_worst_case() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [json, svg] = ["report.json", "curve.svg"].map(path);
    let run = ["--limit", "30", "--norm", "linf,l2", "--eps", "0.1,0.3", "--attack", "fgsm"];
    let files = ["--json", &json, "--quiet"];
    assert_eq!(evaluate(&[&run[..], &files].concat()).status.code(), Some(0));
    let curve = |args: &[&str]| {
        let mut command = Command::new(example::binary("curve"));
        let output = command.arg(&json).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let text = std::fs::read_to_string(&json).unwrap();
    let report = Report::from_json(&text, &json).unwrap();
    let share = |share: Option<f64>| format!("{:.1} %", 100.0 * share.unwrap());
    let mut expected = vec![];
    for norm in [Norm::Linf, Norm::L2] {
        expected.push((norm, 0.0, share(report.clean.accuracy)));
        let cases = report.worst_case.iter().filter(|case| case.norm == Some(norm));
        expected.extend(cases.map(|case| (norm, case.eps.unwrap(), share(case.robust_accuracy))));
    }
    let (code, table) = curve(&[]);
    assert_eq!((code, table.lines().count()), (Some(0), expected.len()));
    for (line, (norm, eps, share)) in table.lines().zip(expected) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!((words[0], words[2..4].join(" ")), (&*norm.to_string(), share));
        assert!((words[1].parse::<f64>().unwrap() - eps).abs() < 1e-6, "{line}");
    }
    assert_eq!(curve(&["--norm", "l2", "--svg", &svg, "--quiet"]), (Some(0), String::new()));
    assert_eq!(std::fs::read_to_string(&svg).unwrap(), report.curve_to_svg(1).unwrap());
    assert_eq!(curve(&["--norm", "l1"]).0, Some(2));
}

/// The pictures from the files of a run are those of its own page.
#[test]
fn the_gallery_of_stored_points_is_that_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [json, points, html, page] =
        ["report.json", "points.npz", "report.html", "gallery.html"].map(path);
    let files = ["--json", &json, "--save-adversarial", &points, "--html", &html, "--quiet"];
    let run = ["--offset", "3", "--limit", "30", "--norm", "linf,l2", "--attack", "fgsm"];
    assert_eq!(evaluate(&[&run[..], &files].concat()).status.code(), Some(0));
    let gallery = |data: &str, to: &[&str]| {
        let mut command = Command::new(example::binary("gallery"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args([&json, "--adversarial", &points]);
        let output = command.args(["--data", data]).args(to).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let pictures = path("pictures");
    let to = ["--html", &*page, "--folder", &*pictures];
    assert_eq!(gallery(DATA, &to), (Some(0), String::new()));
    let section = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        let start = text.find("<section id=\"gallery\">").unwrap();
        text[start..start + text[start..].find("</section>").unwrap()].to_owned()
    };
    assert_eq!(section(&page), section(&html));
    let files = std::fs::read_dir(&pictures).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.collect();
    assert_eq!(files.len(), section(&page).matches("<img").count());
    assert!(files.iter().all(|file| std::fs::read(file).unwrap().starts_with(b"\x89PNG")));
    // Neither other data, nor nowhere to write to.
    let other = npz(folder.path(), "other.npz", &[40, 1, 8, 8], &[0.5; 40 * 64], &[0.0; 40]);
    let (code, message) = gallery(&other, &to);
    assert_eq!(code, Some(2));
    assert!(message.starts_with("error: `data` is ") && message.contains("that of the report"));
    assert_eq!(gallery(DATA, &[]).0, Some(2));
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_a_partial_report() {
    let folder = tempfile::tempdir().unwrap();
    let [json, csv] = ["report.json", "samples.csv"].map(|name| folder.path().join(name));
    let mut command = Command::new(example::binary("evaluate"));
    // Hours of work, whose first budget is done at once.
    command.args([
        "--eps",
        "0,0.001",
        "--attack",
        "noise:draws=1",
        "--attack",
        "pgd:steps=1000000",
    ]);
    command
        .arg("--quiet")
        .arg("--json")
        .arg(&json)
        .arg("--csv")
        .arg(&csv)
        .stderr(std::process::Stdio::piped());
    // Interrupted too early, on a busy machine, the first row may be unfinished: wait longer, then.
    let mut report = None;
    for seconds in [1, 4, 16, 64] {
        let child = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(seconds));
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{errors}");
        let found = Report::from_json(&std::fs::read_to_string(&json).unwrap(), "").unwrap();
        let enough = found.attacks.first().is_some_and(|row| row.unreached.is_empty());
        report = Some(found);
        if enough {
            break;
        }
    }
    let report = report.unwrap();
    assert_eq!(std::fs::read_to_string(csv).unwrap(), report.to_csv());
    assert!(report.partial && report.warnings.iter().any(|w| w.code == "interrupted"));
    assert_eq!(report.attacks.len(), 4);
    assert!(
        report.attacks[0].unreached.is_empty() && report.attacks[0].robust_accuracy > Some(0.9)
    );
    assert!(!report.attacks[3].unreached.is_empty());
}

/// The arrays of an npz file of adversarial points: those of each sample, with the sample's index.
fn adversarial(path: &str, features: usize) -> Vec<(usize, Vec<f32>)> {
    let arrays = common::npz::read(Path::new(path));
    let points = arrays["x"].floats();
    let samples = arrays["sample"].classes();
    samples.into_iter().zip(points.chunks(features).map(<[f32]>::to_vec)).collect()
}

/// Sixteen levels in, sixteen levels out, and every one of them would have counted without the grid.
#[test]
fn adversarial_digits_have_sixteen_levels() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let sixteenths: Spacing = "1/16".parse().unwrap();
    let data = Dataset::from_npz(DATA).unwrap();
    for (norm, eps, attack) in [
        (Norm::Linf, 0.13, "pgd"),
        (Norm::L2, 1.0, "apgd"),
        (Norm::L1, 3.0, "apgd"),
        (Norm::L2, 1.0, "ddn"),
    ] {
        let (file, norm_name, eps_text) = (path("found.npz"), norm.to_string(), eps.to_string());
        let run = |grid: &[&str]| {
            let base = ["--norm", &norm_name, "--eps", &eps_text, "--attack", attack];
            let rest = ["--limit", "16", "--no-preflight", "--save-adversarial", &file];
            let output = evaluate(&[&base[..], &rest, grid].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            adversarial(&file, 64)
        };
        let (free, found) = (run(&[]), run(&["--grid", "1/16"]));
        assert!(!found.is_empty() && found.len() <= free.len(), "{norm} {attack}");
        let threat = Threat::new(norm, eps);
        for (sample, point) in &found {
            assert!(point.iter().all(|&x| sixteenths.holds(x)), "{norm} {attack}: {point:?}");
            let plain = threat.region(*sample, data.sample(*sample)).check(point);
            assert!(plain.is_ok(), "{norm} {attack}: {plain:?}");
        }
        let off = |(_, point): &(usize, Vec<f32>)| !point.iter().all(|&x| sixteenths.holds(x));
        assert!(free.iter().any(off), "{norm} {attack}: the grid changes nothing");
    }
}

/// An age that only rises, a balance, one of three colours, and a feature that nobody can change.
#[test]
fn adversarial_persons_could_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let weights = [0.3, 0.0, -1.0, 0.0, 2.0, 0.0, 0.5, 0.0, -1.0, 0.0, 9.0, 0.0];
    let model = Fixture::default()
        .input("x", &["N", "6"])
        .floats("w", &[6, 2], &weights)
        .floats("b", &[2], &[-12.0, 0.0])
        .node("MatMul", &["x", "w"], "z", &[])
        .node("Add", &["z", "b"], "y", &[])
        .output("y", &["N", "2"]);
    let model = file(folder.path(), "person.onnx", &model.bytes());
    let people = [
        [30.0, -1.5, 1.0, 0.0, 0.0, 0.5],
        [41.0, 2.25, 0.0, 1.0, 0.0, 0.0],
        [22.0, 0.5, 0.0, 0.0, 1.0, 1.0],
        [38.0, 1.75, 0.0, 0.0, 1.0, 0.25],
    ];
    let margin = |x: &[f32]| {
        let sum: f32 = x.iter().zip(weights.iter().step_by(2)).map(|(x, w)| x * w).sum();
        sum - 12.0
    };
    let labels = people.map(|x| if margin(&x) >= 0.0 { 0.0 } else { 1.0 });
    let data = npz(folder.path(), "people.npz", &[4, 6], &people.concat(), &labels);
    let (mut ages, mut colours) = (0, 0);
    for (norm, eps) in [("l1", "4"), ("l2", "3"), ("linf", "2")] {
        for attack in ["pgd", "apgd", "square", "fab"] {
            let found = path("found.npz");
            let base = [&model, "--data", &data, "--norm", norm, "--eps", eps, "--bounds", "none"];
            let domain =
                ["--integer", "0", "--increase", "0", "--one-hot", "2-4", "--immutable", "5"];
            let rest = ["--attack", attack, "--save-adversarial", &found, "--no-preflight"];
            let output = evaluate(&[&base[..], &domain, &rest].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            for (sample, point) in adversarial(&found, 6) {
                let clean = people[sample];
                assert_ne!(margin(&point) >= 0.0, margin(&clean) >= 0.0, "{point:?}");
                assert!(point[0].fract() == 0.0 && point[0] >= clean[0], "{point:?}");
                let mut colour = [point[2], point[3], point[4]];
                colour.sort_by(f32::total_cmp);
                assert_eq!((colour, point[5]), ([0.0, 0.0, 1.0], clean[5]), "{point:?}");
                ages += usize::from(point[0] > clean[0]);
                colours += usize::from(point[2..5] != clean[2..5]);
            }
        }
    }
    assert!(ages > 0 && colours > 0, "{ages} ages rose, {colours} colours changed");
}

/// A regression y = x1 - x2 on samples without labels: raised by 0.2 within 0.1, but not within 0.09.
#[test]
fn objectives_need_no_labels() {
    let folder = tempfile::tempdir().unwrap();
    let regression = Fixture::default()
        .input("x", &["N", "2"])
        .floats("w", &[2, 1], &[1.0, -1.0])
        .node("MatMul", &["x", "w"], "y", &[])
        .output("y", &["N", "1"]);
    let model = file(folder.path(), "regression.onnx", &regression.bytes());
    let data = folder.path().join("x.npz");
    let x = NpzArray::new([2, 2], NpzValues::F32(&[0.5, 0.5, 0.4, 0.3])).unwrap();
    write_npz(&data, &[("x", x)]).unwrap();
    let data = data.to_str().unwrap();
    let report = folder.path().join("report.json");
    let run = |objective: &str| {
        let flags = ["--eps", "0.09,0.1001", "--attack", "pgd:loss=margin", "--json"];
        let args = [&[&model, "--data", data, "--objective", objective][..], &flags];
        let output = evaluate(&[&args.concat()[..], &[report.to_str().unwrap()]].concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{errors}");
        let text = std::fs::read_to_string(&report).unwrap();
        let report = Report::from_json(&text, "report.json").unwrap();
        let robust: Vec<_> = report.worst_case.iter().map(|row| row.robust_accuracy).collect();
        (report.clean.accuracy, robust)
    };
    assert_eq!(run("moved:by=0.2"), (Some(1.0), vec![Some(1.0), Some(0.0)]));
    assert_eq!(run("above:output=0,value=0.2"), (Some(1.0), vec![Some(0.5), Some(0.0)]));
    assert_eq!(run("below:output=0,value=0.05"), (Some(0.5), vec![Some(0.0), Some(0.0)]));

    let refused = |flags: &[&str]| failure(&[&[&model, "--data", data], flags].concat(), 2);
    assert!(refused(&["--objective", "over"]).contains("`above`"));
    assert!(refused(&["--objective", "above:value=x"]).contains("above:value"));
    assert!(refused(&["--objective", "above:output=3"]).contains("1 output value"));
    assert!(refused(&["--objective", "moved", "--outputs", "z"]).contains("`z`"));
    // Streamed: the same, from the same samples as np.savez writes them.
    let stored = folder.path().join("stored.npz");
    let values = |out: &mut dyn std::io::Write| {
        let bytes = [0.5_f32, 0.5, 0.4, 0.3].map(f32::to_le_bytes).concat();
        out.write_all(&bytes).unwrap();
    };
    write_stored(&stored, ("<f4", &[2, 2]), values, &[]);
    let alone = |data: &str, more: &[&str]| {
        let args = [&model, "--data", data, "--objective", "moved:by=0.2", "--eps", "0.09,0.1001"];
        let output = evaluate(&[&args[..], &["--attack", "pgd:loss=margin"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text[text.find("norm").unwrap()..].to_owned()
    };
    assert_eq!(alone(stored.to_str().unwrap(), &["--stream"]), alone(data, &[]));
    // Without an objective the data need labels, and an objective has no classes.
    assert!(refused(&[]).contains('y'));
    let output = evaluate(&["--outputs", "logits"]);
    assert_eq!(output.status.code(), Some(2));
    let output = evaluate(&["--objective", "moved", "--targeted", "3"]);
    assert_eq!(output.status.code(), Some(2));
}

/// A report without what tells files apart.
fn results(args: &[&str], folder: &Path) -> Report {
    let json = folder.join("report.json");
    let common = ["--eps", "0.1", "--attack", "fgsm", "--limit", "20", "--quiet", "--json"];
    let output = evaluate(&[&[MODEL], args, &common, &[json.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Report::from_json(&std::fs::read_to_string(&json).unwrap(), "report.json").unwrap()
}

#[test]
fn the_same_data_in_any_kind_of_file_give_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let data = Dataset::from_npz(DATA).unwrap().subset(0, Some(20)).unwrap();
    let big_endian = |code: u8, axes: &[u32], items: Vec<u8>| {
        let head = [0, 0, code, axes.len() as u8];
        let axes = axes.iter().flat_map(|axis| axis.to_be_bytes());
        head.into_iter().chain(axes).chain(items).collect::<Vec<u8>>()
    };
    let values = data.values().iter().flat_map(|value| value.to_be_bytes()).collect();
    let images = big_endian(0x0d, &[20, 8, 8], values);
    let images = file(folder.path(), "t10k-images-idx3-float", &images);
    let labels = data.labels().iter().map(|label| *label as u8).collect();
    file(folder.path(), "t10k-labels-idx1-float", &big_endian(0x08, &[20], labels));
    let head = (0..64).map(|pixel| format!("pixel{pixel},")).collect::<String>() + "digit\n";
    let line = |sample: usize| {
        let values = data.sample(sample).iter().map(|value| format!("{value},"));
        values.collect::<String>() + &data.labels()[sample].to_string() + "\n"
    };
    let table = head + &(0..20).map(line).collect::<String>();
    let table = file(folder.path(), "digits.csv", table.as_bytes());
    let expected = results(&["--data", DATA], folder.path());
    for args in [&["--data", &*images][..], &["--data", &table, "--bounds", "0,1"]] {
        let report = results(args, folder.path());
        assert_eq!(report.clean, expected.clean, "{args:?}");
        assert_eq!(report.attacks, expected.attacks, "{args:?}");
    }
    // What the columns hold bounds the features of a table.
    let report = results(&["--data", &table], folder.path());
    let threat = report.worst_case[0].threat.as_ref().unwrap();
    assert_eq!(threat.bounds, data.feature_bounds());

    // The other examples take it as well.
    let example = |name: &str, args: &[&str]| {
        let mut command = Command::new(example::binary(name));
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let settings = ["--data", &*table, "--eps", "0.2", "--attack", "fgsm"];
    let transfers = |more: &[&str]| {
        let (code, text) = example("transfers", &[&[MODEL, MODEL][..], &settings, more].concat());
        assert_eq!(code, Some(0));
        text
    };
    assert_eq!(transfers(&[]), transfers(&["--bounds", "data"]));
    assert_ne!(transfers(&[]), transfers(&["--bounds", "0,1"]));
    let audit = |bounds: &[&str]| example("audit", &[&[MODEL][..], bounds].concat()).0;
    assert_eq!(audit(&["--data", &table, "--bounds", "data"]), Some(0));
    assert_eq!(audit(&["--bounds", "data"]), Some(2));
    let points = path("points.npz");
    let report = results(&["--data", &images, "--save-adversarial", &points], folder.path());
    assert!(report.attacks.iter().any(|row| !row.broken.is_empty()), "nothing to show");
    let (json, page) = (path("report.json"), path("gallery.html"));
    let gallery = [&*json, "--adversarial", &points, "--data", &images, "--html", &page];
    assert_eq!(example("gallery", &gallery).0, Some(0));
    assert!(std::fs::read_to_string(&page).unwrap().contains("<img"));

    let message = failure(&[MODEL, "--data", &images, "--label", "digit"], 2);
    assert_eq!(message, "`label` is given: the data are of the kind IDX, this is for table");
    let message = failure(&[MODEL, "--data", &table, "--label", "x"], 2);
    assert!(message.starts_with(&format!("{table}: no column `x`; the file has `pixel0`")));

    for class in 0..10 {
        let class = folder.path().join("digits").join(class.to_string());
        std::fs::create_dir_all(&class).unwrap();
        std::fs::copy("tests/data/images/wide.png", class.join("a.png")).unwrap();
    }
    let report = results(&["--data", &path("digits")], folder.path());
    assert_eq!(report.clean.labels, (0..10).collect::<Vec<_>>());
    let codes: Vec<_> = report.warnings.iter().map(|warning| &*warning.code).collect();
    assert!(codes.contains(&"data-resized") && codes.contains(&"data-classes"), "{codes:?}");
}
