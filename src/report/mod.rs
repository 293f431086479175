//! The record of an evaluation, and its renderings.

mod adversarial;
mod build;
mod classes;
mod comparison;
mod corruptions;
mod curves;
mod file;
mod record;
mod table;
mod text;

pub use adversarial::save_adversarial;
pub use classes::{ClassDisparity, ClassRow};
pub use comparison::{COMPARISON_SCHEMA, Comparison, ComparisonRow};
pub use corruptions::{Baseline, CORRUPTIONS_SCHEMA, CorruptionReport, CorruptionRow};
pub use curves::{Curve, Quantiles};
pub use record::{
    AttackRow, Broken, CleanRow, DataRecord, Distances, ModelRecord, Queries, Report, SCHEMA,
    WorstCase,
};
