//! Occlusion maps.

use serde::{Deserialize, Serialize};

use super::{Attribution, Baseline, Explainer, Subject};
use crate::error::{Error, Result};
use crate::grid::{Grid, Window};

/// Occlusion: how much the score falls where a window of the sample is covered; of a feature that several windows cover, the
/// mean of theirs. It needs no gradient.
///
/// # Shapes
/// Images have square windows, in all channels at once: a side and a stride in pixels. Axes of length one do not count; two
/// axes are rows and columns; of three, the channels are the last if it is shorter than the first, else the first; of more,
/// the last two are rows and columns. A flat row of features has windows of neighbouring features: by default one feature
/// at a time.
///
/// # Defaults
/// A side of an eighth of the image's shorter one (at least 1), a stride of half of that (at least 1), covered by 0. Without
/// two axes, single features.
///
/// # Queries per sample
/// 1 forward, and 1 for each window.
///
/// # Errors
/// When the stride is larger than the window, so that features would be left out, when the fill has another number of
/// features, or the model cannot be run.
///
/// # Reference
/// Zeiler & Fergus 2014, <https://arxiv.org/abs/1311.2901>, section 4.2: a grey square is moved over the image.
///
/// # Differences
/// The paper shows the score under the square, at the square's place; here the map shows what the score loses, for each
/// feature. The last windows of a row or column end at the border: they are cut off there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Occlusion {
    /// The side of the window.
    pub window: Option<usize>,
    /// How far one window is from the next.
    pub stride: Option<usize>,
    /// The values that cover.
    pub fill: Baseline,
}

impl Occlusion {
    /// Where the windows are.
    fn windows(&self, grid: &Grid) -> Result<Vec<Window>> {
        let default = if grid.rows > 1 { (grid.rows.min(grid.columns) / 8).max(1) } else { 1 };
        let side = self.window.unwrap_or(default);
        let stride = self.stride.unwrap_or_else(|| (side / 2).max(1));
        if stride > side {
            let expected =
                format!("expected at most the window, {side}: features would be left out");
            return Err(Error::parameter("stride", stride, expected));
        }
        // The first window that reaches the border is the last.
        let starts = |length: usize| {
            let last = length.saturating_sub(side).div_ceil(stride);
            (0..=last).map(move |index| (index * stride, side.min(length - index * stride)))
        };
        let window = |(top, height), (left, width)| Window { top, left, height, width };
        Ok(starts(grid.rows)
            .flat_map(|rows| starts(grid.columns).map(move |columns| window(rows, columns)))
            .collect())
    }
}

impl Explainer for Occlusion {
    fn id(&self) -> &'static str {
        "occlusion"
    }

    fn validate(&self) -> Result<()> {
        for (field, length) in [("window", self.window), ("stride", self.stride)] {
            if length == Some(0) {
                return Err(Error::parameter(field, 0, "expected 1 or more"));
            }
        }
        self.fill.validate("fill")
    }

    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution> {
        let input = subject.input;
        self.fill.expect_features("fill", input.len())?;
        let grid = Grid::new(subject.shape());
        let windows = self.windows(&grid)?;
        let covered = |window: &Window| {
            let channels = 0..grid.channels;
            window
                .cells()
                .flat_map(move |cell| channels.clone().map(move |channel| (cell, channel)))
        };
        let feature = |((row, column), channel)| grid.feature(row, column, channel);
        let (mut values, mut counts) = (vec![0.0; input.len()], vec![0_u32; input.len()]);
        let mut whole = 0.0;
        // The first point is the sample itself.
        let write = |number: usize, point: &mut [f32]| {
            point.copy_from_slice(input);
            let window = number.checked_sub(1).map(|index| &windows[index]);
            for feature in window.into_iter().flat_map(covered).map(feature) {
                point[feature] = self.fill.at(feature);
            }
        };
        subject.scores(windows.len() + 1, write, |number, score| match number {
            0 => whole = score,
            _ => {
                for feature in covered(&windows[number - 1]).map(feature) {
                    values[feature] += whole - score;
                    counts[feature] += 1;
                }
            }
        })?;
        values.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= f64::from(*count));
        Ok(values.into())
    }
}
