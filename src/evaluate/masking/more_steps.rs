//! More steps of the same attack that break fewer samples.

use serde_json::Value;

use super::bar::{beats, surely};
use crate::evaluate::results::{Fate, Row};
use crate::finding::Finding;

/// The parameters that more steps may come with.
const OF_STEPS: [&str; 3] = ["rel_step", "step", "steps"];

pub(super) fn check(rows: &[Row]) -> Vec<Finding> {
    let mut all = vec![];
    for (few, many) in rows.iter().flat_map(|few| rows.iter().map(move |many| (few, many))) {
        let (Some(fewer), Some(more)) = (steps(few), steps(many)) else { continue };
        let samples = few.attempts.len();
        let wins = beats(few.broken(), many.broken(), samples) && surely(few, many);
        if fewer < more && are_alike(few, many) && wins {
            let message = format!(
                "{} with {fewer} steps broke {} of {samples} samples within {} {}, with {more} steps only {}: the loss \
                 may be too rough for its gradients to lead anywhere",
                few.attack,
                few.broken(),
                few.threat.norm,
                few.threat.budget.largest(),
                many.broken()
            );
            let remedy = "see whether the smaller steps get far enough; then attack it with another loss, with averages \
                          of a random model's gradients (eot), and without gradients (square)";
            all.push(Finding::warning("more-steps-do-worse", message).remedy(remedy));
        }
    }
    all
}

fn steps(row: &Row) -> Option<u64> {
    let finished = row.attempts.iter().all(|attempt| attempt.fate != Fate::Unreached);
    row.params.get("steps").and_then(Value::as_u64).filter(|_| finished)
}

fn are_alike(a: &Row, b: &Row) -> bool {
    let rest = |row: &Row| -> Option<Vec<(String, Value)>> {
        let params = row.params.as_object()?.iter();
        let rest = params.filter(|(name, _)| !OF_STEPS.contains(&&name[..]));
        Some(rest.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    a.attack == b.attack && a.threat == b.threat && rest(a) == rest(b)
}
