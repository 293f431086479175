//! What is worth knowing of a model and its data before anything is attacked.
//!
//! [`Preflight`] runs a table of small checks on a few samples. Each gives [`Finding`](crate::Finding)s with a stable
//! code, how much it matters, the nodes at fault, and what to do; `docs/report.schema.md` lists the codes. The evaluator
//! runs it before the attacks, whose results do not depend on it.

mod alternatives;
mod builder;
mod checks;
mod rehearse;
mod subject;

pub use builder::Preflight;
pub(crate) use builder::check_failed;
pub(crate) use checks::NON_FINITE_REMEDY;
pub(crate) use rehearse::rehearse;
pub(crate) use subject::{Subject, spaced};
