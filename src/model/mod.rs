//! Models: load an ONNX file, predict, differentiate.

mod classifier;

pub use classifier::{Classifier, LossGradient, ModelInfo};
