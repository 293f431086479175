//! The evaluation: attacks propose, the judge disposes.
//!
//! [`Evaluation`] runs a clean pass, then every attack under every threat, and hands back [`Results`]: what became of
//! each sample, re-verified by a forward pass of its own. Results have the same bits for any batch size, number of
//! threads, and for a sample's place in a shard, as long as the model's answer does not depend on the batch.

mod aims;
mod blocks;
mod builder;
mod checkpoint;
mod clean;
mod corruptions;
mod curve;
mod events;
mod extent;
mod judge;
mod masking;
mod part;
mod plan;
mod points;
mod results;
mod run;
mod scheduler;
mod shard;
mod source;
mod stopping;
mod turns;
mod validate;
mod verify;
mod warnings;

pub use builder::Evaluation;
pub use checkpoint::merge;
pub use corruptions::{CorruptionResults, Corruptions};
pub use events::{Observer, Plan, RowDone, Silent, UnitDone};
pub use results::{Adversarial, Attempt, Clean, DataInfo, Fate, Passes, Results, Row};
pub use shard::Shard;
pub use stopping::{Stopped, Stopping};
pub use verify::Verdict;
pub(crate) use verify::{Claim, verify};
