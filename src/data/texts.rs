//! Columns of texts: classes and groups.

use std::collections::BTreeMap;

use crate::finding::Finding;

/// Texts, each kept once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Every text, with its number in the order of appearance.
    known: BTreeMap<String, usize>,
    /// The number of each entry.
    of: Vec<usize>,
    /// The line on which each text appeared first.
    pub(super) lines: Vec<u64>,
}

impl Texts {
    pub(super) fn push(&mut self, text: &str, line: u64) {
        let number = self.known.get(text).copied().unwrap_or_else(|| {
            self.lines.push(line);
            self.known.insert(text.to_owned(), self.known.len());
            self.known.len() - 1
        });
        self.of.push(number);
    }

    /// The texts in their order, each with the line on which it appeared first.
    pub(super) fn distinct(&self) -> impl Iterator<Item = (&str, u64)> {
        self.known.iter().map(|(text, number)| (text.as_str(), self.lines[*number]))
    }

    /// What `index` makes of the text of each entry, given the text and its place among the sorted ones.
    pub(super) fn indices(&self, index: impl Fn(usize, &str) -> usize) -> Vec<usize> {
        let mut by_number = vec![0; self.known.len()];
        for (place, (text, number)) in self.known.iter().enumerate() {
            by_number[*number] = index(place, text);
        }
        self.of.iter().map(|number| by_number[*number]).collect()
    }
}

/// Names for a message: the first of them, and how many more.
pub(super) fn listed<S: AsRef<str>>(names: impl ExactSizeIterator<Item = S>) -> String {
    const MOST: usize = 12;
    let more = names.len().saturating_sub(MOST);
    let shown: Vec<_> = names.take(MOST).map(|name| format!("`{}`", name.as_ref())).collect();
    let end = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &end
}

/// That classes were numbered in the order of their names.
pub(super) fn sorted_names(names: &[String]) -> Finding {
    let all = names.iter().enumerate().map(|(class, name)| format!("{class} {name}"));
    let message =
        format!("classes are numbered in the order of their sorted names: {}", listed(all));
    Finding::info("data-classes", message)
        .remedy("if the model has them in another order, name them in that order (class names)")
}
