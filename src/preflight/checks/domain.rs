//! Features that a threat's budget cannot take to any other value that they can have.

use crate::error::Result;
use crate::finding::Finding;
use crate::preflight::subject::Subject;
use crate::threat::{Budget, Domain, Threat};

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let finding = |threat: &Threat| {
        let (levels, groups) = stuck(threat, subject.model.features());
        let (norm, eps) = (threat.norm, threat.budget.largest());
        (levels + groups > 0).then(|| {
            let message = format!(
                "within {norm} {eps}, {levels} features with levels and {groups} one-hot groups cannot change: a step or \
                 a switch is a larger perturbation"
            );
            let remedy = "raise the budget, or leave them out by the mask if they shall not change";
            Finding::warning("domain-out-of-reach", message).remedy(remedy)
        })
    };
    Ok(subject.setting.threats.iter().filter_map(finding).collect())
}

/// How many features with levels, and how many groups, may change but cannot.
fn stuck(threat: &Threat, features: usize) -> (usize, usize) {
    let Domain { one_hot, .. } = &threat.domain;
    let is_free = |feature: usize| threat.mask.as_ref().is_none_or(|mask| mask[feature]);
    // The levels are rounded, so that the smallest step may be a bit smaller than the spacing.
    let within = |size: f64, feature: usize| {
        let eps = match &threat.budget {
            Budget::PerFeature(all) => all[feature],
            budget => budget.largest(),
        };
        size <= eps * (1.0 + 1e-6)
    };
    let step = |feature: usize| {
        let spacing = threat.domain.spacing_at(feature)?;
        Some(threat.norm.size(&[0.0], &[spacing.step() as f32]))
    };
    let is_stuck = |feature: &usize| {
        is_free(*feature) && step(*feature).is_some_and(|step| !within(step, *feature))
    };
    let levels =
        if threat.domain.grid.is_some() { (0..features).filter(is_stuck).count() } else { 0 };
    let switch = threat.norm.size(&[0.0, 1.0], &[1.0, 0.0]);
    let switches =
        |group: &&Vec<usize>| group.iter().filter(|&&feature| within(switch, feature)).count() >= 2;
    let free = one_hot.iter().filter(|group| group.iter().all(|&feature| is_free(feature)));
    let groups = free.filter(|group| !switches(group)).count();
    (levels, groups)
}
