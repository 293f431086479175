//! Which classes are taken for which.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many samples of a class are taken for a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// The true class.
    pub label: usize,
    /// What the model takes the samples for.
    pub prediction: usize,
    /// How many they are, 1 or more.
    pub samples: usize,
}

/// The confusion matrix of pairs (true class, prediction): its cells that are not 0, by true class, then by prediction.
///
/// # Example
/// ```
/// use ironbound::metrics::{Confusion, confusion};
/// let cells = confusion([(0, 0), (1, 0), (0, 0)]);
/// assert_eq!(cells[0], Confusion { label: 0, prediction: 0, samples: 2 });
/// assert_eq!(cells[1], Confusion { label: 1, prediction: 0, samples: 1 });
/// ```
#[must_use]
pub fn confusion(pairs: impl IntoIterator<Item = (usize, usize)>) -> Vec<Confusion> {
    let mut cells: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for pair in pairs {
        *cells.entry(pair).or_default() += 1;
    }
    let cell = |((label, prediction), samples)| Confusion { label, prediction, samples };
    cells.into_iter().map(cell).collect()
}
