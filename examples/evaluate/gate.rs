//! The gate of `--fail-under`.

use ironbound::report::Report;

/// What fell below `least`, if anything did: the worst case at the largest eps of each norm.
pub(crate) fn failure(report: &Report, least: f64) -> Option<String> {
    report.worst_case.iter().find_map(|case| {
        let larger = |other: f64| other > case.eps;
        if report.worst_case.iter().any(|other| other.norm == case.norm && larger(other.eps)) {
            return None;
        }
        // An accuracy that is not known does not pass.
        let accuracy = case.robust_accuracy.unwrap_or(0.0);
        // A share such as 56.6 % has no exact representation: one that is met exactly passes.
        (accuracy < least - 1e-12).then(|| {
            format!(
                "worst-case robust accuracy {:.2} % within {} {} is below {:.2} %",
                100.0 * accuracy,
                case.norm,
                case.eps,
                100.0 * least
            )
        })
    })
}
