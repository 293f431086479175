//! What a reader looks up: folded away.

use std::fmt::{self, Write};

use super::{code, prose, threat, write_table};
use crate::metrics::Confusion;
use crate::report::confusion::{classes_of, most_confused, samples};
use crate::report::record::{AttackRow, Report, WorstCase};
use crate::report::text::number;

/// As many classes as a matrix may have to be shown whole.
const CLASSES: usize = 12;
/// How many confusions to name where it may not.
const NAMED: usize = 10;

impl Report {
    /// The sizes of perturbations and queries to success, what classes are taken for, and which attacks agree.
    pub(super) fn write_details(&self, text: &mut String) -> fmt::Result {
        if self.attacks.iter().any(|row| row.perturbations.is_some()) {
            fold(text, "Perturbations that succeeded: medians, and queries to success", |text| {
                let head = [
                    "threat",
                    "attack",
                    "L0",
                    "L1",
                    "L2",
                    "Linf",
                    "SSIM",
                    "queries",
                    "90 % took at most",
                ];
                let rows = self.attacks.iter().filter_map(|row| self.perturbation_cells(row));
                write_table(text, &head, 2, rows)
            })?;
        }
        for case in self.worst_case.iter().filter(|case| !case.confusion.is_empty()) {
            let summary = format!("What classes are taken for within {}", threat(case));
            fold(text, &summary, |text| self.write_confusion(text, &case.confusion))?;
        }
        if self.worst_case.iter().any(|case| !case.agreement.is_empty()) {
            fold(text, "Which attacks broke the same samples", |text| {
                let head = [
                    "threat",
                    "first",
                    "second",
                    "both",
                    "only first",
                    "only second",
                    "neither",
                    "Jaccard",
                ];
                write_table(
                    text,
                    &head,
                    3,
                    self.worst_case.iter().flat_map(|case| self.pairs(case)),
                )
            })?;
        }
        Ok(())
    }

    fn perturbation_cells(&self, row: &AttackRow) -> Option<[String; 9]> {
        let sizes = row.perturbations.as_ref()?;
        let cell = |value: Option<f64>| value.map_or_else(|| "-".into(), number);
        Some([
            self.worst_case.get(row.case).map_or_else(String::new, threat),
            code(&self.name(row)),
            cell(sizes.l0.median),
            cell(sizes.l1.median),
            cell(sizes.l2.median),
            cell(sizes.linf.median),
            cell(sizes.ssim.map(|of| of.median)),
            cell(row.success_queries.map(|of| of.median)),
            cell(row.success_queries.map(|of| of.q90)),
        ])
    }

    fn pairs<'a>(&'a self, case: &'a WorstCase) -> impl Iterator<Item = [String; 8]> + 'a {
        case.agreement.iter().filter_map(move |pair| {
            let [first, second] = self.names(pair)?;
            Some([
                threat(case),
                code(&first),
                code(&second),
                pair.both.to_string(),
                pair.only_first.to_string(),
                pair.only_second.to_string(),
                pair.neither.to_string(),
                pair.jaccard.map_or_else(|| "-".into(), |jaccard| format!("{jaccard:.2}")),
            ])
        })
    }

    /// The matrix, rows by true class and columns by prediction; the largest confusions where it is too large.
    fn write_confusion(&self, text: &mut String, cells: &[Confusion]) -> fmt::Result {
        let name = |class: usize| prose(&self.class_name(class));
        let classes = classes_of(cells);
        if classes.len() > CLASSES {
            let rows = most_confused(cells)
                .into_iter()
                .take(NAMED)
                .map(|cell| [name(cell.label), name(cell.prediction), cell.samples.to_string()]);
            return write_table(text, &["class", "taken for", "samples"], 0, rows);
        }
        let mut head = vec!["class \\ taken for".to_owned()];
        head.extend(classes.iter().map(|class| name(*class)));
        let count = |label: usize, prediction: usize| match samples(cells, label, prediction) {
            0 => "·".to_owned(),
            count => count.to_string(),
        };
        let rows = classes.iter().map(|&label| -> Vec<String> {
            let counts = classes.iter().map(|&prediction| count(label, prediction));
            std::iter::once(format!("**{}**", name(label))).chain(counts).collect()
        });
        write_table(text, &head, 1, rows)
    }
}

fn fold(
    text: &mut String,
    summary: &str,
    write: impl FnOnce(&mut String) -> fmt::Result,
) -> fmt::Result {
    writeln!(text, "<details><summary>{summary}</summary>\n")?;
    write(text)?;
    writeln!(text, "</details>\n")
}
