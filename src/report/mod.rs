//! The record of an evaluation, and its renderings.

mod adversarial;
mod build;
mod comparison;
mod corruptions;
mod file;
mod record;
mod table;
mod text;

pub use adversarial::save_adversarial;
pub use comparison::{COMPARISON_SCHEMA, Comparison, ComparisonRow};
pub use corruptions::{Baseline, CORRUPTIONS_SCHEMA, CorruptionReport, CorruptionRow};
pub use record::{
    AttackRow, CleanRow, DataRecord, Distances, ModelRecord, Queries, Report, SCHEMA, WorstCase,
};
