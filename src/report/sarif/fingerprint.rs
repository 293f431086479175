//! By what a finding is known again in the next run.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::data::hex;
use crate::finding::Finding;
use crate::report::record::Report;

/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 16;

impl Report {
    /// The attacks, norms and threats that a finding's message names, in order. The numbers beside them change from run to run.
    pub(super) fn subjects(&self, finding: &Finding) -> BTreeSet<String> {
        let attacks = self.attacks.iter().flat_map(|row| {
            let norm = row.norm.map(|norm| norm.to_string());
            [Some(row.id.clone()), Some(self.name(row)), norm].into_iter().flatten()
        });
        let threats = self.worst_case.iter().map(|case| case.name());
        attacks.chain(threats).filter(|name| names(&finding.message, name)).collect()
    }
}

/// That of a finding with this code about these nodes and these subjects: the same for any path and content of the model.
pub(super) fn fingerprint<'a>(
    code: &'a str,
    nodes: &'a [String],
    subjects: impl Iterator<Item = &'a str>,
) -> String {
    let mut hash = Sha256::new();
    // Lengths keep apart what would read the same in a row.
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    add(code);
    add(&nodes.len().to_string());
    nodes.iter().for_each(|node| add(node));
    subjects.for_each(add);
    let mut digits = hex(hash);
    digits.truncate(DIGITS);
    digits
}

/// Whether a message has this name in it, and not as a part of a longer one.
fn names(message: &str, name: &str) -> bool {
    let goes_on = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let is_whole = |(at, _): (usize, &str)| {
        let before = message[..at].chars().next_back();
        let mut after = message[at + name.len()..].chars();
        let goes_on_after = match after.next() {
            // The end of a sentence, or of a name that parameters or decimals follow.
            Some('.' | ':') => after.next().is_some_and(goes_on),
            next => next.is_some_and(goes_on),
        };
        // A value within parameters names nothing.
        let goes_on_before = before.is_some_and(|letter| goes_on(letter) || ":=".contains(letter));
        !goes_on_before && !goes_on_after
    };
    !name.is_empty() && message.match_indices(name).any(is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_a_whole() {
        let message = "square broke 3 of 20 samples within linf 0.3, mi-fgsm only 1: pgd:steps=3.";
        for name in ["square", "linf", "linf 0.3", "mi-fgsm", "pgd:steps=3"] {
            assert!(names(message, name), "{name}");
        }
        for name in ["", "fgsm", "mi", "linf 0", "linf 0.31", "pgd", "quare", "steps"] {
            assert!(!names(message, name), "{name}");
        }
    }

    #[test]
    fn what_reads_the_same_in_a_row_is_kept_apart() {
        let of = |code: &str, nodes: &[&str], subjects: &[&str]| {
            let nodes: Vec<String> = nodes.iter().map(|node| (*node).into()).collect();
            fingerprint(code, &nodes, subjects.iter().copied())
        };
        let all = [
            of("a", &[], &[]),
            of("ab", &[], &[]),
            of("a", &["b"], &[]),
            of("a", &[], &["b"]),
            of("a", &["b", "c"], &[]),
            of("a", &["bc"], &[]),
            of("a", &["b"], &["c"]),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|of| of.len() == DIGITS));
    }
}
