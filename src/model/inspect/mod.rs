//! What a model file shows of its inside: its tensors, its operators, its activations, where its gradients end.

mod activity;
mod batching;
mod ends;
mod inspector;
mod interface;
mod operators;
mod unsteady;

pub use activity::{Activity, Entry, UnitKind, UnitUse};
pub use batching::Batching;
pub use ends::GradientEnd;
pub use inspector::Inspector;
pub use interface::{Interface, TensorInfo};
pub use operators::{NodeRef, OperatorUse};
pub(super) use unsteady::unsteady;
