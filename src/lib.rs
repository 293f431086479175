//! Adversarial robustness testing for ONNX models: the attacked file is the one that is shipped.
//!
//! Load a [`Model`] and a [`Dataset`], describe what the attacker may do by a [`Threat`], choose attacks from [`attack`],
//! run an [`Evaluation`] and read its [`Report`]. A [`Preflight`] looks first for what would make the numbers worthless:
//!
//! ```no_run
//! use ironbound::attack::Pgd;
//! use ironbound::{Dataset, Evaluation, Model, Norm, Report, Threat};
//!
//! # fn main() -> ironbound::Result<()> {
//! let model = Model::load("model.onnx")?;
//! let data = Dataset::from_npz("test.npz")?;
//! let threat = Threat::new(Norm::Linf, 8.0 / 255.0);
//! let results = Evaluation::new(&model, &data).threat(threat).attack(Pgd::default()).run()?;
//! print!("{}", Report::new(&results).to_text());
//! # Ok(())
//! # }
//! ```
//!
//! Gradients are exact: [`Model`] differentiates the graph by emitting another tract graph ([`gradient_rules`] lists the
//! operators, [`audit_gradient`] checks a model). Results are bit for bit the same for any batch size and thread count.

pub mod attack;
pub mod audit;
mod binomial;
mod cancel;
pub mod corruption;
mod data;
mod error;
pub mod evaluate;
mod exp;
pub mod explain;
mod finding;
mod folds;
mod goal;
mod grad;
mod grid;
mod loss;
mod lowering;
pub mod metrics;
mod model;
mod norm;
pub mod objective;
mod parameters;
pub mod picture;
mod pool;
pub mod preflight;
pub mod profile;
mod progress;
pub mod report;
mod rng;
mod simd;
mod ssim;
pub mod suite;
mod text;
mod threat;
pub mod vicinity;

pub use audit::Audit;
pub use cancel::Cancel;
pub use data::{
    AdversarialPoints, DataKind, DataOptions, Dataset, Grouping, Layout, NpzArray, NpzValues,
    StreamedDataset, write_npz,
};
pub use error::{Cause, Error, Result};
pub use evaluate::{
    CorruptionResults, Corruptions, Evaluation, Observer, Results, Shard, Stopping, merge,
};
pub use explain::{Explain, Explanations};
pub use finding::{Finding, Severity};
pub use goal::{Aim, Goal, argmax, confidence};
pub use grad::{AuditOptions, GradientAudit, GradientStatus, audit_gradient, gradient_rules};
pub use loss::{CrossEntropy, Dlr, DlrTargeted, Kl, Logit, Loss, LossKind, Margin};
pub use model::{
    Activity, Batch, Batching, Bound, Classifier, Entry, Given, GradientEnd, Inspector, Interface,
    LossGradient, Model, ModelInfo, ModelOptions, NodeRef, OperatorUse, Preprocessing, SampleArray,
    SampleArrays, TensorInfo, UnitKind, UnitUse,
};
pub use norm::{Norm, Radius};
pub use objective::{Objective, ObjectiveKind, ObjectiveModel};
pub use preflight::Preflight;
pub use report::Report;
pub use rng::{Stream, stream};
pub use threat::{
    Bounds, Budget, Domain, Levels, Monotone, Region, Spacing, StepSize, Threat, Violation,
};
pub use tract_onnx;
pub use vicinity::Vicinity;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
