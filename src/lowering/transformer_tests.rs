//! What transformers are made of: our operators against tract's, over random shapes.

use proptest::prelude::*;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{Gather, Pad, PadMode, Slice};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{add, max, mul, sub};
use tract_onnx::tract_core::ops::nn::gelu_exact::gelu_exact;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer, RmsNorm, Softmax, SoftmaxKind};

use super::tests::{run, slice};
use super::{lower, prepare};
use crate::grad::testing::values;

fn floats(shape: &[usize], low: f64, high: f64) -> Tensor {
    values(shape, low, high).cast_to::<f32>().unwrap().into_owned()
}

fn names(model: &TypedModel) -> Vec<String> {
    model.nodes.iter().map(|node| node.op.name().into_owned()).collect()
}

fn assert_close(found: &[f32], expected: &[f32], most: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let apart = (found - expected).abs();
        assert!(apart <= most * (1.0 + expected.abs()), "{found} not {expected}");
    }
}

/// A sum of products, and how long its axes are: the first is the batch.
#[derive(Clone, Debug)]
struct Products {
    labels: [Vec<char>; 3],
    dims: Vec<(char, usize)>,
}

impl Products {
    fn shape(&self, tensor: usize, batch: usize) -> Vec<usize> {
        let dim = |label: &char| match self.dims.iter().find(|(known, _)| known == label) {
            Some(('b', _)) => batch,
            known => known.unwrap().1,
        };
        self.labels[tensor].iter().map(dim).collect()
    }

    fn model(&self, batch: usize) -> TypedModel {
        let mut model = TypedModel::default();
        let [left, right, out] =
            self.labels.each_ref().map(|labels| labels.iter().collect::<String>());
        let sources: Vec<OutletId> = [0, 1]
            .map(|tensor| f32::fact(&*self.shape(tensor, batch)))
            .into_iter()
            .enumerate()
            .map(|(at, fact)| model.add_source(format!("source.{at}"), fact).unwrap())
            .collect();
        let axes = format!("{left},{right}->{out}").parse().unwrap();
        let op = EinSum::new(axes, f32::datum_type());
        let out = model.wire_node("product", op, &sources).unwrap();
        model.select_output_outlets(&out).unwrap();
        model
    }
}

fn products() -> impl Strategy<Value = Products> {
    let depth = prop_oneof![1..70_usize, 250..400_usize];
    (1..4_usize, 1..4_usize, 1..40_usize, 1..70_usize, depth, any::<bool>()).prop_flat_map(
        |(b, h, m, n, k, shares)| {
            let order = |labels: &str| Just(labels.chars().collect::<Vec<char>>()).prop_shuffle();
            // Heads of the one side that all look at the same of the other.
            let right = if shares { "bnk" } else { "bhnk" };
            (order("bhmk"), order(right), order("bhmn")).prop_map(move |(left, right, out)| {
                let dims = vec![('b', b), ('h', h), ('m', m), ('n', n), ('k', k)];
                Products { labels: [left, right, out], dims }
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn products_of_matrices_are_tracts(case in products()) {
        let batch = case.dims[0].1;
        let inputs = [0, 1].map(|tensor| floats(&case.shape(tensor, batch), -1.0, 0.9));
        let expected = slice(&run(case.model(batch), inputs.clone().into_iter().collect()));
        let mut ours = case.model(batch);
        lower(&mut ours).unwrap();
        let is_ours = names(&ours).iter().any(|name| name == "Matrices");
        let dim = |at: usize| case.dims[at].1;
        let is_beside = case.labels[2].iter().rfind(|label| case.shape(2, batch)
            [case.labels[2].iter().position(|other| other == *label).unwrap()] > 1);
        // Where the right side has no heads, these are rows too, but those of one axis are taken together.
        let is_split = !case.labels[1].contains(&'h') && dim(1) > 1;
        let rows = if is_split { dim(1).min(dim(2)) } else { dim(2) };
        let is_worth_it = rows * dim(3) * dim(4) >= 512 && matches!(is_beside, Some('m' | 'n'));
        prop_assert!(is_ours || !is_worth_it, "not lowered: {case:?}");
        let found = run(ours, inputs.clone().into_iter().collect());
        assert_close(&slice(&found), &expected, 2e-5);
        // One of the batch by itself: the same bits.
        let mut alone = case.model(1);
        lower(&mut alone).unwrap();
        if is_ours && names(&alone).iter().any(|name| name == "Matrices") {
            let last = |tensor: &Tensor, labels: usize| {
                let axis = case.labels[labels].iter().position(|label| *label == 'b').unwrap();
                tensor.slice(axis, batch - 1, batch).unwrap()
            };
            let one = tvec![last(&inputs[0], 0), last(&inputs[1], 1)];
            prop_assert!(slice(&run(alone, one)) == slice(&last(&found, 2)));
        }
    }

    #[test]
    fn layer_norms_are_tracts(
        lead in proptest::collection::vec(1..5_usize, 1..3),
        length in 2..70_usize,
        offset in -3.0..3.0_f64,
        swaps in any::<bool>(),
    ) {
        let shape = [&lead[..], &[length]].concat();
        let (axis, rank) = (lead.len(), lead.len() + 1);
        let build = |shape: &[usize]| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", f32::fact(shape)).unwrap();
            let reduce = Reduce { axes: tvec![axis], reducer: Reducer::Sum };
            let sum = model.wire_node("sum", reduce, &[x]).unwrap()[0];
            let share = tensor0(1.0 / length as f32).broadcast_into_rank(rank).unwrap();
            let share = model.add_const("share", share).unwrap();
            let factors = if swaps { [share, sum] } else { [sum, share] };
            let mean = model.wire_node("mean", mul(), &factors).unwrap()[0];
            let centred = model.wire_node("centred", sub(), &[x, mean]).unwrap();
            let norm = RmsNorm { axis, eps: tensor0(1e-5_f32).into_arc_tensor() };
            let out = model.wire_node("norm", norm, &centred).unwrap();
            model.select_output_outlets(&out).unwrap();
            model
        };
        let x = floats(&shape, offset - 1.0, offset + 1.0);
        let expected = slice(&run(build(&shape), tvec![x.clone()]));
        let ours = prepare(build(&shape)).unwrap();
        prop_assert_eq!(names(&ours), ["Source", "LayerNorm"]);
        let found = slice(&run(ours, tvec![x.clone()]));
        assert_close(&found, &expected, 2e-5);
        let one = x.slice(0, lead[0] - 1, lead[0]).unwrap();
        let alone = slice(&run(prepare(build(one.shape())).unwrap(), tvec![one]));
        prop_assert!(alone == found[found.len() - alone.len()..]);
    }

    #[test]
    fn a_picked_row_is_all_that_is_computed(
        rows in 2..9_usize,
        length in 2..9_usize,
        at in any::<prop::sample::Index>(),
        counts_back in any::<bool>(),
    ) {
        let mut model = TypedModel::default();
        let x = model.add_source("x", f32::fact([3, rows, length])).unwrap();
        let y = model.wire_node("gelu", gelu_exact(), &[x]).unwrap()[0];
        let row = at.index(rows) as i64 - if counts_back { rows as i64 } else { 0 };
        let row = model.add_const("row", tensor0(row)).unwrap();
        let out = model.wire_node("out", Gather::new(1), &[y, row]).unwrap();
        model.select_output_outlets(&out).unwrap();
        let x = floats(&[3, rows, length], -3.0, 3.0);
        let expected = slice(&run(model.clone(), tvec![x.clone()]));
        let ours = prepare(model).unwrap();
        let gelu = ours.nodes.iter().find(|node| node.op.name() == "GeluExact").unwrap();
        prop_assert_eq!(gelu.outputs[0].fact.shape.volume(), (3 * length).to_dim());
        prop_assert_eq!(slice(&run(ours, tvec![x])), expected);
    }

    #[test]
    fn rows_that_nobody_reads_are_not_in_the_softmax(
        rows in 3..9_usize,
        length in 2..20_usize,
        first in 0..3_usize,
    ) {
        let mut model = TypedModel::default();
        let x = model.add_source("x", f32::fact([2, rows, length])).unwrap();
        let op = Softmax { axes: tvec![2], quant_output_dt: None, kind: SoftmaxKind::Softmax };
        let y = model.wire_node("softmax", op, &[x]).unwrap();
        let out = model.wire_node("out", Slice::new(1, first, first + 1), &y).unwrap();
        model.select_output_outlets(&out).unwrap();
        let x = floats(&[2, rows, length], -3.0, 3.0);
        let expected = slice(&run(model.clone(), tvec![x.clone()]));
        let ours = prepare(model).unwrap();
        prop_assert_eq!(names(&ours), ["Source", "Slice", "Softmax"]);
        assert_close(&slice(&run(ours, tvec![x])), &expected, 1e-6);
    }

    #[test]
    fn sums_and_products_of_two_are_tracts(
        shape in proptest::collection::vec(1..9_usize, 1..4),
        multiplies in any::<bool>(),
        with_itself in any::<bool>(),
        floor in proptest::option::of(-0.5..0.5_f32),
    ) {
        let mut model = TypedModel::default();
        let a = model.add_source("a", f32::fact(&*shape)).unwrap();
        let b = model.add_source("b", f32::fact(&*shape)).unwrap();
        let op = if multiplies { mul() } else { add() };
        let b = if with_itself { a } else { b };
        let mut out = model.wire_node("out", op, &[a, b]).unwrap();
        if let Some(floor) = floor {
            let floor = tensor0(floor).broadcast_into_rank(shape.len()).unwrap();
            let floor = model.add_const("floor", floor).unwrap();
            out = model.wire_node("clamped", max(), &[out[0], floor]).unwrap();
        }
        model.select_output_outlets(&out).unwrap();
        let inputs = tvec![floats(&shape, -1.0, 0.7), floats(&shape, -0.8, 1.0)];
        let expected = slice(&run(model.clone(), inputs.clone()));
        lower(&mut model).unwrap();
        let count = names(&model).iter().filter(|name| name.starts_with("Pairwise")).count();
        let others = names(&model).iter().filter(|name| *name == "Max").count();
        prop_assert_eq!((count, others), (1, 0));
        prop_assert_eq!(slice(&run(model, inputs)), expected);
    }

    #[test]
    fn parts_and_multiples_are_read_where_they_lie(
        sizes in (1..4_usize, 8..20_usize, 8..20_usize, 8..20_usize),
        starts in [0..3_usize, 0..3],
        factors in [0.1..2.0_f32, 0.1..2.0, 0.1..2.0],
    ) {
        let (batch, m, n, k) = sizes;
        let mut model = TypedModel::default();
        let mut sides = vec![];
        for (side, rows) in [m, n].into_iter().enumerate() {
            let x = f32::fact([batch, rows, 3, k + 2]);
            let x = model.add_source(format!("x.{side}"), x).unwrap();
            let one = Slice::new(2, starts[side], starts[side] + 1);
            let x = model.wire_node(format!("one.{side}"), one, &[x]).unwrap();
            let factor = tensor0(factors[side]).broadcast_into_rank(4).unwrap();
            let factor = model.add_const(format!("factor.{side}"), factor).unwrap();
            let x = model.wire_node(format!("scaled.{side}"), mul(), &[x[0], factor]).unwrap();
            let part = Slice::new(3, side, side + k);
            sides.push(model.wire_node(format!("part.{side}"), part, &x).unwrap()[0]);
        }
        let op = EinSum::new("bmak,bnak->bmn".parse().unwrap(), f32::datum_type());
        let out = model.wire_node("product", op, &sides).unwrap()[0];
        let factor = tensor0(factors[2]).broadcast_into_rank(3).unwrap();
        let factor = model.add_const("factor", factor).unwrap();
        let out = model.wire_node("out", mul(), &[factor, out]).unwrap();
        model.select_output_outlets(&out).unwrap();
        let inputs = tvec![
            floats(&[batch, m, 3, k + 2], -1.0, 1.0),
            floats(&[batch, n, 3, k + 2], -0.7, 0.9),
        ];
        let expected = slice(&run(model.clone(), inputs.clone()));
        lower(&mut model).unwrap();
        prop_assert_eq!(names(&model), ["Source", "Source", "Matrices"]);
        assert_close(&slice(&run(model, inputs)), &expected, 5e-5);
    }

    #[test]
    fn slices_that_are_put_back_are_the_whole(
        lengths in proptest::collection::vec(1..5_usize, 2..5),
        first in any::<prop::sample::Index>(),
        lacks in any::<bool>(),
    ) {
        let whole: usize = lengths.iter().sum();
        let mut model = TypedModel::default();
        let x = model.add_source("x", f32::fact([2, whole, 3])).unwrap();
        let mut starts: Vec<(usize, usize)> = vec![];
        for length in &lengths {
            starts.push((starts.last().map_or(0, |(start, length)| start + length), *length));
        }
        starts.rotate_left(first.index(lengths.len()));
        let terms = starts.iter().skip(usize::from(lacks)).map(|&(start, length)| {
            let slice = Slice::new(1, start, start + length);
            let part = model.wire_node(format!("slice.{start}"), slice, &[x]).unwrap();
            let mode = PadMode::Constant(tensor0(0.0_f32).into_arc_tensor());
            let ends = (start, whole - start - length);
            let pad = Pad { pads: vec![(0, 0), ends, (0, 0)], mode };
            model.wire_node(format!("pad.{start}"), pad, &part).unwrap()[0]
        });
        let terms: Vec<OutletId> = terms.collect();
        let mut sum = terms[0];
        for (at, term) in terms.iter().enumerate().skip(1) {
            sum = model.wire_node(format!("sum.{at}"), add(), &[sum, *term]).unwrap()[0];
        }
        model.select_output_outlets(&[sum]).unwrap();
        let x = floats(&[2, whole, 3], -1.0, 1.0);
        let expected = slice(&run(model.clone(), tvec![x.clone()]));
        lower(&mut model).unwrap();
        prop_assert_eq!(names(&model).iter().any(|name| name == "Concatenation"), !lacks);
        prop_assert_eq!(slice(&run(model, tvec![x])), expected);
    }
}

#[test]
fn gelu_is_its_closed_form() {
    let x: Vec<f32> = (-120_000..120_000).map(|at| at as f32 * 1e-4).collect();
    let mut model = TypedModel::default();
    let source = model.add_source("x", f32::fact([x.len()])).unwrap();
    let out = model.wire_node("gelu", gelu_exact(), &[source]).unwrap();
    model.select_output_outlets(&out).unwrap();
    lower(&mut model).unwrap();
    assert!(names(&model).iter().any(|name| name == "Gelu"));
    for (x, found) in x.iter().zip(slice(&run(model, tvec![tensor1(&x)]))) {
        let x = f64::from(*x);
        let expected = 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        let most = 2e-7 * (1.0 + x.abs());
        assert!((f64::from(found) - expected).abs() <= most, "at {x}: {found} not {expected}");
    }
}
