//! Points of the data set from which attacks that only see decisions may start.

use crate::goal::Aim;
use crate::norm::Norm;

/// Labelled points, one per sample of a data set; none by default.
///
/// The labels are not believed: an attack asks about a point before it starts there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Starts<'a> {
    /// `labels x features`.
    pub points: &'a [f32],
    /// The class of each point.
    pub labels: &'a [usize],
    /// Each point's index in the data set, which decides between points equally near.
    pub ids: &'a [usize],
}

impl<'a> Starts<'a> {
    /// The `count` points nearest to `clean` in L2 that may meet `aim`, nearest first: those of the target class or, of an
    /// untargeted aim, of any class but the label.
    pub(super) fn nearest(&self, clean: &[f32], aim: Aim, count: usize) -> Vec<&'a [f32]> {
        let may_meet =
            |label: usize| aim.target.map_or(label != aim.label, |target| label == target);
        let rows = self.points.chunks_exact(clean.len().max(1)).zip(self.labels).zip(self.ids);
        let mut near: Vec<(f64, usize, &[f32])> = rows
            .filter(|((_, label), _)| may_meet(**label))
            .map(|((point, _), id)| (Norm::L2.size(clean, point), *id, point))
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near.into_iter().take(count).map(|(_, _, point)| point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_the_right_class_come_first() {
        let starts = Starts {
            points: &[0.0, 3.0, 1.0, 2.0, -1.0],
            labels: &[0, 1, 2, 1, 2],
            ids: &[9, 8, 7, 6, 5],
        };
        let near = |aim, count| starts.nearest(&[0.1], aim, count).concat();
        assert_eq!(near(Aim::untargeted(0), 9), [1.0, -1.0, 2.0, 3.0]);
        assert_eq!(near(Aim::targeted(0, 1), 9), [2.0, 3.0]);
        assert_eq!(near(Aim::untargeted(2), 1), [0.0]);
        assert_eq!(starts.nearest(&[0.0], Aim::targeted(0, 2), 9).concat(), [-1.0, 1.0]);
        assert!(Starts::default().nearest(&[0.0], Aim::untargeted(0), 3).is_empty());
    }
}
