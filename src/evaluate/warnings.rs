//! What the reader of the numbers must know.

use super::masking::SIGNS;
use super::results::{Attempt, Clean, Fate, Row};
use crate::finding::Finding;
use crate::goal::Goal;
use crate::preflight::NON_FINITE_REMEDY;

/// What is known of the model and the data, then the warnings of the run, in a fixed order.
pub(super) fn collect(
    known: Vec<Finding>,
    clean: &[Clean],
    rows: &[Row],
    partial: bool,
) -> Vec<Finding> {
    let mut all = known;
    if partial {
        let message = "the run was interrupted: shares are of the samples that were finished, and samples that \
                       were not are listed as unreached";
        all.push(Finding::warning("interrupted", message));
    }
    all.extend(non_finite(clean));
    all.extend(target_is_label(rows));
    for series in rows.chunk_by(|a, b| {
        (&a.attack, &a.params, a.threat.norm) == (&b.attack, &b.params, b.threat.norm)
    }) {
        all.extend(errors(series));
        all.extend(rejected(series));
        all.extend(zero_gradients(series));
    }
    all.extend(SIGNS.iter().flat_map(|sign| sign(rows)));
    all
}

fn non_finite(clean: &[Clean]) -> Option<Finding> {
    let errors: Vec<_> = clean.iter().filter_map(|clean| clean.error.as_deref()).collect();
    let first = errors.first()?;
    let message = format!(
        "{} without an attack: neither robust nor broken, but counted among all samples; the first: {first}",
        samples(errors.len(), "has", "have", "non-finite logits")
    );
    Some(Finding::error("non-finite", message).remedy(NON_FINITE_REMEDY))
}

fn target_is_label(rows: &[Row]) -> Vec<Finding> {
    let mut seen: Vec<&Goal> = vec![];
    let mut all = vec![];
    for row in rows {
        let goal = &row.threat.goal;
        if seen.contains(&goal) {
            continue;
        }
        seen.push(goal);
        let is_label = |attempt: &&Attempt| attempt.fate == Fate::Robust && !attempt.attacked;
        let count = row.attempts.iter().filter(is_label).count();
        if count > 0 {
            let message = format!(
                "{}: not attacked, and counted as robust",
                samples(count, "has", "have", "the target class as label")
            );
            all.push(Finding::warning("target-is-label", message));
        }
    }
    all
}

fn errors(series: &[Row]) -> Option<Finding> {
    let failed: Vec<_> = attempts(series).filter(|a| a.fate == Fate::Failed).collect();
    let first = failed.first()?.error.as_deref().unwrap_or_default();
    let message = format!(
        "{}: the attack ended in an error on {}, neither robust nor broken but counted among all samples; the \
         first: {first}",
        name(series),
        of_all(failed.len(), attacked(series))
    );
    Some(Finding::warning("attack-error", message))
}

fn rejected(series: &[Row]) -> Option<Finding> {
    let run = run_attempts(series);
    let count = run.iter().filter(|a| a.rejected).count();
    let message = format!(
        "{}: {} claimed a success that did not hold when it was verified alone, and is not counted",
        name(series),
        of_all(count, run.iter().filter(|a| a.attacked).count())
    );
    (count > 0).then(|| Finding::warning("rejected", message))
}

fn zero_gradients(series: &[Row]) -> Option<Finding> {
    let run = run_attempts(series);
    let zero: u64 = run.iter().map(|a| a.zero_gradients).sum();
    let steps: u64 = run.iter().map(|a| a.backward).sum();
    let message = format!(
        "{}: the gradient was identically zero at {zero} of {steps} steps ({:.1} %): the model may look more robust \
         to this attack than it is",
        name(series),
        100.0 * zero as f64 / steps.max(1) as f64
    );
    let remedy = "attack it with the margin loss, and without gradients as well";
    (zero > 0).then(|| Finding::warning("zero-gradient", message).remedy(remedy))
}

/// The attempts of a series, those that rows share once.
fn run_attempts(series: &[Row]) -> Vec<&Attempt> {
    let again = |at: usize, row: &Row| {
        row.shared
            && series[..at].iter().any(|earlier| earlier.threat.differs_in_budget_only(&row.threat))
    };
    let rows = series.iter().enumerate().filter(|(at, row)| !again(*at, row));
    rows.flat_map(|(_, row)| &row.attempts).collect()
}

fn attempts(series: &[Row]) -> impl Iterator<Item = &Attempt> {
    series.iter().flat_map(|row| &row.attempts)
}

fn attacked(series: &[Row]) -> usize {
    attempts(series).filter(|a| a.attacked).count()
}

/// "pgd linf".
fn name(series: &[Row]) -> String {
    series.first().map_or_else(String::new, |row| format!("{} {}", row.attack, row.threat.norm))
}

fn samples(count: usize, one: &str, many: &str, rest: &str) -> String {
    let (noun, verb) = if count == 1 { ("sample", one) } else { ("samples", many) };
    format!("{count} {noun} {verb} {rest}")
}

fn of_all(count: usize, all: usize) -> String {
    format!("{count} of {all} attempts (samples times budgets)")
}
