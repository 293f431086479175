//! The audit as a record.

use std::sync::Arc;

use ironbound::audit::SCHEMA;
use ironbound::{
    Aim, Audit, Batch, Classifier, Dataset, Loss, LossGradient, Model, ModelInfo, ModelOptions,
    Preflight, Preprocessing, Result, Severity,
};

use crate::common::fixture::Fixture;
use crate::{expect, expect_none, generic};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/");

#[test]
fn the_digits_are_clean() {
    let model = Model::load(format!("{FOLDER}digits_cnn.onnx")).unwrap();
    let data = Dataset::from_npz(format!("{FOLDER}digits_test.npz")).unwrap();
    let audit = Audit::new(&Preflight::new(&model, &data)).unwrap();
    assert!(audit.is_clean() && audit.findings.is_empty(), "{audit:?}");
    let gradient = audit.gradient.unwrap();
    assert!(
        gradient.samples == 16 && gradient.directions > 32 && gradient.worst_relative_error < 0.3
    );
    assert_eq!((&audit.schema[..], &audit.logits.tensor[..]), (SCHEMA, "logits"));
    assert!(audit.ops.iter().any(|row| row.op == "Conv" && row.count == 2));
    assert_eq!(Audit::from_json(&audit.to_json(), "audit").unwrap(), audit);
    let again = Audit::new(&Preflight::new(&model, &data)).unwrap();
    assert_eq!(again.to_json(), audit.to_json());
    let next = audit.to_json().replace("audit/1", "audit/2");
    let error = Audit::from_json(&next, "next.json").unwrap_err().to_string();
    assert!(error.contains("the schema is `ironbound/audit/2`"), "{error}");
}

/// A model with a gradient that is off by a factor.
#[derive(Debug)]
struct Wrong(Model, f32);

impl Classifier for Wrong {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        Classifier::logits(&self.0, batch, logits)
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        Classifier::loss_and_gradient(&self.0, batch, aims, loss, out)?;
        out.gradient.iter_mut().for_each(|g| *g *= self.1);
        Ok(())
    }
}

#[test]
fn a_wrong_gradient_is_an_error() {
    let model = || {
        let fixture = Fixture::linear("N", &[0.5, -1.0, 2.0, 0.25, -0.75, 1.5], "Tanh");
        Model::from_bytes(&fixture.bytes(), "fixture").unwrap()
    };
    let data = generic(&[3], 20, 2);
    let audit = |factor| Audit::new(&Preflight::new(&Wrong(model(), factor), &data)).unwrap();
    let wrong = audit(1.2);
    expect(&wrong.findings, "wrong-gradient", Severity::Error, "relative error");
    assert!(!wrong.is_clean() && wrong.ops.is_empty());
    expect_none(&audit(1.0).findings, "wrong-gradient");
}

#[test]
fn nodes_without_a_rule_are_listed() {
    // Its gradient is one that no rule is known for; the forward pass runs.
    let fixture = Fixture::default()
        .input("x", &["N", "3"])
        .floats("ratio", &[], &[0.5])
        .flag("training", true)
        .node("Dropout", &["x", "ratio", "training"], "y", &[])
        .output("y", &["N", "3"]);
    let model = Model::from_bytes(&fixture.bytes(), "fixture").unwrap();
    let audit = Audit::new(&Preflight::without_data(&model)).unwrap();
    let unsupported: Vec<_> =
        audit.unsupported.iter().map(|node| (&node.node[..], &node.op[..])).collect();
    assert_eq!(unsupported, [("y_node", "Dropout")]);
    expect(&audit.findings, "dropout-training", Severity::Error, "training");
    expect(&audit.findings, "no-data", Severity::Info, "between 0 and 1");
    assert!(audit.gradient.is_none() && !audit.is_clean());
    let text = audit.to_text();
    assert!(
        text.contains("no gradient rule: `y_node` (Dropout)") && text.contains("not audited"),
        "{text}"
    );
}

#[test]
fn samples_are_drawn_in_front_of_the_preprocessing() {
    let fixture = Fixture::linear("N", &[0.5, -1.0, 2.0, 0.25, -0.75, 1.5], "Identity");
    let preprocessing = Preprocessing { scale: 1.0 / 255.0, ..Preprocessing::default() };
    let options = ModelOptions { preprocessing, ..ModelOptions::default() };
    let model = Model::from_bytes_with(&fixture.bytes(), "fixture", &options).unwrap();
    let audit = Audit::new(&Preflight::without_data(&model)).unwrap();
    expect(&audit.findings, "no-data", Severity::Info, "between 0 and 255");
    assert!(audit.is_clean() && audit.gradient.is_some_and(|gradient| gradient.samples == 16));
}
