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
        let ([height, width], top, [down, across]) = (self.size, self.before[0], self.step);
        for (from, to) in planes.chunks_exact(height * width).zip(to.chunks_exact_mut(self.len())) {
            let bands = to.chunks_exact_mut(across * self.part[0] * self.part[1]).enumerate();
            for (band, to) in bands {
                for y in 0..self.part[0] {
                    let within = (y * down + band).checked_sub(top).filter(|row| *row < height);
                    self.lay_out_row(within.map(|row| &from[row * width..][..width]), y, to);
                }
            }
        }
    }

    /// Lays one out as row `y` of the parts of a band; without one, zeros.
    #[inline(always)]
    fn lay_out_row(&self, from: Option<&[f32]>, y: usize, band: &mut [f32]) {
        let ([height, row], left, across) = (self.part, self.before[1], self.step[1]);
        let of_part = |part: usize| (part * height + y) * row..(part * height + y + 1) * row;
        let Some(from) = from else {
            return (0..across).for_each(|part| band[of_part(part)].fill(0.0));
        };
        match across {
            1 => {
                let to = &mut band[of_part(0)];
                to[..left].fill(0.0);
                to[left..left + from.len()].copy_from_slice(from);
                to[left + from.len()..].fill(0.0);
            }
            2 => {
                let (even, odd) = band.split_at_mut(height * row);
                let (even, odd) = (&mut even[of_part(0)], &mut odd[of_part(0)]);
                if left.is_multiple_of(2) {
                    in_turns(from, (even, left / 2), (odd, left / 2));
                } else {
                    in_turns(from, (odd, left / 2), (even, left / 2 + 1));
                }
            }
            _ => {
                for part in 0..across {
                    let to = &mut band[of_part(part)];
                    to.fill(0.0);
                    // Column c of this part is column c * across + part - left of the image.
                    let first = left.saturating_sub(part).div_ceil(across);
                    let values = from.iter().skip(first * across + part - left).step_by(across);
                    to[first..].iter_mut().zip(values).for_each(|(to, from)| *to = *from);
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
