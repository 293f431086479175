//! The contract of `examples/suite`: files, exit codes, messages.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::path::Path;
use std::process::Command;

use common::example;
use common::fixture::Fixture;
use ironbound::{Bounds, Report};

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets");

const SUITE: &str = r#"
limit = 12
offset = 3
seed = 4
attacks = ["fgsm"]
gates = ["clean >= 0.5"]

[[threats]]
norm = "linf"
eps = [0.1, 0.2]

[[data]]
path = "digits_test.npz"

[[data]]
name = "again"
path = "digits_test.npz"

[[models]]
path = "digits_cnn.onnx"

[[models]]
name = "int8"
path = "digits_cnn_int8.onnx"
baseline = "digits_cnn"
gates = ["worst_case.linf@0.2 >= 0"]
options.straight_through = ["all"]
"#;

/// Exit code, what is printed, what is told, of `suite` on this text, in a folder with the models.
fn suite(folder: &Path, text: &str, args: &[&str]) -> (i32, String, String) {
    for name in ["digits_cnn.onnx", "digits_cnn_int8.onnx", "digits_test.npz"] {
        std::fs::copy(format!("{ASSETS}/{name}"), folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("suite.toml"), text).unwrap();
    run("suite", Path::new("/"), &[&[folder.join("suite.toml").to_str().unwrap()], args].concat())
}

fn run(name: &str, folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output =
        Command::new(example::binary(name)).current_dir(folder).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn read(path: &Path) -> Report {
    Report::from_json(&std::fs::read_to_string(path).unwrap(), "").unwrap()
}

/// Every pair has the report that `evaluate` would have written, and stands in its leaderboard.
#[test]
fn every_model_meets_every_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (reports, markdown) = (at("reports"), at("board.md"));
    let flags = ["--reports", reports.to_str().unwrap(), "--markdown", markdown.to_str().unwrap()];
    let (code, text, errors) = suite(folder.path(), SUITE, &flags);
    assert_eq!((code, &*errors), (0, ""), "{text}");
    for name in ["digits_test/digits_cnn", "digits_test/int8", "again/digits_cnn", "again/int8"] {
        assert!(reports.join(format!("{name}.json")).exists(), "{name}");
    }
    let (one, two) =
        (read(&reports.join("digits_test/int8.json")), read(&reports.join("again/int8.json")));
    assert_eq!(one, two);
    let json = at("alone.json");
    let [model, data] = ["digits_cnn_int8.onnx", "digits_test.npz"]
        .map(|name| at(name).to_str().unwrap().to_owned());
    let settings = ["--limit", "12", "--offset", "3", "--seed", "4", "--attack", "fgsm"];
    let rest = [
        "--eps",
        "0.1,0.2",
        "--straight-through",
        "all",
        "--quiet",
        "--json",
        json.to_str().unwrap(),
    ];
    let (code, _, errors) = run(
        "evaluate",
        folder.path(),
        &[&[&*model, "--data", &data][..], &settings, &rest].concat(),
    );
    assert_eq!((code, &*errors), (0, ""));
    assert_eq!(read(&json), one);

    assert_eq!(text.matches("data ").count(), 2);
    assert!(
        text.starts_with("data digits_test\n\n#  model") && text.contains("\n\ndata again\n\n"),
        "{text}"
    );
    assert_eq!(text.matches("2 of 2").count(), 2, "{text}");
    let board = std::fs::read_to_string(&markdown).unwrap();
    assert_eq!(board.matches("## Robustness on ").count(), 2);
    assert_eq!(board.matches("| `int8` |").count(), 2, "{board}");
}

/// Data of any kind; those of a table are bounded by its columns, unless the file says otherwise.
#[test]
fn data_of_other_kinds_are_read_as_evaluate_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = Fixture::linear("N", &[1.0, -1.0, 0.5, 0.25, -2.0, 2.0], "Identity");
    std::fs::write(at("linear.onnx"), model.bytes()).unwrap();
    std::fs::write(at("table.csv"), "id,a,b,c,kind\n7,1,0,3,cat\n8,2,5,1,dog\n9,0,1,4,dog\n")
        .unwrap();
    let text = r#"
attacks = ["fgsm"]
threats = [{ norm = "linf", eps = [0.5] }]
models = [{ path = "linear.onnx" }]

[[data]]
path = "table.csv"
drop = ["id"]
groups = ["id"]

[[data]]
name = "bounded"
path = "table.csv"
label = "4"
drop = ["0"]
bounds = [-1, 9]
"#;
    std::fs::write(at("suite.toml"), text).unwrap();
    let reports = at("reports");
    let flags = ["suite.toml", "--quiet", "--reports", reports.to_str().unwrap()];
    let (code, _, errors) = run("suite", folder.path(), &flags);
    assert_eq!((code, &*errors), (0, ""));
    let bounds = |name: &str| {
        let report = read(&reports.join(name).join("linear.json"));
        let groups = report.worst_case[0].groups.len();
        (report.worst_case[0].threat.as_ref().unwrap().bounds.clone(), groups)
    };
    let columns = vec![(0.0, 2.0), (0.0, 5.0), (1.0, 4.0)];
    assert_eq!(bounds("table"), (Bounds::PerFeature(columns), 1));
    assert_eq!(bounds("bounded"), (Bounds::Uniform(-1.0, 9.0), 0));
    // Through `evaluate`, with nothing else.
    let (code, shown, errors) = run("evaluate", folder.path(), &["--suite", "suite.toml"]);
    assert_eq!((code, &*errors), (0, ""));
    assert_eq!(shown, run("suite", folder.path(), &["suite.toml"]).1);
    assert_eq!(run("evaluate", folder.path(), &["--suite", "suite.toml", "--limit", "2"]).0, 2);
}

#[test]
fn gates_that_fail_are_told_and_decide() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("old.json");
    let gates = "gates = [\"worst_case.linf@0.2 >= 99%\", \"worst_case.l2 >= 0\", \"drop_from_baseline <= 0\"]";
    let text = SUITE.replace("gates = [\"worst_case.linf@0.2 >= 0\"]", gates);
    let (code, shown, errors) = suite(folder.path(), &text, &["--quiet"]);
    assert_eq!((code, &*shown), (1, ""));
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines.len(), 6, "{errors}");
    assert!(lines[0].starts_with("gate failed: int8 on digits_test: worst_case.linf@0.2 >= 99%: worst-case robust accuracy within linf 0.2 is "), "{errors}");
    assert!(
        lines[1].ends_with(
            "worst_case.l2 >= 0: no threat in l2 in the report, which has: linf 0.1, linf 0.2"
        ),
        "{errors}"
    );
    assert!(
        lines[2].contains("drop_from_baseline <= 0: ") && lines[2].contains(" fell by "),
        "{errors}"
    );

    // A stored report of a model in the place of the model: of the same data it is a baseline, of others it is none.
    let reports = folder.path().join("reports");
    let (code, ..) =
        suite(folder.path(), SUITE, &["--reports", reports.to_str().unwrap(), "--quiet"]);
    assert_eq!(code, 0);
    let stored = std::fs::read_to_string(reports.join("again/int8.json")).unwrap();
    std::fs::write(&baseline, &stored).unwrap();
    let text = SUITE.replace("baseline = \"digits_cnn\"", "baseline = \"old.json\"");
    let text = text.replace("worst_case.linf@0.2 >= 0", "drop_from_baseline <= 0");
    let (code, _, errors) = suite(folder.path(), &text, &["--quiet"]);
    assert_eq!((code, &*errors), (0, ""));
    let sha256 = read(&baseline).data.sha256;
    std::fs::write(&baseline, stored.replace(&sha256, &"0".repeat(64))).unwrap();
    let (code, _, errors) = suite(folder.path(), &text, &["--quiet"]);
    assert!(code == 1 && errors.contains("drop_from_baseline <= 0: `baseline` is "), "{errors}");
}

#[test]
fn faults_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, code, part) in [
        ("limit", "limits", 2, "suite.toml:2: unknown field `limits`, expected one of `seed`"),
        ("clean >=", "clear >=", 2, "suite.toml:6: unknown gate `clear`"),
        ("digits_cnn_int8.onnx", "int4.onnx", 2, "int4.onnx: "),
        ("\"digits_cnn\"", "\"old.json\"", 2, "old.json: "),
        ("offset = 3", "offset = 1000", 2, "`offset` is 1000"),
        (
            "path = \"digits_cnn.onnx\"",
            "path = \"digits_cnn.onnx\"\nexpect_sha256 = \"00\"",
            2,
            "`expect-sha256` is 00",
        ),
        (
            "path = \"digits_cnn.onnx\"",
            "path = \"suite.toml\"\nname = \"digits_cnn\"",
            3,
            "suite.toml: ",
        ),
    ] {
        let (found, shown, errors) = suite(folder.path(), &SUITE.replace(from, to), &[]);
        assert_eq!((found, &*shown), (code, ""), "{to}: {errors}");
        assert!(
            errors.starts_with("error: ") && errors.contains(part) && errors.lines().count() == 1,
            "{errors}"
        );
    }
    assert_eq!(run("suite", folder.path(), &["no.toml"]).0, 2);
    assert_eq!(run("suite", folder.path(), &[]).0, 2);
    let (code, help, _) = run("suite", folder.path(), &["--help"]);
    assert!(code == 0 && help.contains("A suite file") && help.contains("Exit codes:"));
}
