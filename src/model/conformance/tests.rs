//! The tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::document::{document, limit_of};
use super::excuses::{GRADIENTS, LIMITS};
use super::run::{Outcome, run, scores};
use super::{cases, gradient};
use crate::grad::coverage;
use crate::model::ModelOptions;
use crate::model::graph::Graph;

#[test]
fn every_case_passes_or_is_excused() {
    let (mut problems, mut used, mut outcomes) = (vec![], BTreeSet::new(), vec![]);
    let cases = cases::all();
    let ran: Vec<_> = cases.par_iter().map(run).collect();
    for (case, (outcome, loaded)) in cases.iter().zip(ran) {
        if let Some(loaded) = loaded {
            let forgotten = coverage::forgotten(&loaded.model);
            problems.extend(forgotten.into_iter().map(|op| format!("{}: {op}", case.name)));
        }
        let excused = match &outcome {
            Outcome::NotLoaded(_) | Outcome::Refused(_) | Outcome::ForwardOnly => true,
            Outcome::WrongResult(_) => false,
            Outcome::NoRule(ops) => ops.iter().all(|op| coverage::declared(op).is_some()),
            Outcome::WrongGradient(_) => {
                GRADIENTS.iter().any(|(name, _)| *name == case.name && used.insert(*name))
            }
            Outcome::Passed { components, limits } => {
                let parts = LIMITS.iter().map(|(part, _)| *part);
                used.extend(parts.filter(|part| limits.iter().any(|limit| limit.contains(part))));
                (*components > 0 || !limits.is_empty())
                    && limits.iter().all(|limit| limit_of(limit).is_some())
            }
        };
        if !excused {
            problems.push(format!("{}: {outcome:?}", case.name));
        }
        outcomes.push((case.operator(), case.name.clone(), outcome));
    }
    for entry in GRADIENTS.iter().chain(LIMITS).map(|(entry, _)| *entry) {
        if !used.contains(entry) {
            problems.push(format!("the excuse `{entry}` is no longer needed: strike it"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    keep(&document(&outcomes));
}

/// Compares a made file to the kept one, or keeps it.
fn keep(made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators.md");
    if std::env::var_os("IRONBOUND_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "docs/operators.md is not what the tests make; see the difference after IRONBOUND_BLESS=1 cargo test --lib \
         conformance\nfirst: {differs:?}"
    );
}

#[test]
fn the_reference_models_have_no_forgotten_operator() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/models");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        use std::io::Write;
        // Past the test harness, which would swallow a print.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} is not there", folder.display());
        return;
    };
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let (mut checked, mut problems) = (0, vec![]);
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "onnx")) {
        let name = path.file_name().unwrap().to_string_lossy();
        let bytes = std::fs::read(path).unwrap();
        let options = ModelOptions::default();
        let graph = Graph::parse(&bytes, &name, path.parent(), &options);
        // Models that need options, or that are refused, are others' tests.
        let Ok((model, _)) = graph.and_then(|graph| graph.forward(1)) else { continue };
        checked += 1;
        problems.extend(coverage::forgotten(&model).into_iter().map(|op| format!("{name}: {op}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked > 20, "only {checked} models were checked");
}

#[test]
fn wrong_results_and_gradients_are_seen() {
    let names = ["test_sigmoid", "test_gelu_default_2", "test_layer_normalization_2d_axis1"];
    for mut case in cases::all().into_iter().filter(|case| names.contains(&case.name.as_str())) {
        let (outcome, loaded) = run(&case);
        assert!(matches!(outcome, Outcome::Passed { .. }), "{}: {outcome:?}", case.name);
        let loaded = loaded.unwrap();
        let scores = scores(&loaded.model);
        let mut found = gradient::emitted(&loaded, 0, &scores).unwrap().unwrap();
        let tally = gradient::compare(&loaded, 0, &scores, &found).unwrap();
        assert_eq!(tally.checked, tally.tried, "{}", case.name);
        let largest = found.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
        found.iter_mut().for_each(|g| *g += 0.02 * largest);
        assert!(gradient::compare(&loaded, 0, &scores, &found).is_err(), "{}", case.name);

        let output = case.graph().output[0].name.clone();
        let tensor = case.tensors.as_mut().unwrap().get_mut(&output).unwrap();
        tensor.to_plain_array_view_mut::<f32>().unwrap().iter_mut().for_each(|y| *y += 0.01);
        assert!(matches!(run(&case).0, Outcome::WrongResult(_)), "{}", case.name);
    }
}
