//! Adversarial robustness testing for ONNX models.

mod error;
mod goal;
mod grad;
mod loss;
mod model;
mod norm;
mod rng;

pub use error::{Cause, Error, Result};
pub use goal::{Aim, Goal, argmax};
pub use loss::{CrossEntropy, Loss, LossKind, Margin};
pub use model::{Classifier, LossGradient, ModelInfo};
pub use norm::Norm;
pub use tract_onnx;
