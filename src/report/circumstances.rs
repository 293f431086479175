//! What repeating a run takes.

use super::record::{DataRecord, ModelRecord, Report};
use crate::threat::{Bounds, Threat};

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What something is called, or its parameters.
    Name(String),
    /// Words about it.
    Words(String),
}

impl Report {
    /// What repeating the run takes, line by line, but for what differs by feature: that is in the record.
    pub(super) fn circumstances(&self) -> Vec<Vec<Part>> {
        let ModelRecord { path, sha256, input, output, classes, options } = &self.model;
        let mut all = vec![vec![
            words("model "),
            name(path),
            words(", SHA-256 "),
            name(sha256),
            words(", input "),
            name(input),
            words(", output "),
            name(output),
            words(format!(", {classes} classes")),
        ]];
        if !options.is_null() {
            all.push(vec![words("loaded with "), name(options.to_string())]);
        }
        let DataRecord { path, sha256, samples, offset, .. } = &self.data;
        all.push(vec![
            words("data "),
            name(path),
            words(", SHA-256 "),
            name(sha256),
            words(format!(", {samples} samples from {offset} on")),
        ]);
        let threats = self.worst_case.iter().filter_map(|case| case.threat.as_ref());
        let attacks = self.attacks.iter().map(|row| {
            vec![words("attack "), name(&row.id), words(" with "), name(row.params.to_string())]
        });
        let limited = threats.map(|threat| {
            let limits: Vec<_> = limits(threat).into_iter().filter(|of| !of.is_empty()).collect();
            vec![words(format!("perturbed samples: {}", limits.join(", ")))]
        });
        for line in limited.chain(attacks) {
            if !all.contains(&line) {
                all.push(line);
            }
        }
        all.push(vec![words(format!("ironbound {}, seed {}", self.ironbound, self.seed))]);
        all
    }
}

fn name(text: impl Into<String>) -> Part {
    Part::Name(text.into())
}

fn words(text: impl Into<String>) -> Part {
    Part::Words(text.into())
}

/// What a perturbed sample must be besides near: its bounds, what the mask fixes, its domain; empty where there is no limit.
pub(super) fn limits(threat: &Threat) -> [String; 3] {
    let bounds = match threat.bounds {
        Bounds::Uniform(lower, upper) => format!("between {lower} and {upper}"),
        Bounds::PerFeature(_) => "between bounds that differ by feature".into(),
    };
    let fixed = threat.mask.as_ref().map(|mask| {
        let fixed = mask.iter().filter(|free| !**free).count();
        format!("{fixed} features fixed")
    });
    let domain = if threat.domain.is_any() { String::new() } else { threat.domain.to_string() };
    [bounds, fixed.unwrap_or_default(), domain]
}
