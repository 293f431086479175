//! The record of what is known of a model without attacking it, and its renderings.

mod build;
mod file;
mod record;
mod text;

pub use record::{Audit, GradientRecord, LogitsRecord, ModelRecord, SCHEMA};
