//! Models: load an ONNX file, predict, differentiate.

mod classifier;
mod graph;
mod guard;
mod inspect;
mod job;
mod logits;
mod onnx;
mod options;
mod plan;
mod preprocess;
mod refuse;
mod runner;

pub(crate) use classifier::expect_len;
pub use classifier::{Batch, Classifier, LossGradient, ModelInfo};
pub use inspect::{
    Activity, Batching, Entry, GradientEnd, Interface, NodeRef, OperatorUse, TensorInfo, UnitKind,
    UnitUse,
};
pub use onnx::Model;
pub use options::{ModelOptions, Preprocessing};
