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
        let ([height, width], [top, left]) = (self.size, self.before);
        let [down, across] = self.step;
        let rows = self.part[1];
        for (from, to) in planes.chunks_exact(height * width).zip(to.chunks_exact_mut(self.len())) {
            let bands = to.chunks_exact_mut(across * self.part[0] * rows).enumerate();
            for (band, to) in bands {
                for y in 0..self.part[0] {
                    let within = (y * down + band).checked_sub(top).filter(|row| *row < height);
                    let from = within.map(|row| &from[row * width..][..width]);
                    let parts = to.chunks_exact_mut(self.part[0] * rows);
                    match (from, across) {
                        (None, _) => parts.for_each(|part| part[y * rows..][..rows].fill(0.0)),
                        (Some(from), 1) => {
                            let to = &mut to[y * rows..][..rows];
                            to[..left].fill(0.0);
                            to[left..left + width].copy_from_slice(from);
                            to[left + width..].fill(0.0);
                        }
                        (Some(from), 2) => {
                            let (even, odd) = to.split_at_mut(self.part[0] * rows);
                            let (even, odd) =
                                (&mut even[y * rows..][..rows], &mut odd[y * rows..][..rows]);
                            if left % 2 == 0 {
                                in_turns(from, (even, left / 2), (odd, left / 2));
                            } else {
                                in_turns(from, (odd, left / 2), (even, left / 2 + 1));
                            }
                        }
                        (Some(from), _) => {
                            for (at, part) in parts.enumerate() {
                                let to = &mut part[y * rows..][..rows];
                                // Column c of this part is column c * across + at - left of the image.
                                let first = left.saturating_sub(at).div_ceil(across);
                                let values = from.iter().skip(first * across + at - left);
                                let end = rows.min(first + values.len().div_ceil(across));
                                to[..first].fill(0.0);
                                let values = values.step_by(across);
                                to[first..end]
                                    .iter_mut()
                                    .zip(values)
                                    .for_each(|(to, from)| *to = *from);
                                to[end..].fill(0.0);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Deals the values out to two rows, each from a place on; zeros before and behind.
#[inline(always)]
fn in_turns(from: &[f32], (one, first): (&mut [f32], usize), (other, second): (&mut [f32], usize)) {
    let (pairs, rest) = from.as_chunks::<2>();
    let (one_end, other_end) = (first + pairs.len(), second + pairs.len());
    one[..first].fill(0.0);
    other[..second].fill(0.0);
    let to = one[first..one_end].iter_mut().zip(&mut other[second..other_end]);
    for ((one, other), pair) in to.zip(pairs) {
        (*one, *other) = (pair[0], pair[1]);
    }
    one[one_end..].fill(0.0);
    other[other_end..].fill(0.0);
    if let [last] = rest {
        one[one_end] = *last;
    }
}
