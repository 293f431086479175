//! What an attack does with the budget, and the norms that it works in.

use super::AnyAttack;
use crate::error::{Error, Result};
use crate::norm::Norm;

/// What an attack does with the budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// It looks for a success within the budget: one run per budget.
    #[default]
    FixedBudget,
    /// It looks for the smallest perturbation that succeeds, whatever the budget: its points are held by bounds and
    /// mask only, and one run is judged at every budget. A budget per feature judges the same points, which were sought
    /// in the plain norm.
    MinimalNorm,
    /// It [transforms](super::Transform) samples: norm and budget play no part. One run, a row and a worst case of its own.
    Transformation,
}

/// The norms of an attack that names none.
pub(super) const NORMS: &[Norm] = &[Norm::L1, Norm::L2, Norm::Linf];

/// The norms of an attack whose points no ball shapes: all.
pub(super) const ANY_NORM: &[Norm] = &[Norm::L0, Norm::L1, Norm::L2, Norm::Linf];

/// Checks that an attack works in a norm.
///
/// # Errors
/// [`Error::Parameter`].
pub(crate) fn expect_norm(attack: &dyn AnyAttack, norm: Norm) -> Result<()> {
    let norms = attack.norms();
    if norms.contains(&norm) {
        return Ok(());
    }
    let names: Vec<_> = norms.iter().map(ToString::to_string).collect();
    let expected = format!("{} works in {}", attack.id(), names.join(", "));
    Err(Error::parameter("norm", norm, expected))
}
