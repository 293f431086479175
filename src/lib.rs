//! Adversarial robustness testing for ONNX models.

pub mod attack;
mod cancel;
mod data;
mod error;
pub mod evaluate;
mod goal;
mod grad;
mod loss;
pub mod metrics;
mod model;
mod norm;
pub mod report;
mod rng;
mod threat;

pub use cancel::Cancel;
pub use data::{Dataset, Layout, NpzArray, NpzValues, write_npz};
pub use error::{Cause, Error, Result};
pub use evaluate::{Evaluation, Observer, Results};
pub use goal::{Aim, Goal, argmax};
pub use grad::{AuditOptions, GradientAudit, audit_gradient, gradient_rules};
pub use loss::{CrossEntropy, Loss, LossKind, Margin};
pub use model::{Classifier, LossGradient, Model, ModelInfo, ModelOptions, Preprocessing};
pub use norm::{Norm, Radius};
pub use report::Report;
pub use rng::{Stream, stream};
pub use threat::{Bounds, Budget, Region, StepSize, Threat, Violation};
pub use tract_onnx;
