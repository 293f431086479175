//! What the rows of a report are called where every name must be another.

use super::circumstances::limits;
use super::record::{AttackRow, Report};
use crate::threat::{Budget, Threat};

impl Report {
    /// Threat, goal and attack of every row. Where rows are alike in these, what their threats differ in besides is told: the exact
    /// budget, bounds, mask, domain; where that is not enough, which of [`attacks`](Report::attacks) the row is.
    pub(super) fn row_names(&self) -> Vec<String> {
        let names: Vec<String> = self.attacks.iter().map(|row| self.row_name(row)).collect();
        let limits: Vec<_> = self.attacks.iter().map(|row| self.row_limits(row)).collect();
        let alike = |names: &[String], at: usize| -> Vec<usize> {
            (0..names.len()).filter(|&other| other != at && names[other] == names[at]).collect()
        };
        let told = |at: usize| {
            let others = alike(&names, at);
            let differs = |slot: &usize| {
                others.iter().any(|&other| limits[other][*slot] != limits[at][*slot])
            };
            let apart = (0..limits[at].len()).filter(differs).map(|slot| &*limits[at][slot]);
            with(&names[at], &apart.filter(|of| !of.is_empty()).collect::<Vec<_>>().join(", "))
        };
        let told: Vec<String> = (0..names.len()).map(told).collect();
        let last = |at: usize| match alike(&told, at).is_empty() {
            true => told[at].clone(),
            false => with(&told[at], &format!("row {at}")),
        };
        (0..told.len()).map(last).collect()
    }

    fn row_name(&self, row: &AttackRow) -> String {
        let parts = match &*row.goal {
            "" | "untargeted" => vec![row.threat(), self.name(row)],
            goal => vec![row.threat(), goal.into(), self.name(row)],
        };
        parts.join(" ")
    }

    /// The limits that the name of a row does not tell; empty ones where there are none, or none are known.
    fn row_limits(&self, row: &AttackRow) -> [String; 4] {
        let threat = self.worst_case.get(row.case).and_then(|case| case.threat.as_ref());
        threat.map_or_else(Default::default, |threat: &Threat| {
            let [bounds, mask, domain] = limits(threat);
            let budget = match threat.budget {
                Budget::Scalar(eps) => format!("eps {eps}"),
                Budget::PerSample(_) => "eps by sample".into(),
                Budget::PerFeature(_) => "eps by feature".into(),
            };
            [budget, bounds, mask, domain]
        })
    }
}

fn with(name: &str, more: &str) -> String {
    if more.is_empty() { name.into() } else { format!("{name} ({more})") }
}
