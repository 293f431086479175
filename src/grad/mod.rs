//! Exact gradients: a tract graph in, a tract graph that also computes d loss / d input out.
//!
//! [`walk`] goes backwards once over the decluttered forward graph and emits tract ops; [`rules`] holds one
//! rule per operator of tract's typed op set; [`ops`] the few operators that tract lacks. [`check`] audits the
//! gradients of any classifier.

mod body;
mod check;
mod difference;
mod ops;
mod rules;
mod tape;
#[cfg(test)]
mod testing;
mod walk;

pub use check::{AuditOptions, GradientAudit, audit_gradient};
pub(crate) use ops::{LossHead, Objective};
pub(crate) use walk::{backward, unsupported};

/// The operators of tract's decluttered graphs that have a gradient rule, in alphabetical order, and whether the
/// derivative is zero by definition (piecewise constant functions, integer and boolean results).
pub fn gradient_rules() -> impl Iterator<Item = (&'static str, bool)> {
    rules::names()
}
