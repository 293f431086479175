//! Exact gradients: a tract graph in, a tract graph that also computes d loss / d input out.
//!
//! [`walk`] goes backwards once over the decluttered forward graph and emits tract ops; [`rules`] holds one
//! rule per operator of tract's typed op set; [`ops`] the few operators that tract lacks. [`straight_through`] says where
//! rounding is passed as if it were the identity, [`mod@cuts`] where it makes a gradient zero. [`check`] audits the
//! gradients of any classifier.

mod body;
mod check;
#[cfg(test)]
pub(crate) mod coverage;
mod cuts;
mod difference;
mod ops;
mod rules;
mod status;
mod straight_through;
mod tape;
#[cfg(test)]
pub(crate) mod testing;
mod walk;

pub use check::{AuditOptions, GradientAudit, audit_gradient};
pub(crate) use cuts::{cuts, passed};
pub(crate) use ops::{LossHead, Objective};
pub use status::GradientStatus;
pub(crate) use status::statuses;
pub(crate) use straight_through::{Origin, StraightThrough};
pub(crate) use walk::{backward, cotangents, unsupported};

/// The operators of tract's decluttered graphs that have a gradient rule, in alphabetical order, and whether the
/// derivative is zero by definition (piecewise constant functions, integer and boolean results).
pub fn gradient_rules() -> impl Iterator<Item = (&'static str, bool)> {
    rules::names()
}
