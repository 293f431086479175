//! Images as planes of numbers, black 0 and white 1.

/// How an axis goes on beyond its ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    /// The last value again and again: a a | a b c | c c.
    Clamp,
    /// Mirrored, the last value once: c b | a b c | b a.
    Mirror,
    /// Mirrored, the last value twice: b a | a b c | c b.
    Reflect,
}

impl Edge {
    /// The position on an axis of `len` positions that stands at `at`.
    pub(super) fn index(self, at: isize, len: usize) -> usize {
        let last = len.cast_signed() - 1;
        let folded = |period: isize| at.rem_euclid(period.max(1));
        match self {
            Self::Clamp => at.clamp(0, last),
            Self::Mirror => {
                let at = folded(2 * last);
                at.min(2 * last - at)
            }
            Self::Reflect => {
                let at = folded(2 * last + 2);
                at.min(2 * last + 1 - at)
            }
        }
        .cast_unsigned()
    }
}

/// One channel: rows by columns, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plane {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f64>,
}

impl Plane {
    pub(super) fn from_fn(
        rows: usize,
        columns: usize,
        mut value: impl FnMut(usize, usize) -> f64,
    ) -> Self {
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let values = cells.map(|(row, column)| value(row, column)).collect();
        Self { rows, columns, values }
    }

    pub(super) fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    /// The value at a position between pixels, linear in both directions.
    pub(super) fn between(&self, row: f64, column: f64, edge: Edge) -> f64 {
        linear(row, column, |row, column| {
            let row = edge.index(row, self.rows);
            self.at(row, edge.index(column, self.columns))
        })
    }

    /// The same where all is black, 0, beyond the ends.
    pub(super) fn between_or_black(&self, row: f64, column: f64) -> f64 {
        linear(row, column, |row, column| {
            let within = |at: isize, len: usize| usize::try_from(at).ok().filter(|&at| at < len);
            let place = within(row, self.rows).zip(within(column, self.columns));
            place.map_or(0.0, |(row, column)| self.at(row, column))
        })
    }

    pub(super) fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
}

/// The value between four pixels.
fn linear(row: f64, column: f64, at: impl Fn(isize, isize) -> f64) -> f64 {
    let (down, along) = (row - row.floor(), column - column.floor());
    let (top, left) = (row.floor() as isize, column.floor() as isize);
    let upper = at(top, left) * (1.0 - along) + at(top, left + 1) * along;
    let lower = at(top + 1, left) * (1.0 - along) + at(top + 1, left + 1) * along;
    upper * (1.0 - down) + lower * down
}

/// One plane per channel, all of the same size. Three are red, green and blue; any other number are grey images, each
/// by itself, but with the same random shapes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    pub(super) planes: Vec<Plane>,
}

impl Image {
    /// Rows and columns.
    pub(super) fn size(&self) -> (usize, usize) {
        self.planes.first().map_or((0, 0), |plane| (plane.rows, plane.columns))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        self.planes.iter_mut().flat_map(|plane| &mut plane.values)
    }

    /// Replaces every plane.
    pub(super) fn map_planes(&mut self, new: impl FnMut(&Plane) -> Plane) {
        self.planes = self.planes.iter().map(new).collect();
    }

    /// Red, green and blue at a place in the planes' values; none for grey images.
    pub(super) fn rgb(&self, at: usize) -> Option<[f64; 3]> {
        match &self.planes[..] {
            [red, green, blue] => Some([red.values[at], green.values[at], blue.values[at]]),
            _ => None,
        }
    }
}

/// The luma of a colour, by the weights of ITU-R BT.601.
pub(super) fn luma([red, green, blue]: [f64; 3]) -> f64 {
    0.299 * red + 0.587 * green + 0.114 * blue
}
