//! The record of an evaluation, and its renderings.

mod adversarial;
mod build;
mod file;
mod record;
mod text;

pub use adversarial::save_adversarial;
pub use record::{
    AttackRow, CleanRow, DataRecord, Distances, ModelRecord, Queries, Report, SCHEMA, WorstCase,
};
