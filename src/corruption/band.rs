//! Linear maps along one axis: blurs and changes of size.

use super::image::{Edge, Plane};

/// Every position of the new axis is a weighted sum of neighbouring positions of the old one: the first of them, and the
/// weights.
#[derive(Debug)]
pub(super) struct Band(Vec<(usize, Vec<f64>)>);

impl Band {
    /// A blur by a normal distribution, cut off beyond `reach` positions.
    pub(super) fn gaussian(len: usize, sigma: f64, reach: usize, edge: Edge) -> Self {
        let weight = |t: usize| {
            if t == 0 { 1.0 } else { (-0.5 * (t as f64 / sigma).powi(2)).exp() }
        };
        let total = weight(0) + 2.0 * (1..=reach).map(weight).sum::<f64>();
        let row = |at: usize| {
            let (first, last) = (at.saturating_sub(reach), (at + reach).min(len - 1));
            let mut weights = vec![0.0; last + 1 - first];
            let far = reach.cast_signed();
            for t in -far..=far {
                let from = edge.index(at.cast_signed() + t, len);
                weights[from - first] += weight(t.unsigned_abs()) / total;
            }
            (first, weights)
        };
        Self((0..len).map(row).collect())
    }

    /// A change of size in which every new position is the mean of the old ones whose centres it holds; of the nearest one
    /// when it enlarges.
    pub(super) fn boxes(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let half = 0.5 * scale.max(1.0);
        let row = |at: usize| {
            let centre = (at as f64 + 0.5) * scale;
            let first = (centre - half + 0.5).max(0.0) as usize;
            let end = ((centre + half + 0.5) as usize).min(from);
            let inside = |old: &usize| {
                let away = *old as f64 + 0.5 - centre;
                -half < away && away <= half
            };
            let held: Vec<usize> = (first..end).filter(inside).collect();
            (held[0], vec![1.0 / held.len() as f64; held.len()])
        };
        Self((0..to).map(row).collect())
    }

    /// The middle of an axis, enlarged by a factor of 1 or more to the length of the axis: linear, from the first to
    /// the last position of the middle, then cut at both ends.
    pub(super) fn zoom(len: usize, factor: f64) -> Self {
        let middle = (len as f64 / factor).ceil() as usize;
        let enlarged = (middle as f64 * factor).round_ties_even() as usize;
        let (start, cut) = ((len - middle) / 2, (enlarged - len) / 2);
        let step = (middle - 1) as f64 / (enlarged.max(2) - 1) as f64;
        let row = |at: usize| {
            let at = (at + cut) as f64 * step;
            let low = (at.floor() as usize).min(middle - 1);
            let share = at - low as f64;
            if low + 1 == middle {
                return (start + low, vec![1.0]);
            }
            (start + low, vec![1.0 - share, share])
        };
        Self((0..len).map(row).collect())
    }
}

impl Plane {
    /// Maps the rows by `down` and the columns by `along`.
    pub(super) fn mapped(&self, down: &Band, along: &Band) -> Self {
        let narrow = Self::from_fn(self.rows, along.0.len(), |row, column| {
            let (first, weights) = &along.0[column];
            let values = &self.values[row * self.columns + first..];
            weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
        });
        Self::from_fn(down.0.len(), narrow.columns, |row, column| {
            let (first, weights) = &down.0[row];
            let values = narrow.values[first * narrow.columns + column..].iter();
            let values = values.step_by(narrow.columns.max(1));
            weights.iter().zip(values).map(|(weight, value)| weight * value).sum()
        })
    }

    /// Blurred by a normal distribution cut off at `truncate` standard deviations.
    pub(super) fn smoothed(&self, sigma: f64, truncate: f64, edge: Edge) -> Self {
        let reach = (truncate * sigma + 0.5) as usize;
        self.mapped(
            &Band::gaussian(self.rows, sigma, reach, edge),
            &Band::gaussian(self.columns, sigma, reach, edge),
        )
    }

    /// The middle, enlarged to the whole.
    pub(super) fn zoomed(&self, factor: f64) -> Self {
        self.mapped(&Band::zoom(self.rows, factor), &Band::zoom(self.columns, factor))
    }
}
