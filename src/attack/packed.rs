//! Arrays with one row per sample that is still worked on.

/// The rows to keep, in order; none when all are.
pub(super) fn survivors(rows: usize, keep: impl Fn(usize) -> bool) -> Option<Vec<usize>> {
    let first = (0..rows).find(|&row| !keep(row))?;
    Some((0..first).chain((first + 1..rows).filter(|&row| keep(row))).collect())
}

/// Moves the `kept` rows of `width` values each to the front, in their order, and drops the others.
pub(super) fn close_gaps<T>(values: &mut Vec<T>, width: usize, kept: &[usize]) {
    for (to, &from) in kept.iter().enumerate().filter(|(to, from)| to < *from) {
        let (front, back) = values.split_at_mut(from * width);
        front[to * width..(to + 1) * width].swap_with_slice(&mut back[..width]);
    }
    values.truncate(kept.len() * width);
}
