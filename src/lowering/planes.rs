//! How images lie in memory while windows pass over them.

use super::tile;

/// The most parts across that values are dealt out to together.
const MOST: usize = 4;

/// Planes with margins of zeros, in parts: rows and columns whose index has the same remainder by the step lie together, so that
/// windows a step apart read values beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planes {
    /// Height and width as they come.
    size: [usize; 2],
    /// Zeros before.
    before: [usize; 2],
    step: [usize; 2],
    /// Height and width of a part.
    part: [usize; 2],
    /// Where the first columns of an image go, from a row's place on.
    columns: [usize; MOST],
}

impl Planes {
    /// `padded` is height and width with the margins; they may grow, to hold the image and to make whole parts.
    pub(super) fn new(
        size: [usize; 2],
        before: [usize; 2],
        padded: [usize; 2],
        step: [usize; 2],
    ) -> Self {
        let part = |axis: usize| padded[axis].max(before[axis] + size[axis]).div_ceil(step[axis]);
        let part = [part(0), part(1)];
        let mut planes = Self { size, before, step, part, columns: [0; MOST] };
        planes.columns = std::array::from_fn(|column| planes.column(column));
        planes
    }

    /// Values of a plane as it comes.
    pub(super) fn given(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Values of a plane with its margins.
    pub(super) fn len(&self) -> usize {
        self.step[0] * self.step[1] * self.part[0] * self.part[1]
    }

    /// From a row of a part to the next.
    pub(super) fn row(&self) -> usize {
        self.part[1]
    }

    /// Where a row and a column lie, counted from those of the image.
    pub(super) fn place(&self, [y, x]: [isize; 2]) -> usize {
        self.place_of_padded([
            self.before[0].strict_add_signed(y),
            self.before[1].strict_add_signed(x),
        ])
    }

    /// The same counted from the margins.
    #[inline(always)]
    pub(super) fn place_of_padded(&self, [y, x]: [usize; 2]) -> usize {
        let part = y % self.step[0] * self.step[1] + x % self.step[1];
        (part * self.part[0] + y / self.step[0]) * self.part[1] + x / self.step[1]
    }

    /// The planes, as they come where that is how they are to lie.
    pub(super) fn laid_out<'a>(&self, planes: &'a [f32], to: &'a mut Vec<f32>) -> &'a [f32] {
        if self.step == [1, 1] && self.size == self.part {
            return planes;
        }
        to.resize(planes.len() / self.given().max(1) * self.len(), 0.0);
        self.lay_out(planes, to, true);
        to
    }

    /// Lays planes out; without the margins where these are zeros already.
    #[inline(always)]
    pub(super) fn lay_out(&self, planes: &[f32], to: &mut [f32], with_margins: bool) {
        let given = planes.chunks_exact(self.given());
        for (from, to) in given.zip(to.chunks_exact_mut(self.len())) {
            if with_margins {
                to.fill(0.0);
            }
            match self.step[1] {
                1 => self.deal::<1>(from, to),
                2 => self.deal::<2>(from, to),
                4 => self.deal::<4>(from, to),
                _ => self.deal_to_any(from, to),
            }
        }
    }

    /// Where a column goes, from a row's place on.
    fn column(&self, column: usize) -> usize {
        self.place_of_padded([0, self.before[1] + column])
    }

    /// Where a row's parts lie in a plane.
    #[inline(always)]
    fn row_at(&self, y: usize) -> usize {
        let padded = self.before[0] + y;
        let (band, y) = match self.step[0] {
            // Without a division in the usual case.
            1 => (0, padded),
            down => (padded % down, padded / down),
        };
        (band * self.step[1] * self.part[0] + y) * self.part[1]
    }

    /// Lays a plane out in `N` parts across.
    #[inline(always)]
    fn deal<const N: usize>(&self, from: &[f32], to: &mut [f32]) {
        let (width, columns) = (self.size[1], &self.columns);
        for (y, from) in from.chunks_exact(width).enumerate() {
            let row = self.row_at(y);
            if N == 1 {
                tile::copy(from, &mut to[row + columns[0]..][..width]);
                continue;
            }
            let (groups, rest) = from.as_chunks::<N>();
            let (fours, single) = groups.as_chunks::<4>();
            for place in 0..N.min(width) {
                let to = &mut to[row + columns[place]..][..(width + N - 1 - place) / N];
                let (to, behind) = to.split_at_mut(4 * fours.len());
                for (to, four) in to.as_chunks_mut::<4>().0.iter_mut().zip(fours) {
                    *to = [four[0][place], four[1][place], four[2][place], four[3][place]];
                }
                let last = single.iter().map(|group| &group[place]).chain(rest.get(place));
                behind.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
            }
        }
    }

    /// The same in any number of them.
    fn deal_to_any(&self, from: &[f32], to: &mut [f32]) {
        for (y, from) in from.chunks_exact(self.size[1]).enumerate() {
            let row = self.row_at(y);
            for (column, from) in from.iter().enumerate() {
                to[row + self.column(column)] = *from;
            }
        }
    }
}
