//! Every command of the README runs.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::path::Path;
use std::process::Command;

use common::example;

const README: &str = include_str!("../README.md");
const ASSETS: &str = "examples/assets";

/// The lines of the README's shell blocks.
fn commands() -> Vec<&'static str> {
    let blocks = README.split("```sh\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap().lines()).collect()
}

/// The words of a command line, of which some are in double quotes.
fn words(args: &str) -> Vec<&str> {
    let parts = args.split('"').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().collect::<Vec<_>>(),
        _ => vec![part],
    });
    words.collect()
}

#[test]
fn every_command_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(ASSETS)).unwrap();
    for entry in std::fs::read_dir(root.join(ASSETS)).unwrap() {
        let entry = entry.unwrap();
        let copy = folder.path().join(ASSETS).join(entry.file_name());
        std::fs::copy(entry.path(), copy).unwrap();
    }
    let mut ran = 0;
    for command in commands() {
        // This test is part of the one command that is not an example.
        let Some(rest) = command.strip_prefix("cargo run --release --example ") else {
            assert_eq!(command, "cargo test");
            continue;
        };
        let (name, args) = rest.split_once(" -- ").unwrap_or((rest, ""));
        let output = Command::new(example::binary(name))
            .args(words(args))
            .current_dir(folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
        ran += 1;
    }
    assert!(ran >= 8, "the README's shell blocks were not found");
    assert!(folder.path().join("report.json").exists(), "the gate writes its report");
}

#[test]
fn the_suite_is_shown_as_it_is() {
    let (_, block) = README.split_once("```toml\nlimit").unwrap();
    let shown = format!("limit{}", block.split("```").next().unwrap());
    let file = include_str!("../examples/assets/digits_suite.toml");
    let lines: Vec<_> = file.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(shown.lines().collect::<Vec<_>>(), lines);
}

/// The pattern for tests is one of ours, that for benchmarks compiles.
#[test]
fn the_patterns_are_files_of_this_project() {
    for file in [include_str!("robustness.rs"), include_str!("../benches/robustness.rs")] {
        let (_, body) = file.split_once("\n\n").unwrap();
        assert!(README.contains(body), "{body}");
    }
}

#[test]
fn the_gate_of_this_project_runs_the_same_commands() {
    let gate = include_str!("../.ci/run");
    assert!(gate.contains("cargo test") && gate.contains("--example evaluate"));
}
