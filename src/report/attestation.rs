//! The record as a statement about the model file, for one's own tool to sign.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::gate::Gate;
use super::record::{Report, WorstCase};
use crate::data::{hex, json};
use crate::error::{Error, Result};
use crate::finding::Severity;

impl Report {
    /// An in-toto Statement v1 about the model file, with the predicate `test-result` v0.1: whether the gates hold, what was
    /// run on which data, and, in its extension field `ironbound`, the figures with their intervals. The same report
    /// and gates give the same bytes.
    ///
    /// The result is `FAILED` when a gate does not hold, otherwise `WARNED` when the report has a finding beyond
    /// [`Severity::Info`], otherwise `PASSED`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an interrupted run, without a gate, and for a classifier or data without a SHA-256.
    pub fn to_attestation(&self, gates: &[Gate]) -> Result<String> {
        let fault = |value: &str, expected| Err(Error::parameter("attestation", value, expected));
        if self.partial {
            return fault("of an interrupted run", "expected one that was finished");
        }
        if gates.is_empty() {
            return fault("without a gate", "expected at least one, such as --fail-under 80%");
        }
        for (what, sha256) in [("the model", &self.model.sha256), ("the data", &self.data.sha256)] {
            if sha256.is_empty() {
                return fault(what, "expected to know the SHA-256 of its file");
            }
        }
        let of = |failed: bool| {
            let of = gates.iter().filter(|gate| gate.failure.is_some() == failed);
            of.map(|gate| &*gate.name).collect::<Vec<_>>()
        };
        let (passed, failed) = (of(false), of(true));
        let mut warned: Vec<&str> = vec![];
        for warning in self.warnings.iter().filter(|warning| warning.severity > Severity::Info) {
            if !warned.contains(&&*warning.code) {
                warned.push(&warning.code);
            }
        }
        let result = match (&failed[..], &warned[..]) {
            ([_, ..], _) => "FAILED",
            (_, [_, ..]) => "WARNED",
            _ => "PASSED",
        };
        Ok(json::to_json(&json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": name(&self.model.path), "digest": { "sha256": self.model.sha256 } }],
            "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
            "predicate": {
                "result": result,
                "configuration": self.configuration(),
                "passedTests": passed,
                "warnedTests": warned,
                "failedTests": failed,
                "ironbound": self.figures(gates),
            },
        })))
    }

    /// The data, and the report, which has every setting.
    fn configuration(&self) -> Value {
        let mut hash = Sha256::new();
        hash.update(self.to_json());
        json!([
            {
                "name": name(&self.data.path),
                "digest": { "sha256": self.data.sha256 },
                "annotations": { "samples": self.data.samples, "offset": self.data.offset },
            },
            {
                "name": self.schema,
                "digest": { "sha256": hex(hash) },
                "mediaType": "application/json",
                "annotations": { "modelOptions": self.model.options, "seed": self.seed },
            },
        ])
    }

    fn figures(&self, gates: &[Gate]) -> Value {
        let gate = |gate: &Gate| json!({ "name": gate.name, "failure": gate.failure });
        let case = |(index, case): (usize, &WorstCase)| {
            let attacks = self.attacks.iter().filter(|row| row.case == index);
            json!({
                "norm": case.norm,
                "eps": case.eps,
                "transformation": case.transformation,
                "goal": case.goal,
                "threat": case.threat,
                "attacks": attacks
                    .map(|row| json!({ "id": row.id, "params": row.params }))
                    .collect::<Vec<_>>(),
                "robustAccuracy": case.robust_accuracy,
                "interval": case.interval,
            })
        };
        json!({
            "version": self.ironbound,
            "samples": self.data.samples,
            "clean": { "accuracy": self.clean.accuracy, "interval": self.clean.interval },
            "worstCase": self.worst_case.iter().enumerate().map(case).collect::<Vec<_>>(),
            "gates": gates.iter().map(gate).collect::<Vec<_>>(),
            "findings": self.warnings,
        })
    }
}

/// The last part of a path.
fn name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}
