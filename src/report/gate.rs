//! What a release depends on.

/// Something that was asked of a report, and whether it holds: renderings for CI systems show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What was asked, such as "--fail-under 80%".
    pub name: String,
    /// Why it does not hold; none where it does.
    pub failure: Option<String>,
}
