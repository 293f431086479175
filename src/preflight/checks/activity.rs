//! Units that are saturated or dead on these samples.

use crate::error::Result;
use crate::finding::{Finding, Severity};
use crate::model::{UnitKind, UnitUse};
use crate::preflight::subject::Subject;

/// Below so many samples, a unit that never fires is nothing unusual.
const ENOUGH: usize = 16;
/// The share of a layer's units from which on it is worth a word, and a warning.
const NOTABLE: f64 = 0.75;
const ALARMING: f64 = 0.95;

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let samples = subject.inspected().len();
    if samples < ENOUGH || subject.setting.drawn {
        return Ok(vec![]);
    }
    let Some(activity) = subject.activity()? else { return Ok(vec![]) };
    let (rectifiers, others): (Vec<&UnitUse>, Vec<&UnitUse>) =
        activity.units.iter().partition(|layer| layer.kind == UnitKind::Relu);
    let dead = finding(
        &rectifiers,
        "dead-units",
        &format!("units of rectifiers are 0 on all {samples} samples"),
    );
    let saturated = finding(
        &others,
        "saturated-units",
        "outputs of sigmoids and tanhs are within 0.001 of their ends",
    );
    Ok(dead.into_iter().chain(saturated).collect())
}

/// Names the layers whose share is notable, the worst first.
fn finding(layers: &[&UnitUse], code: &str, what: &str) -> Option<Finding> {
    let mut notable: Vec<&UnitUse> =
        layers.iter().copied().filter(|layer| layer.idle >= NOTABLE).collect();
    notable.sort_by(|a, b| b.idle.total_cmp(&a.idle));
    let worst = notable.first()?;
    let severity = if worst.idle >= ALARMING { Severity::Warning } else { Severity::Info };
    let message = format!(
        "{what}: {:.1} % of the {} units of `{}`, more than {:.0} % in {} of {} such layers; no gradient to speak of \
         passes there",
        100.0 * worst.idle,
        worst.units,
        worst.node.node,
        100.0 * NOTABLE,
        notable.len(),
        layers.len()
    );
    let remedy = "check the scale of the data; attack the model without gradients as well";
    let nodes = notable.iter().map(|layer| layer.node.node.clone());
    Some(Finding::new(severity, code, message).at(nodes).remedy(remedy))
}
