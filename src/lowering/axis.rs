//! One spatial axis of a convolution: which windows look where.

/// Windows along an axis that look at the image in the same way: all of a convolution's, and of a transposed one's those whose
/// index has the same remainder by the stride.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// The kernel's positions that take part, and how far from a window's start each looks, which may be before it.
    pub(super) taps: Vec<(usize, isize)>,
    /// How many windows.
    pub(super) count: usize,
    /// From one window's start to the next, in the image.
    pub(super) step: usize,
    /// The first output.
    pub(super) first: usize,
    /// From one output to the next.
    pub(super) stride: usize,
}

/// What there is to know of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    /// Of a convolution: zeros before the image. Of a transposed one: outputs that are cut off in front.
    pub(super) before: usize,
    pub(super) output: usize,
}

impl Axis {
    /// `out[w] = sum over k of kernel[k] * image[w * stride - before + k * dilation]`.
    pub(super) fn convolved(self) -> Phase {
        let tap = |k: usize| (k, (k * self.dilation) as isize - self.before as isize);
        Phase {
            taps: (0..self.kernel).map(tap).collect(),
            count: self.output,
            step: self.stride,
            first: 0,
            stride: 1,
        }
    }

    /// `out[w] = sum over k, i of kernel[k] * image[i]`, where `i * stride - before + k * dilation = w`.
    pub(super) fn transposed(self) -> Vec<Phase> {
        let stride = self.stride as isize;
        let phase = |first: usize| {
            // Outputs `first + q * stride` look at `q + shift`.
            let tap = |k: usize| {
                let reach = (first + self.before) as isize - (k * self.dilation) as isize;
                (reach.rem_euclid(stride) == 0).then(|| (k, reach.div_euclid(stride)))
            };
            Phase {
                taps: (0..self.kernel).filter_map(tap).collect(),
                count: self.output.saturating_sub(first).div_ceil(self.stride),
                step: 1,
                first,
                stride: self.stride,
            }
        };
        (0..self.stride).map(phase).filter(|phase| phase.count > 0).collect()
    }
}

/// How many zeros before and behind an image of this length the windows look at.
pub(super) fn margins(phases: &[Phase], length: usize) -> (usize, usize) {
    let shifts = |phase: &Phase| phase.taps.iter().map(|(_, shift)| *shift).collect::<Vec<_>>();
    let before = phases.iter().flat_map(shifts).min().unwrap_or(0).min(0);
    let last = |phase: &Phase| {
        let reach = phase.taps.iter().map(|(_, shift)| *shift).max()?;
        Some(((phase.count - 1) * phase.step) as isize + reach)
    };
    let last = phases.iter().filter_map(last).max().unwrap_or(0);
    (before.unsigned_abs(), (last + 1 - length as isize).max(0).unsigned_abs())
}
