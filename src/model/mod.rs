//! Models: load an ONNX file, predict, differentiate.

mod bound;
mod choose;
mod classifier;
#[cfg(test)]
mod conformance;
mod faults;
mod given;
mod graph;
mod guard;
mod inner;
mod inspect;
mod job;
mod logits;
mod loops;
mod notes;
mod onnx;
mod options;
mod parsed;
mod plan;
mod precise;
mod preprocess;
mod refuse;
mod requantise;
mod runner;
mod scores;
mod source;
mod straight_through;
mod subgraph;

pub use bound::Bound;
pub(crate) use classifier::expect_len;
pub use classifier::{Batch, Classifier, LossGradient, ModelInfo};
pub use given::{Given, SampleArray, SampleArrays};
pub use inspect::{
    Activity, Batching, Entry, GradientEnd, Inspector, Interface, NodeRef, OperatorUse, TensorInfo,
    UnitKind, UnitUse,
};
pub use onnx::Model;
pub use options::{ModelOptions, Preprocessing};
