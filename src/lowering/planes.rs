//! How images lie in memory while windows pass over them.

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
        Self { size, before, step, part }
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
        self.lay_out(planes, to);
        to
    }

    /// Lays planes out.
    #[inline(always)]
    pub(super) fn lay_out(&self, planes: &[f32], to: &mut [f32]) {
        match self.step[1] {
            1 => self.deal::<1>(planes, to),
            2 => self.deal::<2>(planes, to),
            4 => self.deal::<4>(planes, to),
            _ => self.deal_to_any(planes, to),
        }
    }

    /// The rows of an image, and where in a plane each one's parts lie.
    #[inline(always)]
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let (down, top, row) = (self.step[0], self.before[0], self.part[1]);
        let band = self.step[1] * self.part[0] * row;
        (0..down.min(self.size[0])).flat_map(move |first| {
            let (of_band, y) = ((top + first) % down * band, (top + first) / down);
            let ys = (first..self.size[0]).step_by(down).zip(y..);
            ys.map(move |(from, y)| (from, of_band + y * row))
        })
    }

    /// Where a column goes, from a row's place on.
    fn column(&self, column: usize) -> usize {
        self.place_of_padded([0, self.before[1] + column])
    }

    /// Lays planes out in `N` parts across.
    #[inline(always)]
    fn deal<const N: usize>(&self, planes: &[f32], to: &mut [f32]) {
        let [height, width] = self.size;
        let starts: [usize; N] = std::array::from_fn(|place| self.column(place));
        let counts: [usize; N] = std::array::from_fn(|place| (width + N - 1 - place) / N);
        for (from, to) in planes.chunks_exact(height * width).zip(to.chunks_exact_mut(self.len())) {
            // The margins, and what is written anew.
            to.fill(0.0);
            for (y, row) in self.rows() {
                let from = &from[y * width..][..width];
                let (groups, rest) = from.as_chunks::<N>();
                let (fours, single) = groups.as_chunks::<4>();
                for place in 0..N {
                    let to = &mut to[row + starts[place]..][..counts[place]];
                    let (to, behind) = to.split_at_mut(4 * fours.len());
                    for (to, four) in to.as_chunks_mut::<4>().0.iter_mut().zip(fours) {
                        *to = [four[0][place], four[1][place], four[2][place], four[3][place]];
                    }
                    let last = single.iter().map(|group| &group[place]).chain(rest.get(place));
                    behind.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    /// The same in any number of them.
    fn deal_to_any(&self, planes: &[f32], to: &mut [f32]) {
        let [height, width] = self.size;
        let columns: Vec<usize> = (0..width).map(|column| self.column(column)).collect();
        for (from, to) in planes.chunks_exact(height * width).zip(to.chunks_exact_mut(self.len())) {
            to.fill(0.0);
            for (y, row) in self.rows() {
                for (from, column) in from[y * width..][..width].iter().zip(&columns) {
                    to[row + column] = *from;
                }
            }
        }
    }
}
