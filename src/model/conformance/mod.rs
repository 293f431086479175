//! ONNX's own node tests (`tests/data/onnx_nodes.zip`) through the importer, the forward graph and the reverse walk.
//!
//! Every case ends as one [`run::Outcome`]; `excuses` declares by name what is neither passed nor tract's to refuse, and
//! the test fails for what is not declared and for what need not be. `docs/operators.md` is made from the outcomes.

mod cases;
mod document;
mod excuses;
mod function;
mod gradient;
mod run;
mod tests;
