//! The record: schema `ironbound/audit/1`. `docs/audit.schema.md` describes it for readers of the file.

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Severity};
use crate::grad::GradientAudit;
use crate::model::{NodeRef, OperatorUse, TensorInfo};

/// The name and version of the record's format.
pub const SCHEMA: &str = "ironbound/audit/1";

/// What is known of a model without attacking it.
///
/// # Example
/// ```
/// # fn main() -> ironbound::Result<()> {
/// use ironbound::{Audit, Dataset, Model, Preflight};
///
/// let model = Model::load("examples/assets/digits_cnn.onnx")?;
/// let data = Dataset::from_npz("examples/assets/digits_test.npz")?;
/// let audit = Audit::new(&Preflight::new(&model, &data))?;
/// assert!(audit.is_clean() && audit.unsupported.is_empty());
/// print!("{}", audit.to_text());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// [`SCHEMA`].
    pub schema: String,
    /// The model.
    pub model: ModelRecord,
    /// The tensor that is attacked.
    pub logits: LogitsRecord,
    /// The operators between the attacked input and the logits, in alphabetical order.
    pub ops: Vec<OperatorUse>,
    /// The nodes among them without a gradient rule.
    pub unsupported: Vec<NodeRef>,
    /// What the reader must know.
    pub findings: Vec<Finding>,
    /// How gradients agree with differences; none where there are no gradients to audit.
    pub gradient: Option<GradientRecord>,
}

/// The model of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// The file.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// The attacked input.
    pub input: String,
    /// The output that holds the logits.
    pub output: String,
    /// The shape of one sample, without the batch axis.
    pub shape: Vec<usize>,
    /// How many classes it tells apart.
    pub classes: usize,
    /// The inputs that the file declares.
    pub inputs: Vec<TensorInfo>,
    /// The outputs that the file declares.
    pub outputs: Vec<TensorInfo>,
    /// The options that it was loaded with; null for a classifier of one's own.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub options: serde_json::Value,
}

/// The attacked tensor of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogitsRecord {
    /// Its name.
    pub tensor: String,
    /// Why it was chosen.
    pub reason: String,
}

/// The gradient audit of an audit; see [`audit_gradient`](crate::audit_gradient).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientRecord {
    /// The samples audited.
    pub samples: usize,
    /// The directions compared, over all samples.
    pub directions: usize,
    /// The largest relative error of a compared direction.
    pub worst_relative_error: f64,
    /// Samples with a kink, at or too near them.
    pub kinks: usize,
    /// Samples whose gradient is identically zero, and rightly so.
    pub zero: usize,
}

impl From<&GradientAudit> for GradientRecord {
    fn from(audit: &GradientAudit) -> Self {
        Self {
            samples: audit.samples,
            directions: audit.directions,
            worst_relative_error: audit.worst_relative_error,
            kinks: audit.kinks,
            zero: audit.zero,
        }
    }
}

impl Audit {
    /// Whether no finding is an [error](Severity::Error).
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Error)
    }
}
