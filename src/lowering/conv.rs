//! Convolutions, and transposed ones, as products of the weights with windows of the image.

use std::cell::RefCell;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PoolSpec};
use tract_onnx::tract_core::ops::nn::DataShape;

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
    if conv.q_params.is_some() {
        return Ok(None);
    }
    let layer = Layer::of((&conv.pool_spec, conv.group, conv.kernel_fmt), facts)?;
    let Some(layer) = layer else { return Ok(None) };
    let (spec, image) = (layer.spec, &layer.image);
    let padding = spec.computed_padding(image.hw_dims());
    let phases = padding
        .iter()
        .enumerate()
        .map(|(index, axis)| vec![layer.axis(index, axis.pad_before, axis.convoluted).convolved()]);
    let out = spec.output_shape(&image.shape)?.shape;
    layer.windowed(phases, out).map(Some)
}

/// The same of a transposed one.
pub(super) fn of_deconv(deconv: &Deconv, facts: &[&TypedFact]) -> TractResult<Option<Windowed>> {
    let layer = Layer::of((&deconv.pool_spec, deconv.group, deconv.kernel_format), facts)?;
    let Some(layer) = layer else { return Ok(None) };
    let (spec, image) = (layer.spec, &layer.image);
    let padding = spec.padding.compute_for_deconv(
        image.hw_dims(),
        &spec.kernel_shape,
        &spec.dilations(),
        &spec.strides(),
        &deconv.adjustments,
    )?;
    let phases = padding
        .iter()
        .enumerate()
        .map(|(index, axis)| layer.axis(index, axis.pad_before, axis.deconvoluted).transposed());
    let sides: TVec<usize> = padding.iter().map(|axis| axis.deconvoluted).collect();
    let n = image.n().copied().unwrap_or(1);
    let out = spec.data_format.from_n_c_hw(n, spec.output_channels, sides)?.shape;
    layer.windowed(phases, out).map(Some)
}

/// What there is to know of a convolution.
struct Layer<'a> {
    spec: &'a PoolSpec,
    group: usize,
    image: DataShape,
    /// Group by group: rows, channels, height, width.
    weights: Vec<f32>,
    /// Of each row of each group.
    bias: Vec<f32>,
}

impl<'a> Layer<'a> {
    /// None for what [`Windowed`] is not for.
    fn of(
        (spec, group, format): (&'a PoolSpec, usize, KernelFormat),
        facts: &[&TypedFact],
    ) -> TractResult<Option<Self>> {
        let [image, kernel, bias] = facts else { return Ok(None) };
        let (Some(kernel), Some(bias)) = (&kernel.konst, &bias.konst) else { return Ok(None) };
        if !suits(spec, group, image) {
            return Ok(None);
        }
        let shape = image.shape.as_concrete().context("a shape that is not concrete")?;
        let mut weights = kernel.clone().into_tensor();
        for op in format.kernel_as_group_o_i_h_w_ops(kernel.shape(), group) {
            op.change_tensor(&mut weights, false)?;
        }
        let bias = floats(bias)?.into_iter().cycle().take(spec.output_channels).collect();
        let image = spec.data_format.shape(shape.into())?;
        Ok(Some(Self { spec, group, image, weights: floats(&weights)?, bias }))
    }

    fn axis(&self, index: usize, before: usize, output: usize) -> Axis {
        let (stride, dilation) = (self.spec.stride(index), self.spec.dilation(index));
        Axis { kernel: self.spec.kernel_shape[index], stride, dilation, before, output }
    }

    /// Of each group.
    fn rows(&self) -> usize {
        self.spec.output_channels / self.group
    }

    /// Of each group.
    fn channels(&self) -> usize {
        self.spec.input_channels / self.group
    }

    fn windowed(
        &self,
        phases: impl Iterator<Item = Vec<Phase>>,
        out: TVec<usize>,
    ) -> TractResult<Windowed> {
        let whole = Axis { kernel: 1, stride: 1, dilation: 1, before: 0, output: 1 };
        let phases = two(vec![whole.convolved()], phases)?;
        let size = two(1, self.image.hw_dims().iter().copied())?;
        let outputs = self.spec.data_format.shape(&out)?;
        let outputs = two(1, outputs.hw_dims().iter().copied())?;
        let sides = two(1, self.spec.kernel_shape.iter().copied())?;
        let (top, bottom) = margins(&phases[0], size[0]);
        let (left, right) = margins(&phases[1], size[1]);
        let padded = [size[0] + top + bottom, size[1] + left + right];
        let before = [top, left];
        let channels = self.spec.input_channels;
        let shape = Shape { channels, size, before, padded, out };
        let way = match self.winograd(&phases, size, outputs) {
            Some(way) => Way::Winograd(way),
            None => Way::Products(self.products(&phases, &shape, outputs, sides)),
        };
        Ok(Windowed { shape: shape.into(), way: way.into(), floor: None })
    }

    fn winograd(
        &self,
        phases: &[Vec<Phase>; 2],
        size: [usize; 2],
        outputs: [usize; 2],
    ) -> Option<Winograd> {
        let (rows, channels) = (self.rows(), self.channels());
        if self.group > 1 || channels.min(rows) < winograd::LEAST {
            return None;
        }
        let [vertical, horizontal] = [three_in_a_row(&phases[0])?, three_in_a_row(&phases[1])?];
        let kernel = |row: usize, channel: usize| {
            let kernel = &self.weights[(row * channels + channel) * 9..][..9];
            std::array::from_fn(|place| {
                kernel[vertical.taps[place / 3].0 * 3 + horizontal.taps[place % 3].0]
            })
        };
        let before = [vertical, horizontal].map(|phase| phase.taps[0].1.unsigned_abs());
        Some(Winograd::new((self.bias.clone(), channels), [size, before, outputs], kernel))
    }

    /// For each group, one for each pair of phases.
    fn products(
        &self,
        [vertical, horizontal]: &[Vec<Phase>; 2],
        shape: &Shape,
        outputs: [usize; 2],
        sides: [usize; 2],
    ) -> Vec<Vec<Product>> {
        let product = |of: usize, y: &Phase, x: &Phase| {
            let rows = of * self.rows()..(of + 1) * self.rows();
            self.product(rows, [y, x], shape, outputs, sides)
        };
        let of_group = |of: usize| {
            let pairs = vertical.iter().flat_map(|y| horizontal.iter().map(move |x| (y, x)));
            pairs.map(|(y, x)| product(of, y, x)).collect()
        };
        (0..self.group).map(of_group).collect()
    }

    fn product(
        &self,
        rows: std::ops::Range<usize>,
        [vertical, horizontal]: [&Phase; 2],
        shape: &Shape,
        [height, width]: [usize; 2],
        sides: [usize; 2],
    ) -> Product {
        let (padded, plane) = (shape.padded, height * width);
        let grid = Grid {
            height: vertical.count,
            width: horizontal.count,
            image: self.spec.input_channels * padded[0] * padded[1],
            from: (vertical.step * padded[1], horizontal.step),
            outputs: self.spec.output_channels * plane,
            plane,
            first: vertical.first * width + horizontal.first,
            to: (vertical.stride * width, horizontal.stride),
        };
        let (mut offsets, mut places) = (vec![], vec![]);
        for channel in 0..self.channels() {
            for (ky, dy) in &vertical.taps {
                for (kx, dx) in &horizontal.taps {
                    let [y, x] = [
                        shape.before[0].strict_add_signed(*dy),
                        shape.before[1].strict_add_signed(*dx),
                    ];
                    offsets.push((channel * padded[0] + y) * padded[1] + x);
                    places.push((channel * sides[0] + ky) * sides[1] + kx);
                }
            }
        }
        let depth = self.channels() * sides[0] * sides[1];
        let weights = &self.weights[rows.start * depth..];
        let weight = |row: usize, k: usize| weights[row * depth + places[k]];
        Product::new(self.bias[rows].to_vec(), offsets, grid, weight)
    }
}

/// Of height and width; a row of values has this height.
fn two<T>(height: T, axes: impl Iterator<Item = T>) -> TractResult<[T; 2]> {
    let mut axes: Vec<T> = axes.collect();
    if axes.len() == 1 {
        axes.insert(0, height);
    }
    axes.try_into().ok().context("neither one axis nor two")
}

fn floats(tensor: &Tensor) -> TractResult<Vec<f32>> {
    let tensor = tensor.cast_to::<f32>()?;
    Ok(tensor.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
}

/// The windows along an axis, if they are one beside the other, of three neighbours each, and none begins inside the image.
fn three_in_a_row(phases: &[Phase]) -> Option<&Phase> {
    let [phase @ Phase { taps, step: 1, stride: 1, .. }] = phases else { return None };
    let [(_, a), (_, b), (_, c)] = taps[..] else { return None };
    (a <= 0 && b == a + 1 && c == a + 2).then_some(phase)
}

impl Windowed {
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
        let [height, width] = self.shape.padded;
        let values = self.shape.channels * height * width;
        let count = images.len() / values;
        let outputs = out.len() / count.max(1);
        for (group, products) in groups.iter().enumerate() {
            let from = &images[group * (values / groups.len())..];
            let to = &mut out[group * (outputs / groups.len())..];
            for product in products {
                product.run((count, self.floor), from, to, gathered);
            }
        }
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
