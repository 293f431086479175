//! Convolutions, and transposed ones, as products of the weights with windows of the image.

use std::cell::RefCell;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PoolSpec};
use tract_onnx::tract_core::ops::nn::DataShape;

use super::axis::{Axis, Phase, margins};
use super::ending::Ending;
use super::planes::Planes;
use super::product::{Gathered, Grid, Product};
use super::thin::{self, Pass, Thin};
use super::winograd::{self, Transformed, Winograd};
use crate::pool;

/// A convolution of f32 images, channels first, with weights that do not change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Windowed {
    /// Of all images together.
    shape: TVec<usize>,
    /// Values of a channel that come of an image.
    plane: usize,
    way: Arc<Way>,
    ending: Ending,
}

/// How outputs come about.
#[derive(Debug, PartialEq)]
enum Way {
    Products(Products),
    Winograd(Winograd),
    Thin(Thin),
}

/// For each group of channels, some products.
#[derive(Debug, PartialEq)]
struct Products {
    planes: Planes,
    /// Of an image.
    channels: usize,
    groups: Vec<Vec<Product>>,
}

impl Eq for Windowed {}

/// Whether a convolution of this kind becomes a product of ours that is worth it: for the gradient rules, which have a choice.
pub(crate) fn lowers(spec: &PoolSpec, kernel: &TypedFact, image: &TypedFact) -> bool {
    kernel.konst.is_some() && suits(spec, image)
}

fn suits(spec: &PoolSpec, image: &TypedFact) -> bool {
    image.datum_type == f32::datum_type()
        && image.is_plain()
        && image.shape.as_concrete().is_some()
        && !spec.data_format.c_is_last()
        && matches!(spec.rank(), 1 | 2)
}

/// The operator for a convolution, of whose outputs maxima may be taken, if there is one.
pub(super) fn of_conv(
    conv: &Conv,
    facts: &[&TypedFact],
    is_pooled: bool,
) -> TractResult<Option<Windowed>> {
    if conv.q_params.is_some() {
        return Ok(None);
    }
    let layer = Layer::of((&conv.pool_spec, conv.group, conv.kernel_fmt), facts)?;
    let Some(layer) = layer else { return Ok(None) };
    let layer = Layer { is_pooled, ..layer };
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
    /// Whether maxima are taken of what comes of it.
    is_pooled: bool,
}

impl<'a> Layer<'a> {
    /// None for what [`Windowed`] is not for.
    fn of(
        (spec, group, format): (&'a PoolSpec, usize, KernelFormat),
        facts: &[&TypedFact],
    ) -> TractResult<Option<Self>> {
        let [image, kernel, bias] = facts else { return Ok(None) };
        let (Some(kernel), Some(bias)) = (&kernel.konst, &bias.konst) else { return Ok(None) };
        if !suits(spec, image) {
            return Ok(None);
        }
        let shape = image.shape.as_concrete().context("a shape that is not concrete")?;
        let mut weights = kernel.clone().into_tensor();
        for op in format.kernel_as_group_o_i_h_w_ops(kernel.shape(), group) {
            op.change_tensor(&mut weights, false)?;
        }
        let bias = floats(bias)?.into_iter().cycle().take(spec.output_channels).collect();
        let image = spec.data_format.shape(shape.into())?;
        let weights = floats(&weights)?;
        Ok(Some(Self { spec, group, image, weights, bias, is_pooled: false }))
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
        let layout = Layout {
            size: two(1, self.image.hw_dims().iter().copied())?,
            kernel: two(1, self.spec.kernel_shape.iter().copied())?,
            out: {
                let out = self.spec.data_format.shape(&out)?;
                two(1, out.hw_dims().iter().copied())?
            },
        };
        let way = if let Some(way) = self.winograd(&phases, &layout) {
            Way::Winograd(way)
        } else if self.rows() <= thin::ROWS {
            Way::Thin(self.thin(&phases, &layout))
        } else {
            Way::Products(self.products(&phases, &layout))
        };
        let plane = layout.out.iter().product();
        Ok(Windowed { shape: out, plane, way: way.into(), ending: Ending::new(self.bias.clone()) })
    }

    fn winograd(&self, phases: &[Vec<Phase>; 2], layout: &Layout) -> Option<Winograd> {
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
        let sizes = [layout.size, before, layout.out];
        Some(Winograd::new((rows, channels), sizes, self.is_pooled, kernel))
    }

    fn thin(&self, phases: &[Vec<Phase>; 2], layout: &Layout) -> Thin {
        let step = [0, 1].map(|axis| phases[axis].first().map_or(1, |phase| phase.step));
        let planes = layout.planes(phases, step);
        let passes = pairs(phases).map(|[y, x]| {
            let (offsets, places) = self.taps([y, x], &planes, layout.kernel);
            let depth = self.channels() * layout.kernel[0] * layout.kernel[1];
            let rows = self.weights.chunks_exact(self.rows() * depth);
            let weights = rows.flat_map(|rows| {
                let of_place = |place: usize| rows.iter().skip(place).step_by(depth).copied();
                places.iter().flat_map(move |place| of_place(*place))
            });
            Pass {
                weights: weights.collect(),
                offsets,
                grid: [y.count, x.count],
                first: y.first * layout.out[1] + x.first,
                to: [y.stride, x.stride],
            }
        });
        let out = (layout.out[0] * layout.out[1], layout.out[1]);
        let passes = passes.collect();
        Thin { planes, channels: self.channels(), rows: self.rows(), passes, out }
    }

    fn products(&self, phases: &[Vec<Phase>; 2], layout: &Layout) -> Products {
        let planes = layout.planes(phases, [1, 1]);
        let product = |of: usize, pair| self.product(of, pair, &planes, layout);
        let of_group = |of: usize| pairs(phases).map(|pair| product(of, pair)).collect();
        let groups = (0..self.group).map(of_group).collect();
        Products { planes, channels: self.spec.input_channels, groups }
    }

    fn product(
        &self,
        of: usize,
        [vertical, horizontal]: [&Phase; 2],
        planes: &Planes,
        layout: &Layout,
    ) -> Product {
        let ([height, width], rows) = (layout.out, self.rows());
        let plane = height * width;
        let grid = Grid {
            height: vertical.count,
            width: horizontal.count,
            image: self.spec.input_channels * planes.len(),
            from: (vertical.step * planes.row(), horizontal.step),
            outputs: self.spec.output_channels * plane,
            plane,
            first: vertical.first * width + horizontal.first,
            to: (vertical.stride * width, horizontal.stride),
        };
        let (offsets, places) = self.taps([vertical, horizontal], planes, layout.kernel);
        let depth = self.channels() * layout.kernel[0] * layout.kernel[1];
        let weights = &self.weights[of * rows * depth..];
        Product::new(rows, offsets, grid, |row, k| weights[row * depth + places[k]])
    }

    /// What windows look at: where it lies from a window's start on, and its place in a row of weights.
    fn taps(
        &self,
        [vertical, horizontal]: [&Phase; 2],
        planes: &Planes,
        [height, width]: [usize; 2],
    ) -> (Vec<usize>, Vec<usize>) {
        let mut taps = vec![];
        for channel in 0..self.channels() {
            for (ky, dy) in &vertical.taps {
                for (kx, dx) in &horizontal.taps {
                    let place = (channel * height + ky) * width + kx;
                    taps.push((channel * planes.len() + planes.place([*dy, *dx]), place));
                }
            }
        }
        taps.into_iter().unzip()
    }
}

/// Heights and widths.
struct Layout {
    /// Of images.
    size: [usize; 2],
    kernel: [usize; 2],
    /// Of what comes of an image.
    out: [usize; 2],
}

impl Layout {
    fn planes(&self, phases: &[Vec<Phase>; 2], step: [usize; 2]) -> Planes {
        let margins = [0, 1].map(|axis| margins(&phases[axis], self.size[axis]));
        let padded = [0, 1].map(|axis| self.size[axis] + margins[axis].0 + margins[axis].1);
        Planes::new(self.size, margins.map(|(before, _)| before), padded, step)
    }
}

fn pairs([vertical, horizontal]: &[Vec<Phase>; 2]) -> impl Iterator<Item = [&Phase; 2]> {
    vertical.iter().flat_map(move |y| horizontal.iter().map(move |x| [y, x]))
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
    /// One of 1x1: `out[.., n, t] = sum over k of x[.., k, t] * weight(k, n)`, for `trail` values t.
    pub(super) fn pointwise(
        shape: &[usize],
        (channels, rows): (usize, usize),
        trail: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let size = [1, trail];
        let grid = Grid {
            height: 1,
            width: trail,
            image: channels * trail,
            from: (trail, 1),
            outputs: rows * trail,
            plane: trail,
            first: 0,
            to: (trail, 1),
        };
        let offsets = (0..channels).map(|channel| channel * trail).collect();
        let product = Product::new(rows, offsets, grid, |row, k| weight(k, row));
        let planes = Planes::new(size, [0, 0], size, [1, 1]);
        let way = Way::Products(Products { planes, channels, groups: vec![vec![product]] });
        let ending = Ending::new(vec![0.0; rows]);
        Self { shape: shape.into(), plane: trail, way: way.into(), ending }
    }

    /// The same with this operator behind it, if that can be.
    pub(super) fn then(&self, op: &TypedBinOp, konst: &Tensor) -> TractResult<Option<Self>> {
        let ending = self.ending.then(op, konst, (&self.shape, self.plane))?;
        Ok(ending.map(|ending| Self { ending, ..self.clone() }))
    }
}

/// Memory that a thread uses again.
#[derive(Debug, Default)]
struct Scratch {
    padded: Vec<f32>,
    gathered: Gathered,
    transformed: Transformed,
    thin: thin::Memory,
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

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let image = args_1!(inputs);
        let mut out = pool::take(ctx, &self.shape)?;
        {
            let image = image.try_as_plain_ram()?;
            let image = image.as_slice::<f32>()?;
            let mut out = out.try_as_plain_ram_mut()?;
            let out = out.as_slice_mut::<f32>()?;
            let ending = &self.ending;
            SCRATCH.with_borrow_mut(|scratch| match &*self.way {
                Way::Products(way) => way.run(ending, image, out, scratch),
                Way::Winograd(way) => way.run(ending, image, out, &mut scratch.transformed),
                Way::Thin(way) => way.run(ending, image, out, &mut scratch.thin),
            });
        }
        pool::give(ctx, image);
        Ok(tvec![out.into_tvalue()])
    }
}

impl Products {
    fn run(
        &self,
        ending: &Ending,
        images: &[f32],
        out: &mut [f32],
        Scratch { padded, gathered, .. }: &mut Scratch,
    ) {
        let images = self.planes.laid_out(images, padded);
        let values = self.channels * self.planes.len();
        let count = images.len() / values;
        let (outputs, groups) = (out.len() / count.max(1), self.groups.len());
        let rows = ending.bias.len() / groups;
        for (group, products) in self.groups.iter().enumerate() {
            let from = &images[group * (values / groups)..];
            let to = &mut out[group * (outputs / groups)..];
            let bias = &ending.bias[group * rows..][..rows];
            for product in products {
                product.run(count, (bias, ending.clamp), from, to, gathered);
            }
        }
    }
}

impl TypedOp for Windowed {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(&*self.shape)])
    }

    as_op!();
}
