//! The sum of overlapping patches, known as col2im.

use std::ops::AddAssign;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::PoolSpec;

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
    /// Values per pixel.
    pixel: usize,
    image_len: usize,
    patches_len: usize,
    from_step: usize,
    to_step: usize,
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
                    to = to * image[axis]
                        + at * spec.stride(axis)
                        + position[axis] * spec.dilation(axis)
                        - padding[axis].pad_before;
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
            pixel: if channels_last { *shape.c() } else { 1 },
            image_len: image.iter().product(),
            patches_len: positions * count,
            from_step: if channels_last { positions } else { 1 },
            to_step: spec.stride(last),
        })
    }
}

fn fold<T: Datum + Copy + AddAssign>(
    plan: &FoldPlan,
    patches: &Tensor,
    image: &mut Tensor,
) -> TractResult<()> {
    let patches = patches.try_as_plain_ram()?;
    let mut image = image.try_as_plain_ram_mut()?;
    let pixel = plan.pixel;
    let patches = patches.as_slice::<T>()?.chunks_exact(plan.patches_len * pixel);
    let images = image.as_slice_mut::<T>()?.chunks_exact_mut(plan.image_len * pixel);
    for (patches, image) in patches.zip(images) {
        for strip in &plan.strips {
            if pixel > 1 {
                let from = patches[strip.from * pixel..].chunks(plan.from_step * pixel);
                let to = image[strip.to * pixel..].chunks_mut(plan.to_step * pixel);
                for (to, from) in to.zip(from).take(strip.len) {
                    add(&mut to[..pixel], &from[..pixel]);
                }
            } else if plan.from_step > 1 {
                let from = patches[strip.from..].iter().step_by(plan.from_step).take(strip.len);
                let to = image[strip.to..].iter_mut().step_by(plan.to_step);
                to.zip(from).for_each(|(to, from)| *to += *from);
            } else if plan.to_step == 1 {
                let from = &patches[strip.from..][..strip.len];
                add(&mut image[strip.to..][..strip.len], from);
            } else {
                let from = &patches[strip.from..][..strip.len];
                let to = &mut image[strip.to..][..(strip.len - 1) * plan.to_step + 1];
                to.iter_mut().step_by(plan.to_step).zip(from).for_each(|(to, from)| *to += *from);
            }
        }
    }
    Ok(())
}

fn add<T: Copy + AddAssign>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}
