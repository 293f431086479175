//! The gates of `--fail-under` and `--max-drop`.

use ironbound::Result;
use ironbound::report::{Comparison, Gate, Report, WorstCase};

use crate::request::Request;

/// The gates that were asked for.
pub(crate) fn judge(
    request: &Request<'_>,
    report: &Report,
    comparison: &Result<Option<Comparison>>,
) -> Vec<Gate> {
    let gate = |flag: &str, share: f64, failure| Gate {
        name: format!("--{flag} {:.2}%", 100.0 * share),
        failure,
    };
    let low = request.fail_under.map(|least| gate("fail-under", least, low(report, least)));
    let drop = request.max_drop.map(|most| {
        let failure = match comparison {
            Ok(comparison) => comparison.as_ref().and_then(|found| found.drop_beyond(most)),
            Err(error) => Some(error.one_line()),
        };
        gate("max-drop", most, failure)
    });
    low.into_iter().chain(drop).collect()
}

/// What fell below `least`, if anything did: the worst case at the largest eps of each norm.
fn low(report: &Report, least: f64) -> Option<String> {
    report.worst_case.iter().find_map(|case| {
        // A transformation has no budget, and is its own largest one.
        let larger = |other: &WorstCase| other.norm == case.norm && other.eps > case.eps;
        if case.norm.is_some() && report.worst_case.iter().any(larger) {
            return None;
        }
        // An accuracy that is not known does not pass.
        let accuracy = case.robust_accuracy.unwrap_or(0.0);
        // A share such as 56.6 % has no exact representation: one that is met exactly passes.
        (accuracy < least - 1e-12).then(|| {
            format!(
                "worst-case robust accuracy {:.2} % within {} is below {:.2} %",
                100.0 * accuracy,
                case.name(),
                100.0 * least
            )
        })
    })
}
