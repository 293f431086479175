//! How a quantity falls over the steps of an attack.

/// From `first` at step 0 towards `last` at step `steps`, along half a cosine.
pub(super) fn cosine(first: f64, last: f64, step: usize, steps: usize) -> f64 {
    let turn = std::f64::consts::PI * step as f64 / steps.max(1) as f64;
    last + (first - last) * (1.0 + turn.cos()) / 2.0
}
