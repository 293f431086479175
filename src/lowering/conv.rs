//! Convolutions, and transposed ones, as products of the weights with windows of the image.

use std::cell::RefCell;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PoolSpec};

use super::axis::{Axis, Phase, margins};
use super::product::{Gathered, Grid, Product};
use super::winograd::{self, Transformed, Winograd};

/// Outputs per group that are worth a product.
const LEAST_ROWS: usize = 4;

/// A convolution of f32 images, channels first, with weights that do not change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Windowed {
    shape: Arc<Shape>,
    way: Arc<Way>,
    /// Outputs before those of the next group.
    output: usize,
    /// What outputs below it become: that of a rectifier which follows.
    floor: Option<f32>,
}

/// How outputs come about.
#[derive(Debug, PartialEq)]
enum Way {
    /// For each group, of these products.
    Products(Vec<Vec<Product>>),
    Winograd(Winograd),
}

/// How images come and go.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    channels: usize,
    /// Height and width, and the zeros before and behind.
    size: [usize; 2],
    before: [usize; 2],
    padded: [usize; 2],
    groups: usize,
    /// Of all images together.
    out: TVec<usize>,
}

impl Eq for Windowed {}

/// Whether a convolution of this kind becomes a product of ours that is worth it: for the gradient rules, which have a choice.
pub(crate) fn lowers(spec: &PoolSpec, group: usize, kernel: &TypedFact, image: &TypedFact) -> bool {
    kernel.konst.is_some() && suits(spec, group, image)
}

fn suits(spec: &PoolSpec, group: usize, image: &TypedFact) -> bool {
    image.datum_type == f32::datum_type()
        && image.is_plain()
        && image.shape.as_concrete().is_some()
        && !spec.data_format.c_is_last()
        && matches!(spec.rank(), 1 | 2)
        && (group == 1 || spec.output_channels / group >= LEAST_ROWS)
}

/// The operator for a convolution, if there is one.
pub(super) fn of_conv(conv: &Conv, facts: &[&TypedFact]) -> TractResult<Option<Windowed>> {
    let [image, kernel, bias] = facts else { return Ok(None) };
    let (Some(kernel), Some(bias)) = (&kernel.konst, &bias.konst) else { return Ok(None) };
    if conv.q_params.is_some() || !suits(&conv.pool_spec, conv.group, image) {
        return Ok(None);
    }
    let spec = &conv.pool_spec;
    let shape = concrete(image)?;
    let image = spec.data_format.shape(shape)?;
    let padding = spec.computed_padding(image.hw_dims());
    let phases = (0..spec.rank()).map(|index| {
        let (before, output) = (padding[index].pad_before, padding[index].convoluted);
        vec![axis(spec, index, before, output).convolved()]
    });
    let output = spec.output_shape(shape)?.shape;
    Windowed::new(
        spec,
        conv.group,
        (kernel, conv.kernel_fmt),
        bias,
        shape,
        output,
        phases.collect(),
    )
    .map(Some)
}

/// The same of a transposed one.
pub(super) fn of_deconv(deconv: &Deconv, facts: &[&TypedFact]) -> TractResult<Option<Windowed>> {
    let [image, kernel, bias] = facts else { return Ok(None) };
    let (Some(kernel), Some(bias)) = (&kernel.konst, &bias.konst) else { return Ok(None) };
    if !suits(&deconv.pool_spec, deconv.group, image) {
        return Ok(None);
    }
    let spec = &deconv.pool_spec;
    let shape = concrete(image)?;
    let image = spec.data_format.shape(shape)?;
    let padding = spec.padding.compute_for_deconv(
        image.hw_dims(),
        &spec.kernel_shape,
        &spec.dilations(),
        &spec.strides(),
        &deconv.adjustments,
    )?;
    let phases = (0..spec.rank()).map(|index| {
        let (before, output) = (padding[index].pad_before, padding[index].deconvoluted);
        axis(spec, index, before, output).transposed()
    });
    let phases: TVec<Vec<Phase>> = phases.collect();
    let sides: TVec<usize> = padding.iter().map(|axis| axis.deconvoluted).collect();
    let n = image.n().copied();
    let output = if spec.data_format.has_n() {
        spec.data_format.from_n_c_hw(n.unwrap_or(1), spec.output_channels, sides)?.shape
    } else {
        spec.data_format.from_n_c_hw(1, spec.output_channels, sides)?.shape
    };
    Windowed::new(spec, deconv.group, (kernel, deconv.kernel_format), bias, shape, output, phases)
        .map(Some)
}

fn concrete(image: &TypedFact) -> TractResult<&[usize]> {
    image.shape.as_concrete().context("a shape that is not concrete")
}

fn axis(spec: &PoolSpec, index: usize, before: usize, output: usize) -> Axis {
    let (stride, dilation) = (spec.stride(index), spec.dilation(index));
    Axis { kernel: spec.kernel_shape[index], stride, dilation, before, output }
}

impl Windowed {
    fn new(
        spec: &PoolSpec,
        group: usize,
        (kernel, format): (&Arc<Tensor>, KernelFormat),
        bias: &Arc<Tensor>,
        shape: &[usize],
        output: TVec<usize>,
        mut phases: TVec<Vec<Phase>>,
    ) -> TractResult<Self> {
        // One axis is a row of an image of height 1.
        let image = spec.data_format.shape(shape)?;
        let mut size: TVec<usize> = image.hw_dims().into();
        let mut sides: TVec<usize> = spec.kernel_shape.clone();
        let mut out: TVec<usize> = spec.data_format.shape(&output[..])?.hw_dims().into();
        if spec.rank() == 1 {
            let whole = Axis { kernel: 1, stride: 1, dilation: 1, before: 0, output: 1 };
            phases.insert(0, vec![whole.convolved()]);
            size.insert(0, 1);
            sides.insert(0, 1);
            out.insert(0, 1);
        }
        let (top, bottom) = margins(&phases[0], size[0]);
        let (left, right) = margins(&phases[1], size[1]);
        let padded = [size[0] + top + bottom, size[1] + left + right];
        let channels = spec.input_channels / group;
        let rows = spec.output_channels / group;
        let plane = out[0] * out[1];

        // Group by group: rows, channels, height, width.
        let mut weights = kernel.clone().into_tensor();
        for op in format.kernel_as_group_o_i_h_w_ops(kernel.shape(), group) {
            op.change_tensor(&mut weights, false)?;
        }
        let weights = weights.cast_to::<f32>()?.into_owned();
        let weights = weights.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        let bias = bias.cast_to::<f32>()?.into_owned();
        let bias = bias.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        let bias = |row: usize| if bias.len() == 1 { bias[0] } else { bias[row] };
        let shape = Shape {
            channels: spec.input_channels,
            size: [size[0], size[1]],
            before: [top, left],
            padded,
            groups: group,
            out: output,
        };

        let is_small = channels.min(rows) < winograd::LEAST;
        if group == 1 && !is_small && phases.iter().all(|phases| is_three_in_a_row(phases)) {
            let kernel = |row: usize, channel: usize| {
                let kernel = &weights[(row * channels + channel) * 9..][..9];
                let at = |y: usize, x: usize| {
                    kernel[phases[0][0].taps[y].0 * 3 + phases[1][0].taps[x].0]
                };
                std::array::from_fn(|place| at(place / 3, place % 3))
            };
            let start = |phase: &Phase| -phase.taps[0].1;
            let before = [start(&phases[0][0]), start(&phases[1][0])];
            let way = Winograd::new(
                ((0..rows).map(bias).collect(), channels),
                [shape.size, before.map(isize::unsigned_abs), [out[0], out[1]]],
                kernel,
            );
            return Ok(Self {
                shape: shape.into(),
                way: Way::Winograd(way).into(),
                output: rows * plane,
                floor: None,
            });
        }
        let product = |of: usize, vertical: &Phase, horizontal: &Phase| {
            let grid = Grid {
                height: vertical.count,
                width: horizontal.count,
                image: spec.input_channels * padded[0] * padded[1],
                from: (vertical.step * padded[1], horizontal.step),
                outputs: spec.output_channels * plane,
                plane,
                first: vertical.first * out[1] + horizontal.first,
                to: (vertical.stride * out[1], horizontal.stride),
            };
            let (mut offsets, mut places) = (vec![], vec![]);
            for channel in 0..channels {
                for (ky, dy) in &vertical.taps {
                    for (kx, dx) in &horizontal.taps {
                        let (y, x) = (top.strict_add_signed(*dy), left.strict_add_signed(*dx));
                        offsets.push((channel * padded[0] + y) * padded[1] + x);
                        places.push((channel * sides[0] + ky) * sides[1] + kx);
                    }
                }
            }
            let depth = channels * sides[0] * sides[1];
            let bias = (0..rows).map(|row| bias(of * rows + row)).collect();
            Product::new(bias, offsets, grid, |row, k| {
                weights[(of * rows + row) * depth + places[k]]
            })
        };
        let groups = (0..group).map(|of| {
            let pairs = phases[0].iter().flat_map(|y| phases[1].iter().map(move |x| (y, x)));
            pairs.map(|(y, x)| product(of, y, x)).collect()
        });
        let way = Arc::new(Way::Products(groups.collect()));
        Ok(Self { shape: shape.into(), way, output: rows * plane, floor: None })
    }

    /// The same with a rectifier behind it, which knows no other yet.
    pub(super) fn rectified(&self, floor: f32) -> Option<Self> {
        self.floor.is_none().then(|| Self { floor: Some(floor), ..self.clone() })
    }
}

/// Memory that a thread uses again.
#[derive(Debug, Default)]
struct Scratch {
    padded: Vec<f32>,
    gathered: Gathered,
    transformed: Transformed,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Op for Windowed {
    fn name(&self) -> StaticName {
        "Windowed".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}", self.shape)])
    }

    op_as_typed_op!();
}

impl EvalOp for Windowed {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let image = args_1!(inputs);
        let image = image.try_as_plain_ram()?;
        let image = image.as_slice::<f32>()?;
        let mut out = Tensor::zero::<f32>(&self.shape.out)?;
        {
            let mut out = out.try_as_plain_ram_mut()?;
            let out = out.as_slice_mut::<f32>()?;
            SCRATCH.with_borrow_mut(|scratch| match &*self.way {
                Way::Products(groups) => self.multiply(groups, image, out, scratch),
                Way::Winograd(way) => way.run(self.floor, image, out, &mut scratch.transformed),
            });
        }
        Ok(tvec![out.into_tvalue()])
    }
}

impl Windowed {
    fn multiply(
        &self,
        groups: &[Vec<Product>],
        image: &[f32],
        out: &mut [f32],
        Scratch { padded, gathered, .. }: &mut Scratch,
    ) {
        let images = self.shape.pad(image, padded);
        let channels = self.shape.channels / self.shape.groups;
        let [height, width] = self.shape.padded;
        let count = images.len() / (self.shape.channels * height * width);
        for (group, products) in groups.iter().enumerate() {
            let from = &images[group * channels * height * width..];
            let to = &mut out[group * self.output..];
            for product in products {
                product.run((count, self.floor), from, to, gathered);
            }
        }
    }
}

/// Whether the windows along an axis are one beside the other, of three neighbours each, and none begins inside the image.
fn is_three_in_a_row(phases: &[Phase]) -> bool {
    let [Phase { taps, step: 1, stride: 1, .. }] = phases else { return false };
    let shifts: Vec<isize> = taps.iter().map(|(_, shift)| *shift).collect();
    match shifts[..] {
        [a, b, c] => a <= 0 && b == a + 1 && c == a + 2,
        _ => false,
    }
}

impl TypedOp for Windowed {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape.out)])
    }

    as_op!();
}

impl Shape {
    /// The images with their margins.
    fn pad<'a>(&self, images: &'a [f32], to: &'a mut Vec<f32>) -> &'a [f32] {
        if self.size == self.padded {
            return images;
        }
        let ([height, width], [top, left], [_, row]) = (self.size, self.before, self.padded);
        let plane = self.padded[0] * row;
        to.resize(images.len() / (height * width) * plane, 0.0);
        for (from, to) in images.chunks_exact(height * width).zip(to.chunks_exact_mut(plane)) {
            let (above, rest) = to.split_at_mut(top * row);
            let (within, below) = rest.split_at_mut(height * row);
            above.fill(0.0);
            below.fill(0.0);
            for (from, to) in from.chunks_exact(width).zip(within.chunks_exact_mut(row)) {
                to[..left].fill(0.0);
                to[left..left + width].copy_from_slice(from);
                to[left + width..].fill(0.0);
            }
        }
        to
    }
}
