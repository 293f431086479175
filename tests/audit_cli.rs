//! The contract of `examples/audit`: flags, exit codes, one-line errors, the file.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::fixture::Fixture;
use common::{example, values};
use ironbound::{Audit, NpzArray, NpzValues, write_npz};
use serde_json::Value;

const MODEL: &str = "examples/assets/digits_cnn.onnx";
const DATA: &str = "examples/assets/digits_test.npz";

fn audit(args: &[&str]) -> Output {
    Command::new(example::binary("audit"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(args)
        .output()
        .unwrap()
}

fn stdout(args: &[&str], code: i32) -> String {
    let output = audit(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    assert!(errors.is_empty(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that a failing run prints, without `error: `.
fn failure(args: &[&str], code: i32) -> String {
    let output = audit(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    let line = stderr.strip_prefix("error: ").unwrap_or_else(|| panic!("{args:?}: {stderr}"));
    assert_eq!(line.matches('\n').count(), 1, "{args:?}: {stderr}");
    line.trim_end().to_owned()
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A network whose hidden units are signs.
fn binarised() -> Vec<u8> {
    let weights = |len: usize| values(len).iter().map(|v| v - 0.5).collect::<Vec<_>>();
    let fixture = Fixture::default()
        .input("x", &["N", "3"])
        .floats("w", &[3, 20], &weights(60))
        .floats("v", &[20, 2], &weights(40))
        .node("MatMul", &["x", "w"], "a", &[])
        .node("Sign", &["a"], "h", &[])
        .node("MatMul", &["h", "v"], "z", &[])
        .node("Softmax", &["z"], "y", &[])
        .output("y", &["N", "2"]);
    fixture.bytes()
}

#[test]
fn a_sound_model_exits_with_0() {
    let text = stdout(&[MODEL, "--data", DATA, "--bounds", "0,1"], 0);
    for part in [
        "model    examples/assets/digits_cnn.onnx (10 classes, sha256 0c3b19e62f16)",
        "input    image float[batch, 1, 8, 8]",
        "logits   logits: the only output of the graph",
        "gradient worst relative error ",
        "Conv          2  exact",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    assert!(text.lines().all(|line| line.trim_end() == line), "{text}");
    let text = stdout(&[MODEL], 0);
    assert!(text.contains("info[no-data]: "), "{text}");
    assert!(stdout(&[MODEL, "--quiet"], 0).is_empty());
}

#[test]
fn findings_of_severity_error_exit_with_1_and_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let model = file(folder.path(), "binarised.onnx", &binarised());
    let json = folder.path().join("audit.json");
    let text = stdout(&[&model, "--json", json.to_str().unwrap()], 1);
    assert!(text.contains("error[dead-gradient]: ") && text.contains("    remedy: "), "{text}");
    let text = std::fs::read_to_string(&json).unwrap();
    let read = Audit::from_json(&text, "audit.json").unwrap();
    assert!(!read.is_clean());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "nothing is left beside it");

    // Whoever reads audits in CI relies on these names.
    let audit: Value = serde_json::from_str(&text).unwrap();
    let pinned = [
        ("", "schema model logits ops unsupported findings gradient"),
        ("/model", "path sha256 input output shape classes inputs outputs options"),
        ("/model/inputs/0", "name type shape"),
        ("/logits", "tensor reason"),
        ("/ops/0", "op count status"),
        ("/findings/0", "code severity nodes message remedy"),
        ("/gradient", "samples directions worst_relative_error kinks zero"),
    ];
    for (at, names) in pinned {
        let found = audit.pointer(at).unwrap().as_object().unwrap();
        let mut found: Vec<&str> = found.keys().map(String::as_str).collect();
        let mut names: Vec<&str> = names.split(' ').collect();
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names, "{at}");
    }
    assert_eq!(audit["schema"], "ironbound/audit/1");
    assert_eq!(audit["logits"]["tensor"], "z");
    let sign = audit["ops"].as_array().unwrap().iter().find(|row| row["op"] == "Sign").unwrap();
    assert_eq!((&sign["count"], &sign["status"]), (&1.into(), &"zero".into()));
    let codes = audit["findings"].as_array().unwrap();
    let dead = codes.iter().find(|finding| finding["code"] == "dead-gradient").unwrap();
    assert_eq!((&dead["severity"], &dead["nodes"][0]), (&"error".into(), &"h_node".into()));

    let bright: Vec<f32> = (0..64 * 20).map(|i| (i % 256) as f32).collect();
    let data = folder.path().join("bright.npz");
    let x = NpzArray::new([20, 1, 8, 8], NpzValues::F32(&bright)).unwrap();
    write_npz(&data, &[("x", x), ("y", NpzValues::F32(&[0.0; 20]).into())]).unwrap();
    let text = stdout(&[MODEL, "--data", data.to_str().unwrap(), "--bounds", "0,1"], 1);
    assert!(text.contains("error[data-outside-bounds]: "), "{text}");
}

#[test]
fn what_cannot_be_audited_exits_as_evaluate_does() {
    let folder = tempfile::tempdir().unwrap();
    let text = file(folder.path(), "text.onnx", b"this is not a model\n");
    assert!(failure(&[&text], 3).starts_with(&text));
    let message = failure(&["no/such/model.onnx"], 2);
    assert!(message.starts_with("no/such/model.onnx: "), "{message}");
    let cases: &[(&[&str], &str)] = &[
        (&["--data", "no/such/data.npz"], "no/such/data.npz: "),
        (&["--input", "pixels"], "no input named `pixels`"),
        (&["--std", "0"], "`std` is 0"),
        (&["--keys", "images"], "`keys` is images"),
        (&["--layout", "nchv"], "unknown layout `nchv`"),
        (&["--bounds", "dark"], "`bounds` is dark"),
        (&["--samples", "0"], "`samples` is 0"),
        (&["--json", "no/such/folder/audit.json"], "no/such/folder/audit.json: "),
    ];
    for (args, part) in cases {
        let message = failure(&[&[MODEL], *args].concat(), 2);
        assert!(message.contains(part), "{args:?}: {message}");
    }
    for args in [&[][..], &["--colour"], &[MODEL, "--samples", "x"]] {
        assert_eq!(audit(args).status.code(), Some(2), "{args:?}");
    }
    let help = String::from_utf8(audit(&["--help"]).stdout).unwrap();
    for part in ["--data", "--json", "--mean", "--output", "Examples:", "Exit codes:"] {
        assert!(help.contains(part), "{part} is missing");
    }
}
