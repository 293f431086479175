//! What a reader of the numbers must know.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A choice that was made, or a property to know of; the numbers mean what they say.
    Info,
    /// The numbers may say less than they seem to.
    #[default]
    Warning,
    /// The numbers say nothing until it is put right.
    Error,
}

impl Severity {
    /// "info", "warning" or "error".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Something about a model, its data or a run that the reader of a report must know, and what to do about it.
///
/// It prints as one line, `severity[code]: message`, followed by indented lines with the nodes and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// A stable name to match on, in kebab-case.
    pub code: String,
    /// How much it matters.
    #[serde(default)]
    pub severity: Severity,
    /// The nodes of the graph that it is about; empty where it is about none.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// A sentence.
    pub message: String,
    /// What to do; empty where there is nothing to do.
    #[serde(default)]
    pub remedy: String,
}

impl Finding {
    /// A finding about no node, without a remedy.
    #[must_use]
    pub fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        let (nodes, remedy) = (vec![], String::new());
        Self { code: code.into(), severity, nodes, message: message.into(), remedy }
    }

    /// One of [`Severity::Info`].
    #[must_use]
    pub fn info(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message)
    }

    /// One of [`Severity::Warning`].
    #[must_use]
    pub fn warning(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// One of [`Severity::Error`].
    #[must_use]
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// About these nodes.
    #[must_use]
    pub fn at(self, nodes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { nodes: nodes.into_iter().map(Into::into).collect(), ..self }
    }

    /// With this to do about it.
    #[must_use]
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)?;
        if !self.nodes.is_empty() {
            let shown: Vec<_> =
                self.nodes.iter().take(SHOWN).map(|node| format!("`{node}`")).collect();
            write!(f, "\n    nodes: {}", shown.join(", "))?;
            if self.nodes.len() > SHOWN {
                write!(f, " and {} more", self.nodes.len() - SHOWN)?;
            }
        }
        if !self.remedy.is_empty() {
            write!(f, "\n    remedy: {}", self.remedy)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_prints_its_nodes_and_its_remedy() {
        assert_eq!(Finding::info("binary", "one score").to_string(), "info[binary]: one score");
        let long = Finding::error("a-b", "m").at(["1", "2", "3", "4", "5", "6"]).remedy("do");
        assert_eq!(
            long.to_string(),
            "error[a-b]: m\n    nodes: `1`, `2`, `3`, `4` and 2 more\n    remedy: do"
        );
    }

    #[test]
    fn entries_of_older_reports_are_read_as_warnings() {
        let old = r#"{"code":"rejected","message":"m"}"#;
        let read: Finding = serde_json::from_str(old).unwrap();
        assert_eq!(read, Finding::warning("rejected", "m"));
        let text = serde_json::to_string(&Finding::info("x", "m").at(["n"]).remedy("r")).unwrap();
        assert_eq!(
            text,
            r#"{"code":"x","severity":"info","nodes":["n"],"message":"m","remedy":"r"}"#
        );
    }

    #[test]
    fn severities_are_ordered() {
        assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Error);
    }
}
