//! Our operators against tract's, over random shapes.

use proptest::prelude::*;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{
    Conv, Deconv, KernelFormat, MaxPool, PaddingSpec, PoolSpec,
};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{add, max, min, mul};
use tract_onnx::tract_core::ops::nn::{DataFormat, Softmax, SoftmaxKind};

use super::lower;
use crate::grad::testing::values;
use crate::pool::Pool;

#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    has_n: bool,
    group: usize,
    inputs: usize,
    outputs: usize,
    image: Vec<usize>,
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    before: Vec<usize>,
    after: Vec<usize>,
    adjustments: Vec<usize>,
    transposed: bool,
}

impl Case {
    fn spec(&self) -> PoolSpec {
        PoolSpec {
            data_format: if self.has_n { DataFormat::NCHW } else { DataFormat::CHW },
            kernel_shape: self.kernel.iter().copied().collect(),
            padding: PaddingSpec::Explicit(
                self.before.iter().copied().collect(),
                self.after.iter().copied().collect(),
            ),
            dilations: Some(self.dilations.iter().copied().collect()),
            strides: Some(self.strides.iter().copied().collect()),
            input_channels: self.group * self.inputs,
            output_channels: self.group * self.outputs,
        }
    }

    fn shape(&self, batch: usize) -> TVec<usize> {
        let format = self.spec().data_format;
        format.from_n_c_hw(batch, self.group * self.inputs, &self.image).unwrap().shape
    }

    fn model(&self, batch: usize) -> TypedModel {
        let mut model = TypedModel::default();
        let image = model.add_source("image", f32::fact(&*self.shape(batch))).unwrap();
        let sides = &self.kernel[..];
        let kernel = [&[self.group * self.outputs, self.inputs], sides].concat();
        let kernel = values(&kernel, -1.0, 0.7).cast_to::<f32>().unwrap().into_owned();
        let bias = values(&[self.group * self.outputs], -1.0, 1.0);
        let bias = bias.cast_to::<f32>().unwrap().into_owned();
        let inputs = [
            image,
            model.add_const("kernel", kernel).unwrap(),
            model.add_const("bias", bias).unwrap(),
        ];
        let (pool_spec, group) = (self.spec(), self.group);
        let out = if self.transposed {
            let adjustments = self.adjustments.iter().copied().collect();
            let kernel_format = KernelFormat::OIHW;
            model.wire_node("op", Deconv { pool_spec, kernel_format, adjustments, group }, &inputs)
        } else {
            let kernel_fmt = KernelFormat::OIHW;
            model.wire_node("op", Conv { pool_spec, kernel_fmt, group, q_params: None }, &inputs)
        };
        model.select_output_outlets(&out.unwrap()).unwrap();
        model
    }

    fn run(model: TypedModel, image: Tensor) -> Tensor {
        run(model, tvec![image])
    }

    /// None when there is no output, or tract has another operator for it.
    fn check(&self) -> Option<()> {
        self.check_within(|expected, _| 2e-5 * (1.0 + expected))
    }

    /// The same with what an output may be off by, given its size and that of the largest.
    fn check_within(&self, tolerance: impl Fn(f32, f32) -> f32) -> Option<()> {
        let spec = self.spec();
        let reaches = |at: usize| {
            let field = (self.kernel[at] - 1) * self.dilations[at] + 1;
            if self.transposed {
                let span = (self.image[at] - 1) * self.strides[at] + field;
                let cut = self.before[at] + self.after[at];
                // Without the adjustment: tract adds it last, and overflows before.
                span >= cut && span + self.adjustments[at] > cut
            } else {
                self.image[at] + self.before[at] + self.after[at] >= field
            }
        };
        (0..spec.rank()).all(reaches).then_some(())?;
        let shape = self.shape(self.batch);
        let image = values(&shape, -1.0, 1.0).cast_to::<f32>().unwrap().into_owned();
        let expected = Self::run(self.model(self.batch), image.clone());
        let mut model = self.model(self.batch);
        lower(&mut model).unwrap();
        let is_ours = model.nodes.iter().any(|node| node.op.name() == "Windowed");
        assert!(is_ours, "not lowered: {self:?}");
        let found = Self::run(model, image.clone());
        assert_eq!(found.shape(), expected.shape());
        let (found_values, expected) = (slice(&found), slice(&expected));
        let largest = expected.iter().fold(1.0, |largest: f32, value| largest.max(value.abs()));
        for (found, expected) in found_values.iter().zip(expected) {
            let within = (found - expected).abs() <= tolerance(expected.abs(), largest);
            assert!(within, "{found} not {expected}: {self:?}");
        }
        // Each image by itself: the same bits.
        if self.has_n {
            let mut alone = self.model(1);
            lower(&mut alone).unwrap();
            let each = found_values.len() / self.batch;
            for (at, expected) in found_values.chunks(each).enumerate() {
                let one = image.slice(0, at, at + 1).unwrap();
                assert!(slice(&Self::run(alone.clone(), one)) == expected, "{self:?}");
            }
        }
        Some(())
    }
}

/// With memory of earlier values, which may be anything.
pub(super) fn run(model: TypedModel, inputs: TVec<Tensor>) -> Tensor {
    let plan = model.into_optimized().unwrap().into_runnable().unwrap();
    let mut state = plan.spawn().unwrap();
    let outputs = plan.model().output_outlets().unwrap().iter();
    let used = outputs.map(|outlet| {
        let fact = plan.model().outlet_fact(*outlet).unwrap();
        let length = fact.shape.as_concrete().unwrap().iter().product();
        tensor1(&vec![f32::NAN; length])
    });
    state.turn_state.shared.insert(Pool::of(used));
    let inputs = inputs.into_iter().map(Tensor::into_tvalue).collect();
    state.run(inputs).unwrap().remove(0).into_tensor()
}

pub(super) fn slice(tensor: &Tensor) -> Vec<f32> {
    tensor.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn cases() -> impl Strategy<Value = Case> {
    (1..=2_usize).prop_flat_map(|rank| {
        let of = |range: std::ops::Range<usize>| proptest::collection::vec(range, rank);
        let numbers = (1..5_usize, any::<bool>(), 1..4_usize, 1..12_usize, 1..21_usize);
        let sides = (of(1..13), of(1..5), of(1..4), of(1..3));
        (numbers, sides, of(0..4), of(0..4), of(0..3), any::<bool>()).prop_map(
            |(numbers, sides, before, after, adjustments, transposed)| {
                let (batch, has_n, group, inputs, outputs) = numbers;
                let (image, kernel, strides, dilations) = sides;
                Case {
                    batch: if has_n { batch } else { 1 },
                    has_n,
                    group,
                    inputs,
                    outputs,
                    image,
                    kernel,
                    strides,
                    dilations,
                    before,
                    after,
                    adjustments,
                    transposed,
                }
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn convolutions_are_tracts(case in cases()) {
        case.check();
    }
}

fn of_three_by_three() -> impl Strategy<Value = Case> {
    let sides = || proptest::collection::vec(1..20_usize, 2);
    let margins = || proptest::collection::vec(0..4_usize, 2);
    // Many channels of few patches go another way.
    let numbers = (1..5_usize, prop_oneof![16..37_usize, 65..70_usize], 16..30_usize);
    (numbers, sides(), margins(), margins()).prop_map(|(numbers, image, before, after)| {
        let (batch, inputs, outputs) = numbers;
        Case {
            batch,
            has_n: true,
            group: 1,
            inputs,
            outputs,
            image,
            kernel: vec![3, 3],
            strides: vec![1, 1],
            dilations: vec![1, 1],
            before,
            after,
            adjustments: vec![0, 0],
            transposed: false,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Winograd's sums are of other terms, some much larger than the sum may be.
    #[test]
    fn winograds_convolutions_are_tracts(case in of_three_by_three()) {
        let terms = 9.0 * case.inputs as f32;
        case.check_within(|_, largest| (1e-5 * largest).max(2e-7 * terms));
    }
}

/// `max(0, x W + b)` for rows of one or two axes, the weights either way round.
fn layer(shape: &[usize], (depth, columns): (usize, usize), swaps: bool) -> TypedModel {
    let mut model = TypedModel::default();
    let x = model.add_source("x", f32::fact(shape)).unwrap();
    let float = |tensor: Tensor| tensor.cast_to::<f32>().unwrap().into_owned();
    let weights = if swaps { [columns, depth] } else { [depth, columns] };
    let weights = model.add_const("weights", float(values(&weights, -1.0, 0.8))).unwrap();
    let (lead, matrix) =
        (if shape.len() == 3 { "bm" } else { "m" }, if swaps { "nk" } else { "kn" });
    let axes = format!("{lead}k,{matrix}->{lead}n").parse().unwrap();
    let op = EinSum::new(axes, f32::datum_type());
    let product = model.wire_node("product", op, &[x, weights]).unwrap();
    let of_rank = |tensor: Tensor| tensor.broadcast_into_rank(shape.len()).unwrap();
    let bias = of_rank(float(values(&[columns], -1.0, 1.0)));
    let bias = model.add_const("bias", bias).unwrap();
    let sum = model.wire_node("sum", add(), &[product[0], bias]).unwrap();
    let zero = model.add_const("zero", of_rank(tensor0(0.0_f32))).unwrap();
    let out = model.wire_node("out", max(), &[sum[0], zero]).unwrap();
    model.select_output_outlets(&out).unwrap();
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn layers_are_tracts(
        (rows, of_batch) in (1..130_usize, proptest::option::of(1..4_usize)),
        size in (1..700_usize, 1..130_usize),
        swaps in any::<bool>(),
    ) {
        let lead = of_batch.map_or(vec![rows], |batch| vec![batch, rows]);
        let shape = [&lead[..], &[size.0]].concat();
        let x = values(&shape, -1.0, 1.0).cast_to::<f32>().unwrap().into_owned();
        let model = layer(&shape, size, swaps);
        let expected = slice(&Case::run(model.clone(), x.clone()));
        let mut ours = model;
        lower(&mut ours).unwrap();
        let names: Vec<_> = ours.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(names.iter().filter(|name| **name != "Source").count(), 1, "{names:?}");
        let found = slice(&Case::run(ours, x.clone()));
        for (found, expected) in found.iter().zip(&expected) {
            let apart = (found - expected).abs();
            assert!(apart <= 2e-5 * (1.0 + expected.abs()), "{found} not {expected}");
        }
        // A row by itself: the same bits.
        if of_batch.is_none() {
            let mut alone = layer(&[1, size.0], size, swaps);
            lower(&mut alone).unwrap();
            let last = x.slice(0, rows - 1, rows).unwrap();
            assert!(slice(&Case::run(alone, last)) == found[(rows - 1) * size.1..]);
        }
    }
}

/// `min(1, max(-1, W x + b))` of images, for each place of `trail`; without weights, `min(1, max(-1, w x + b))` channel by channel.
fn pointwise(lead: usize, channels: usize, trail: [usize; 2], rows: Option<usize>) -> TypedModel {
    let mut model = TypedModel::default();
    let float = |tensor: Tensor| tensor.cast_to::<f32>().unwrap().into_owned();
    let x = f32::fact([lead, channels, trail[0], trail[1]]);
    let x = model.add_source("x", x).unwrap();
    let per_row = |rows: usize| float(values(&[1, rows, 1, 1], -1.0, 0.8));
    let mut out = if let Some(rows) = rows {
        let weights = float(values(&[rows, channels], -1.0, 0.8));
        let weights = model.add_const("weights", weights).unwrap();
        let op = EinSum::new("ncyx,oc->noyx".parse().unwrap(), f32::datum_type());
        model.wire_node("product", op, &[x, weights]).unwrap()
    } else {
        let scale = model.add_const("scale", per_row(channels)).unwrap();
        model.wire_node("product", mul(), &[scale, x]).unwrap()
    };
    let bias = model.add_const("bias", per_row(rows.unwrap_or(channels))).unwrap();
    out = model.wire_node("sum", add(), &[out[0], bias]).unwrap();
    for (name, op, end) in [("floor", max(), -1.0_f32), ("ceiling", min(), 1.0)] {
        let end = tensor0(end).broadcast_into_rank(4).unwrap();
        let end = model.add_const(format!("{name}.end"), end).unwrap();
        out = model.wire_node(name, op, &[end, out[0]]).unwrap();
    }
    model.select_output_outlets(&out).unwrap();
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn products_and_scales_by_channel_are_tracts(
        lead in 1..5_usize,
        channels in 2..70_usize,
        trail in [1..9_usize, 2..20_usize],
        rows in proptest::option::of(1..30_usize),
    ) {
        let shape = [lead, channels, trail[0], trail[1]];
        let x = values(&shape, -1.0, 1.0).cast_to::<f32>().unwrap().into_owned();
        let model = pointwise(lead, channels, trail, rows);
        let expected = slice(&Case::run(model.clone(), x.clone()));
        let mut ours = model;
        lower(&mut ours).unwrap();
        let names: Vec<_> = ours.nodes.iter().map(|node| node.op.name()).collect();
        let is_worth_it = rows.is_some() || trail[0] * trail[1] >= 8;
        let count = names.iter().filter(|name| **name != "Source" && **name != "Const").count();
        prop_assert!(!is_worth_it || count == 1, "{names:?}");
        let found = slice(&Case::run(ours, x.clone()));
        for (found, expected) in found.iter().zip(&expected) {
            let apart = (found - expected).abs();
            prop_assert!(apart <= 2e-5, "{found} not {expected}");
        }
        // An image by itself: the same bits.
        let mut alone = pointwise(1, channels, trail, rows);
        lower(&mut alone).unwrap();
        let last = x.slice(0, lead - 1, lead).unwrap();
        let each = found.len() / lead;
        prop_assert!(slice(&Case::run(alone, last)) == found[(lead - 1) * each..]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn softmax_is_tracts(
        shape in proptest::collection::vec(1..40_usize, 1..4),
        over in 1..3_usize,
        scale in prop_oneof![Just(1.0_f32), Just(30.0), Just(3000.0)],
    ) {
        let first = shape.len().saturating_sub(over);
        let axes = (first..shape.len()).collect();
        let mut model = TypedModel::default();
        let x = model.add_source("x", f32::fact(&*shape)).unwrap();
        let op = Softmax { axes, quant_output_dt: None, kind: SoftmaxKind::Softmax };
        let out = model.wire_node("softmax", op, &[x]).unwrap();
        model.select_output_outlets(&out).unwrap();
        let x = values(&shape, -1.0, 1.0).cast_to::<f32>().unwrap().into_owned();
        let scaled: Vec<f32> = slice(&x).iter().map(|x| x * scale).collect();
        let x = tensor1(&scaled).into_shape(&shape).unwrap();
        let expected = slice(&Case::run(model.clone(), x.clone()));
        lower(&mut model).unwrap();
        prop_assert!(model.nodes.iter().any(|node| node.op.name() == "RowSoftmax"));
        let found = slice(&Case::run(model.clone(), x));
        let row: usize = shape[first..].iter().product();
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found - expected).abs() <= 1e-6, "{found} not {expected}");
        }
        for (values, found) in scaled.chunks(row).zip(found.chunks(row)) {
            let max = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let sum: f64 = values.iter().map(|x| (f64::from(*x) - max).exp()).sum();
            for (x, found) in values.iter().zip(found) {
                let below = max - f64::from(*x);
                let expected = (-below).exp() / sum;
                // What rounding leaves of the exponents.
                let most = 2e-6 + 2e-7 * below;
                prop_assert!((f64::from(*found) - expected).abs() <= most * expected + 1e-38);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn pools_that_halve_are_tracts(
        lead in (1..4_usize, 1..4_usize),
        size in [2..40_usize, 2..40_usize],
        levels in 1..50_u16,
    ) {
        let shape = [lead.0, lead.1, size[0], size[1]];
        let pool_spec = PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: tvec![2, 2],
            padding: PaddingSpec::Explicit(tvec![0, 0], tvec![0, 0]),
            dilations: None,
            strides: Some(tvec![2, 2]),
            input_channels: lead.1,
            output_channels: lead.1,
        };
        let mut model = TypedModel::default();
        let x = model.add_source("x", f32::fact(shape)).unwrap();
        let op = MaxPool { pool_spec, with_index_outputs: None };
        let out = model.wire_node("pool", op, &[x]).unwrap();
        model.select_output_outlets(&out).unwrap();
        // With many values that are equal.
        let x = values(&shape, -1.0, 1.0).cast_to::<f32>().unwrap().into_owned();
        let rounded: Vec<f32> =
            slice(&x).iter().map(|x| (x * f32::from(levels)).round()).collect();
        let x = tensor1(&rounded).into_shape(&shape).unwrap();
        let expected = slice(&Case::run(model.clone(), x.clone()));
        lower(&mut model).unwrap();
        prop_assert!(model.nodes.iter().any(|node| node.op.name() == "MaxHalving"));
        prop_assert_eq!(slice(&Case::run(model, x)), expected);
    }
}

/// More columns than a block of tiles, and more depth than a step.
#[test]
fn blocks_join() {
    let case = Case {
        batch: 3,
        has_n: true,
        group: 1,
        inputs: 70,
        outputs: 11,
        image: vec![23, 21],
        kernel: vec![3, 3],
        strides: vec![1, 1],
        dilations: vec![1, 1],
        before: vec![1, 1],
        after: vec![1, 1],
        adjustments: vec![1, 1],
        transposed: false,
    };
    case.check().unwrap();
    let up = Case { strides: vec![2, 2], transposed: true, ..case };
    up.check().unwrap();
    // Few rows, whose windows are not gathered; a row of them is no whole number of vectors.
    for outputs in 1..=5 {
        let wide = Case { outputs, image: vec![5, 39], ..up.clone() };
        wide.check().unwrap();
        Case { strides: vec![1, 1], transposed: false, ..wide }.check().unwrap();
    }
}
