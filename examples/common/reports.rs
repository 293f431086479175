//! Stored reports.

use std::path::Path;

use ironbound::report::Comparison;
use ironbound::{Error, Report, Result};

/// Reads the file that `evaluate --json` wrote.
pub(crate) fn read(path: &Path) -> Result<Report> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.into(), source })?;
    Report::from_json(&text, &path.display().to_string())
}

/// What fell by more than `most`, if anything did.
pub(crate) fn drop(comparison: &Comparison, most: f64) -> Option<String> {
    comparison.rows.iter().find_map(|row| {
        // Nothing to compare does not pass.
        let fell = row.difference.map_or(1.0, |by| -by);
        // A share such as 2 % has no exact representation: one that is met exactly passes.
        (fell > most + 1e-12).then(|| {
            let of = match (row.norm.zip(row.eps), &row.transformation) {
                (Some((norm, eps)), _) => format!("worst-case robust accuracy within {norm} {eps}"),
                (None, Some(ranges)) => format!("worst-case robust accuracy within {ranges}"),
                (None, None) => "clean accuracy".into(),
            };
            let newly = row.newly_broken.len();
            format!(
                "{of} fell by {:.2} points, more than {:.2}; {newly} samples are newly broken",
                100.0 * fell,
                100.0 * most
            )
        })
    })
}
