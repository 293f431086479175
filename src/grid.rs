//! Rectangles of neighbouring features, for samples of any shape.

use rand::RngExt;

use crate::rng::Stream;
use crate::threat::Region;

/// A sample's features as rows, columns and channels.
///
/// Axes of length one do not count. One axis is a single row: a vector's neighbours are its adjacent features. Two are
/// rows and columns. Of three, the channels are the last axis if it is shorter than the first, else the first. Of more,
/// the last two are rows and columns, the others channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) channels: usize,
    /// From one row, column or channel to the next.
    strides: [usize; 3],
    /// The first feature.
    origin: usize,
}

impl Grid {
    pub(crate) fn new(shape: &[usize]) -> Self {
        let axes: Vec<usize> = shape.iter().copied().filter(|&axis| axis != 1).collect();
        let (rows, columns, channels, strides) = match axes[..] {
            [] => (1, 1, 1, [1, 1, 1]),
            [columns] => (1, columns, 1, [columns, 1, columns]),
            [rows, columns] => (rows, columns, 1, [columns, 1, rows * columns]),
            [rows, columns, channels] if channels < rows => {
                (rows, columns, channels, [columns * channels, channels, 1])
            }
            [ref channels @ .., rows, columns] => {
                (rows, columns, channels.iter().product(), [columns, 1, rows * columns])
            }
        };
        Self { rows, columns, channels, strides, origin: 0 }
    }

    /// The smallest part of the grid that holds every free feature, the whole if there is none.
    pub(crate) fn around_free(self, region: &Region<'_>) -> Self {
        if region.mask.is_none() {
            return self;
        }
        let free_at = |row, column| {
            (0..self.channels).any(|channel| region.is_free(self.feature(row, column, channel)))
        };
        let row_has = |row: &usize| (0..self.columns).any(|column| free_at(*row, column));
        let column_has = |column: &usize| (0..self.rows).any(|row| free_at(row, *column));
        let ends = (
            (0..self.rows).find(row_has).zip((0..self.rows).rev().find(row_has)),
            (0..self.columns).find(column_has).zip((0..self.columns).rev().find(column_has)),
        );
        let (Some((top, bottom)), Some((left, right))) = ends else { return self };
        let origin = self.feature(top, left, 0);
        Self { rows: bottom + 1 - top, columns: right + 1 - left, origin, ..self }
    }

    pub(crate) fn feature(&self, row: usize, column: usize, channel: usize) -> usize {
        let [down, along, across] = self.strides;
        self.origin + row * down + column * along + channel * across
    }

    /// The whole.
    pub(crate) fn whole(&self) -> Window {
        Window { top: 0, left: 0, height: self.rows, width: self.columns }
    }

    /// Height and width of a square of a share of the grid, with sides of at least `least`: the nearest whole number,
    /// and where that is more than one side of the grid, a rectangle as long as it takes.
    pub(crate) fn sides(&self, share: f64, least: usize) -> (usize, usize) {
        let area = share * (self.rows * self.columns) as f64;
        let side = (area.sqrt().round() as usize).max(least);
        if side <= self.rows && side <= self.columns {
            return (side, side);
        }
        let (short, long) = (self.rows.min(self.columns), self.rows.max(self.columns));
        let length = ((area / short as f64).round() as usize).max(least).min(long);
        if short == self.rows { (short, length) } else { (length, short) }
    }

    /// A window of these sides anywhere on the grid.
    pub(crate) fn place(&self, (height, width): (usize, usize), stream: &mut Stream) -> Window {
        let top = stream.random_range(0..=self.rows - height);
        let left = stream.random_range(0..=self.columns - width);
        Window { top, left, height, width }
    }

    /// At most `count` by `count` tiles that cover the grid.
    pub(crate) fn tiles(&self, count: usize) -> Vec<Window> {
        let cuts = |length: usize| {
            let parts = count.min(length);
            (0..parts).map(move |part| (part * length / parts, (part + 1) * length / parts))
        };
        let tile = |(top, bottom), (left, right)| Window {
            top,
            left,
            height: bottom - top,
            width: right - left,
        };
        cuts(self.rows)
            .flat_map(|rows| cuts(self.columns).map(move |columns| tile(rows, columns)))
            .collect()
    }
}

/// A rectangle of a [`Grid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Window {
    /// Rows and columns, row by row.
    pub(crate) fn cells(self) -> impl Iterator<Item = (usize, usize)> {
        let columns = self.left..self.left + self.width;
        (self.top..self.top + self.height)
            .flat_map(move |row| columns.clone().map(move |column| (row, column)))
    }

    pub(crate) fn contains(self, (row, column): (usize, usize)) -> bool {
        (self.top..self.top + self.height).contains(&row)
            && (self.left..self.left + self.width).contains(&column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::norm::Norm;
    use crate::rng::stream;
    use crate::threat::Threat;

    #[test]
    fn shapes_become_rows_columns_and_channels() {
        for (shape, expected) in [
            (&[][..], (1, 1, 1)),
            (&[1, 1], (1, 1, 1)),
            (&[7], (1, 7, 1)),
            (&[1, 1, 784], (1, 784, 1)),
            (&[28, 20], (28, 20, 1)),
            (&[1, 28, 20], (28, 20, 1)),
            (&[28, 20, 1], (28, 20, 1)),
            (&[3, 32, 24], (32, 24, 3)),
            (&[32, 24, 3], (32, 24, 3)),
            (&[5, 3, 32, 24], (32, 24, 15)),
        ] {
            let grid = Grid::new(shape);
            assert_eq!((grid.rows, grid.columns, grid.channels), expected, "{shape:?}");
            let mut features: Vec<usize> = grid
                .whole()
                .cells()
                .flat_map(|(r, c)| (0..grid.channels).map(move |k| (r, c, k)))
                .map(|(row, column, channel)| grid.feature(row, column, channel))
                .collect();
            features.sort_unstable();
            let all: Vec<usize> = (0..shape.iter().product()).collect();
            assert_eq!(features, all, "{shape:?}: every feature once");
        }
        assert_eq!(Grid::new(&[3, 32, 24]).feature(4, 5, 2), 2 * 768 + 4 * 24 + 5);
        assert_eq!(Grid::new(&[32, 24, 3]).feature(4, 5, 2), 4 * 72 + 5 * 3 + 2);
    }

    #[test]
    fn windows_reach_every_corner_and_have_the_share() {
        for shape in [&[9, 4][..], &[4, 9], &[1, 3], &[40], &[3, 8, 8]] {
            let grid = Grid::new(shape);
            for share in [0.8, 0.3, 0.01] {
                let (height, width) = grid.sides(share, 1);
                let area = (height * width) as f64;
                let wanted = share * (grid.rows * grid.columns) as f64;
                let slack = 0.5 * (height + width) as f64 + 0.5;
                assert!((area - wanted).abs() <= slack, "{shape:?} {share}: {height} x {width}");
                let mut seen = vec![false; grid.rows * grid.columns];
                let mut draw = stream(0, "windows", 0, 0);
                for _ in 0..2000 {
                    for (row, column) in grid.place((height, width), &mut draw).cells() {
                        seen[row * grid.columns + column] = true;
                    }
                }
                assert!(seen.iter().all(|seen| *seen), "{shape:?} {share}");
            }
            let mut covered = vec![0; grid.rows * grid.columns];
            for (row, column) in grid.tiles(5).into_iter().flat_map(Window::cells) {
                covered[row * grid.columns + column] += 1;
            }
            assert!(covered.iter().all(|count| *count == 1), "{shape:?}: tiles");
        }
        assert_eq!(Grid::new(&[28, 28]).sides(0.8, 1), (25, 25));
        assert_eq!(Grid::new(&[28, 28]).sides(0.0001, 3), (3, 3));
        assert_eq!(Grid::new(&[2, 50]).sides(0.0001, 3), (2, 3));
        assert_eq!(Grid::new(&[100]).sides(0.8, 1), (1, 80));
    }

    #[test]
    fn a_mask_narrows_the_grid() {
        // Free are the cells (1, 2) and (2, 1) of channel 1.
        let mask: Vec<bool> = (0..2 * 4 * 5).map(|i| i == 20 + 7 || i == 20 + 11).collect();
        let threat = Threat::new(Norm::Linf, 0.1).with_mask(mask);
        let clean = [0.0; 40];
        let grid = Grid::new(&[2, 4, 5]).around_free(&threat.region(0, &clean));
        assert_eq!((grid.rows, grid.columns, grid.channels), (2, 2, 2));
        assert_eq!((grid.feature(0, 1, 1), grid.feature(1, 0, 1)), (27, 31));
        let none = Threat::new(Norm::Linf, 0.1).with_mask(vec![false; 40]);
        let whole = Grid::new(&[2, 4, 5]);
        assert_eq!(whole.clone().around_free(&none.region(0, &clean)), whole);
    }
}
