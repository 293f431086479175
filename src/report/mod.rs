//! The record of an evaluation, and its renderings.

mod adversarial;
mod build;
mod corruptions;
mod file;
mod record;
mod text;

pub use adversarial::save_adversarial;
pub use corruptions::{Baseline, CORRUPTIONS_SCHEMA, CorruptionReport, CorruptionRow};
pub use record::{
    AttackRow, CleanRow, DataRecord, Distances, ModelRecord, Queries, Report, SCHEMA, WorstCase,
};
