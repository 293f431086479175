//! The record of an evaluation, and its renderings.

mod adversarial;
mod agreement;
mod assertion;
mod attestation;
mod build;
mod circumstances;
mod classes;
mod comparison;
mod confusion;
mod corruptions;
mod csv;
mod curves;
mod file;
mod gallery;
mod gate;
mod gate_spec;
mod groups;
mod html;
mod jsonl;
mod junit;
mod leaderboard;
mod markdown;
mod names;
mod parts;
mod perturbations;
mod record;
mod rows;
mod samples;
mod sarif;
mod table;
mod text;
mod transfers;
mod verification;

pub use adversarial::save_adversarial;
pub use agreement::Agreement;
pub use classes::{ClassDisparity, ClassRow};
pub use comparison::{COMPARISON_SCHEMA, Comparison, ComparisonRow};
pub use corruptions::{Baseline, CORRUPTIONS_SCHEMA, CorruptionReport, CorruptionRow};
pub use curves::{Curve, Quantiles};
pub use file::save_text;
pub use gallery::{Example, Gallery, Pictures, Series};
pub use gate::Gate;
pub use gate_spec::GateSpec;
pub use groups::{GroupDisparity, GroupRow, GroupTable};
pub use leaderboard::{Leaderboard, Standing};
pub use perturbations::{Perturbations, Similarity, SuccessQueries};
pub use record::{
    AttackRow, Broken, CleanRow, DataRecord, Distances, ModelRecord, Queries, Report, SCHEMA,
    WorstCase,
};
pub use samples::{Outcome, SampleRow};
pub(crate) use table::write_table;
pub(crate) use text::number;
pub use transfers::{TRANSFERS_SCHEMA, TransferCase, TransferCell, Transfers};
pub use verification::{PointFault, VERIFICATION_SCHEMA, Verification, VerificationRow};
