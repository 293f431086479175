//! Models: load an ONNX file, predict, differentiate.

mod classifier;
mod graph;
mod guard;
mod job;
mod logits;
mod loops;
mod onnx;
mod options;
mod plan;
mod preprocess;
mod refuse;
mod runner;

pub(crate) use classifier::expect_len;
pub use classifier::{Classifier, LossGradient, ModelInfo};
pub use onnx::Model;
pub use options::{ModelOptions, Preprocessing};
