//! Adversarial robustness testing for ONNX models.

pub mod attack;
mod cancel;
mod error;
mod goal;
mod grad;
mod loss;
mod model;
mod norm;
mod rng;
mod threat;

pub use cancel::Cancel;
pub use error::{Cause, Error, Result};
pub use goal::{Aim, Goal, argmax};
pub use grad::{AuditOptions, GradientAudit, audit_gradient};
pub use loss::{CrossEntropy, Loss, LossKind, Margin};
pub use model::{Classifier, LossGradient, Model, ModelInfo, ModelOptions, Preprocessing};
pub use norm::{Norm, Radius};
pub use rng::{Stream, stream};
pub use threat::{Bounds, Budget, Region, StepSize, Threat, Violation};
pub use tract_onnx;
