//! The preflight: every finding on something that deserves it, and on something that does not.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod audits;
#[path = "../common/mod.rs"]
mod common;
mod data;
mod evaluation;
mod gradients;
mod graphs;
mod reference;
mod toy;

use ironbound::{Classifier, Dataset, Finding, Preflight, Severity};

/// The findings on `data`, by code.
fn findings(model: &dyn Classifier, data: &Dataset) -> Vec<Finding> {
    Preflight::new(model, data).run().unwrap()
}

fn find<'a>(found: &'a [Finding], code: &str) -> Option<&'a Finding> {
    found.iter().find(|finding| finding.code == code)
}

#[track_caller]
fn expect<'a>(found: &'a [Finding], code: &str, severity: Severity, words: &str) -> &'a Finding {
    let finding = find(found, code).unwrap_or_else(|| panic!("no {code} among {found:?}"));
    assert_eq!(finding.severity, severity, "{finding}");
    assert!(finding.message.contains(words), "{finding}");
    finding
}

#[track_caller]
fn expect_none(found: &[Finding], code: &str) {
    assert_eq!(find(found, code), None);
}

fn dataset(shape: &[usize], values: &[f32], labels: &[usize]) -> Dataset {
    let shape: Vec<usize> = std::iter::once(labels.len()).chain(shape.iter().copied()).collect();
    let view = ndarray::ArrayViewD::from_shape(shape, values).unwrap();
    Dataset::from_arrays(view, labels).unwrap()
}

/// Generic samples in [0, 1], labelled in turn.
fn generic(shape: &[usize], samples: usize, classes: usize) -> Dataset {
    let features: usize = shape.iter().product();
    let labels: Vec<usize> = (0..samples).map(|sample| sample % classes).collect();
    dataset(shape, &common::values(samples * features), &labels)
}
