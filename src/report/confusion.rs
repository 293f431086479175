//! A confusion matrix for readers: its classes, its cells, and what is confused most.

use crate::metrics::Confusion;

/// The classes that occur, ascending.
pub(super) fn classes_of(cells: &[Confusion]) -> Vec<usize> {
    let mut classes: Vec<usize> =
        cells.iter().flat_map(|cell| [cell.label, cell.prediction]).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// How many samples of a class are taken for a class; 0 where there is no cell.
pub(super) fn samples(cells: &[Confusion], label: usize, prediction: usize) -> usize {
    let is_it = |cell: &&Confusion| (cell.label, cell.prediction) == (label, prediction);
    cells.iter().find(is_it).map_or(0, |cell| cell.samples)
}

/// Samples of a class, whatever they are taken for.
pub(super) fn samples_of(cells: &[Confusion], label: usize) -> usize {
    cells.iter().filter(|cell| cell.label == label).map(|cell| cell.samples).sum()
}

/// The cells off the diagonal, those with the most samples first; equals in their order.
pub(super) fn most_confused(cells: &[Confusion]) -> Vec<&Confusion> {
    let mut wrong: Vec<_> = cells.iter().filter(|cell| cell.label != cell.prediction).collect();
    wrong.sort_by_key(|cell| std::cmp::Reverse(cell.samples));
    wrong
}
