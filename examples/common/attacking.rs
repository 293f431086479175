//! Attacks and threats that several examples read alike.

use ironbound::attack::{AnyAttack, AttackSpec};
use ironbound::{Bounds, Budget, Norm, Result, Threat};

/// Reads `name:parameter=value,...`, once per attack.
pub(crate) fn attacks(texts: &[String]) -> Result<Vec<AttackSpec>> {
    let parse = |text: &String| {
        let attack: AttackSpec = text.parse()?;
        attack.validate().map(|()| attack)
    };
    texts.iter().map(parse).collect()
}

/// An untargeted threat with a budget such as 8/255.
pub(crate) fn threat(norm: &str, eps: &str, bounds: &Bounds) -> Result<Threat> {
    let (norm, budget): (Norm, Budget) = (norm.parse()?, eps.parse()?);
    Ok(Threat { budget, ..Threat::new(norm, 0.0).with_bounds(bounds.clone()) })
}
