//! The sum of overlapping patches, known as col2im.

use std::ops::AddAssign;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::PoolSpec;
use tract_onnx::tract_core::prelude::tract_num_traits::Zero;

/// One patch per window -> the image in which they are summed, of shape `image_shape`.
///
/// The input is (N) CK P for channels first, (N) P KC for channels last, where P runs over the windows and K over the
/// positions in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fold {
    image_shape: TVec<usize>,
    plan: Arc<FoldPlan>,
}

impl Fold {
    /// `spec` is the geometry of the windows over the image.
    pub(crate) fn new(spec: &PoolSpec, image_shape: &[usize]) -> TractResult<Self> {
        let plan = Arc::new(FoldPlan::new(spec, image_shape)?);
        Ok(Self { image_shape: image_shape.into(), plan })
    }
}

impl Op for Fold {
    fn name(&self) -> StaticName {
        "Fold".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Fold {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let patches = args_1!(inputs);
        let mut image = Tensor::zero_dt(patches.datum_type(), &self.image_shape)?;
        dispatch_floatlike!(fold(patches.datum_type())(&self.plan, &patches, &mut image))?;
        Ok(tvec![image.into_tvalue()])
    }
}

impl TypedOp for Fold {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![inputs[0].datum_type.fact(&*self.image_shape)])
    }

    as_op!();
}

/// Where each run of values goes, the same for all images. Offsets and steps count pixels.
#[derive(Debug, PartialEq, Eq)]
struct FoldPlan {
    strips: Vec<Strip>,
    channels_last: bool,
    /// Values per pixel.
    pixel: usize,
    image_len: usize,
    patches_len: usize,
    from_step: usize,
    to_step: usize,
    /// The image's last axis, where the strips of channels-first images are summed apart by column modulo the stride.
    row: usize,
}

/// The values of one position in the windows, along a row of windows.
#[derive(Debug, PartialEq, Eq)]
struct Strip {
    from: usize,
    to: usize,
    len: usize,
}

impl FoldPlan {
    fn new(spec: &PoolSpec, image_shape: &[usize]) -> TractResult<FoldPlan> {
        let shape = spec.data_format.shape(image_shape)?;
        let image = shape.hw_dims();
        let padding = spec.computed_padding(image);
        let windows: TVec<usize> = padding.iter().map(|dim| dim.convoluted).collect();
        let (positions, count): (usize, usize) =
            (spec.kernel_shape.iter().product(), windows.iter().product());
        let channels_last = spec.data_format.c_is_last();
        let last = spec.rank() - 1;
        let mut strips = vec![];
        for position in tract_ndarray::indices(&spec.kernel_shape[..]) {
            // For each axis, the windows for which this position lies inside the image.
            let valid: TVec<_> = (0..spec.rank())
                .map(|axis| {
                    let at = position[axis] * spec.dilation(axis);
                    let (before, stride) = (padding[axis].pad_before, spec.stride(axis));
                    let start = before.saturating_sub(at).div_ceil(stride);
                    let end = (image[axis] + before).saturating_sub(at).div_ceil(stride);
                    start.min(windows[axis])..end.min(windows[axis])
                })
                .collect();
            if valid.iter().any(|range| range.is_empty()) {
                continue;
            }
            let position_index = (0..spec.rank())
                .fold(0, |index, axis| index * spec.kernel_shape[axis] + position[axis]);
            let lens: TVec<usize> = valid[..last].iter().map(|range| range.len()).collect();
            for row in tract_ndarray::indices(&lens[..]) {
                let (mut window, mut to) = (0, 0);
                for axis in 0..spec.rank() {
                    let at = valid[axis].start + if axis == last { 0 } else { row[axis] };
                    window = window * windows[axis] + at;
                    let pixel = at * spec.stride(axis) + position[axis] * spec.dilation(axis)
                        - padding[axis].pad_before;
                    if axis == last && !channels_last {
                        let stride = spec.stride(axis);
                        let pitch = image[axis].div_ceil(stride);
                        let rows = image[..last].iter().product::<usize>();
                        to = (pixel % stride * rows + to) * pitch + pixel / stride;
                    } else {
                        to = to * image[axis] + pixel;
                    }
                }
                let from = if channels_last {
                    window * positions + position_index
                } else {
                    position_index * count + window
                };
                strips.push(Strip { from, to, len: valid[last].len() });
            }
        }
        Ok(FoldPlan {
            strips,
            channels_last,
            pixel: if channels_last { *shape.c() } else { 1 },
            image_len: image.iter().product(),
            patches_len: positions * count,
            from_step: if channels_last { positions } else { 1 },
            to_step: spec.stride(last),
            row: image[last],
        })
    }
}

fn fold<T: Datum + Copy + AddAssign + Zero>(
    plan: &FoldPlan,
    patches: &Tensor,
    image: &mut Tensor,
) -> TractResult<()> {
    let patches = patches.try_as_plain_ram()?;
    let mut image = image.try_as_plain_ram_mut()?;
    let (patches, image) = (patches.as_slice::<T>()?, image.as_slice_mut::<T>()?);
    if plan.channels_last {
        fold_pixels(plan, patches, image);
    } else if plan.to_step == 1 {
        fold_plane(plan, patches, image, plan.image_len);
    } else {
        fold_planes(plan, patches, image);
    }
    Ok(())
}

/// Channels last: the values of a pixel are contiguous.
fn fold_pixels<T: Copy + AddAssign>(plan: &FoldPlan, patches: &[T], image: &mut [T]) {
    let pixel = plan.pixel;
    let patches = patches.chunks_exact(plan.patches_len * pixel);
    for (patches, image) in patches.zip(image.chunks_exact_mut(plan.image_len * pixel)) {
        for strip in &plan.strips {
            let from = patches[strip.from * pixel..].chunks(plan.from_step * pixel);
            let to = image[strip.to * pixel..].chunks_mut(plan.to_step * pixel);
            for (to, from) in to.zip(from).take(strip.len) {
                add(&mut to[..pixel], &from[..pixel]);
            }
        }
    }
}

/// Channels first, stride 1: strips are contiguous on both sides; `len` values per channel.
///
/// Small channels are summed several at a time, strip by strip: a strip overlaps the one before it by all but one
/// value, and would wait for its stores.
fn fold_plane<T: Copy + AddAssign>(plan: &FoldPlan, patches: &[T], planes: &mut [T], len: usize) {
    const VALUES: usize = 4096;
    let channels = (VALUES / len.max(1)).max(1);
    let patches = patches.chunks(channels * plan.patches_len);
    for (patches, planes) in patches.zip(planes.chunks_mut(channels * len)) {
        for strip in &plan.strips {
            let patches = patches.chunks_exact(plan.patches_len);
            for (patch, plane) in patches.zip(planes.chunks_exact_mut(len)) {
                add(&mut plane[strip.to..][..strip.len], &patch[strip.from..][..strip.len]);
            }
        }
    }
}

/// Channels first, strided: strips are contiguous in a plane per residue of the column modulo the stride. The planes
/// are interleaved once they are summed.
fn fold_planes<T: Copy + AddAssign + Zero>(plan: &FoldPlan, patches: &[T], image: &mut [T]) {
    let pitch = plan.row.div_ceil(plan.to_step);
    let rows = plan.image_len / plan.row.max(1);
    let mut planes = vec![T::zero(); plan.to_step * rows * pitch];
    let patches = patches.chunks_exact(plan.patches_len);
    for (patches, image) in patches.zip(image.chunks_exact_mut(plan.image_len)) {
        planes.fill(T::zero());
        let len = planes.len();
        fold_plane(plan, patches, &mut planes, len);
        for (residue, plane) in planes.chunks_exact(rows * pitch).enumerate().take(plan.row) {
            for (row, values) in image.chunks_exact_mut(plan.row).zip(plane.chunks_exact(pitch)) {
                let columns = row[residue..].iter_mut().step_by(plan.to_step);
                columns.zip(values).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

fn add<T: Copy + AddAssign>(to: &mut [T], from: &[T]) {
    // Strips are short: four lanes at a time, rather than a loop that pays off from sixteen values on.
    let ((to, to_rest), (from, from_rest)) = (to.as_chunks_mut::<4>(), from.as_chunks::<4>());
    for (to, from) in to.iter_mut().zip(from) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
    }
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to += *from);
}
