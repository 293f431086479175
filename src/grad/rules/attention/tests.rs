use proptest::prelude::*;
use tract_transformers::ops::apply_rope::ApplyRope;

use super::*;
use crate::grad::testing::{EXACT, Tolerance, check_against, emitted_gradient, values};

const CLOSE: Tolerance = Tolerance { absolute: 5e-5, relative: 5e-4 };

/// Shapes of queries, keys, values and perhaps a mask, and what is set on the operator.
#[derive(Clone, Debug)]
struct Case {
    shapes: Vec<Vec<usize>>,
    scale: Option<f32>,
    is_causal: bool,
}

impl Case {
    fn op(&self) -> Sdpa {
        Sdpa {
            scale: self.scale.map(tensor0),
            datum_type: f32::datum_type(),
            acc_datum_type: f32::datum_type(),
            is_causal: self.is_causal,
        }
    }

    /// The attention of the four tensors, in f64, from its definition.
    fn attend(&self, tensors: &[Vec<f64>]) -> Vec<f64> {
        let four = |shape: &[usize]| -> [usize; 4] {
            match *shape {
                [batch, rows, depth] => [batch, 1, rows, depth],
                [batch, heads, rows, depth] => [batch, heads, rows, depth],
                _ => panic!("a rank of 3 or 4"),
            }
        };
        let shapes: Vec<[usize; 4]> = self.shapes.iter().map(|shape| four(shape)).collect();
        let get = |tensor: usize, at: [usize; 4]| {
            let place = at
                .iter()
                .zip(&shapes[tensor])
                .fold(0, |place, (&at, &len)| place * len + if len == 1 { 0 } else { at });
            tensors[tensor][place]
        };
        let [batch, heads, rows, depth] = shapes[0];
        let (columns, group, width) = (shapes[1][2], heads / shapes[1][1], shapes[2][3]);
        let scale = self.scale.map_or((depth as f64).sqrt().recip(), f64::from);
        let mut output = vec![];
        for (b, h, m) in
            (0..batch * heads * rows).map(|at| (at / rows / heads, at / rows % heads, at % rows))
        {
            let score = |n: usize| {
                if self.is_causal && n + rows > m + columns {
                    return f64::NEG_INFINITY;
                }
                let product = |at| get(0, [b, h, m, at]) * get(1, [b, h / group, n, at]);
                let mask = if shapes.len() > 3 { get(3, [b, h, m, n]) } else { 0.0 };
                scale * (0..depth).map(product).sum::<f64>() + mask
            };
            let exponentials: Vec<f64> = (0..columns).map(|n| score(n).exp()).collect();
            let total: f64 = exponentials.iter().sum();
            for at in 0..width {
                let weighted =
                    exponentials.iter().enumerate().map(|(n, e)| e * get(2, [b, h / group, n, at]));
                output.push(weighted.sum::<f64>() / total);
            }
        }
        output
    }

    fn tensors(&self) -> Vec<Tensor> {
        let spread = |at: usize| 1.0 + at as f64 * 0.3;
        self.shapes
            .iter()
            .enumerate()
            .map(|(at, shape)| values(shape, -spread(at), spread(at)))
            .collect()
    }

    /// The operator over constants, but for input `slot`.
    fn model(&self, slot: usize, dt: DatumType) -> TractResult<TypedModel> {
        let mut model = TypedModel::default();
        let tensors = self.tensors();
        let x = model.add_source("x", dt.fact(tensors[slot].shape()))?;
        let mut inputs = tvec![];
        for (at, tensor) in tensors.iter().enumerate() {
            inputs.push(match at == slot {
                true => x,
                false => model.add_const(format!("c{at}"), tensor.cast_to_dt(dt)?.into_owned())?,
            });
        }
        let y = model.wire_node("y", self.op(), &inputs)?;
        model.select_output_outlets(&y)?;
        Ok(model)
    }

    fn check(&self) {
        let tensors = self.tensors();
        let flat = |t: &Tensor| {
            t.to_plain_array_view::<f64>().unwrap().iter().copied().collect::<Vec<f64>>()
        };
        let all: Vec<Vec<f64>> = tensors.iter().map(flat).collect();
        let plan = self.model(0, f32::datum_type()).unwrap().into_optimized().unwrap();
        let q = tensors[0].cast_to::<f32>().unwrap().into_owned().into_tvalue();
        let found = plan.into_runnable().unwrap().run(tvec![q]).unwrap().remove(0);
        for (found, expected) in
            found.to_plain_array_view::<f32>().unwrap().iter().zip(self.attend(&all))
        {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-4,
                "{self:?}: {found}, not {expected}"
            );
        }
        for (slot, x) in tensors.iter().enumerate() {
            check_against(
                |dt| self.model(slot, dt),
                std::slice::from_ref(x),
                CLOSE,
                |x| {
                    let mut tensors = all.clone();
                    tensors[slot].clone_from(&x[0]);
                    self.attend(&tensors)
                },
            );
        }
    }
}

fn case(shapes: &[&[usize]]) -> Case {
    let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
    Case { shapes, scale: None, is_causal: false }
}

#[test]
fn one_head_and_several() {
    case(&[&[2, 3, 4], &[2, 5, 4], &[2, 5, 4]]).check();
    case(&[&[2, 2, 3, 4], &[2, 2, 5, 4], &[2, 2, 5, 4]]).check();
}

#[test]
fn grouped_queries_and_values_of_another_depth() {
    case(&[&[2, 4, 3, 4], &[2, 2, 3, 4], &[2, 2, 3, 4]]).check();
    case(&[&[1, 6, 2, 3], &[1, 2, 4, 3], &[1, 2, 4, 5]]).check();
}

#[test]
fn a_scale_of_its_own() {
    Case { scale: Some(0.7), ..case(&[&[1, 2, 3, 4], &[1, 2, 3, 4], &[1, 2, 3, 4]]) }.check();
}

#[test]
fn queries_see_no_later_keys() {
    for (rows, columns) in [(3, 3), (2, 5), (1, 4)] {
        let q = [2, 2, rows, 4];
        let k = [2, 2, columns, 4];
        Case { is_causal: true, ..case(&[&q, &k, &k]) }.check();
    }
}

#[test]
fn masks_of_every_breadth() {
    let (q, k) = ([2, 4, 3, 4], [2, 2, 5, 4]);
    for mask in [[1, 1, 3, 5], [2, 1, 3, 5], [1, 4, 3, 5], [2, 4, 3, 5]] {
        case(&[&q, &k, &k, &mask]).check();
    }
    case(&[&[2, 3, 4], &[2, 5, 4], &[2, 5, 4], &[1, 3, 5]]).check();
}

#[test]
fn queries_keys_and_values_from_one_tensor() {
    let case = Case { is_causal: true, ..case(&[&[1, 2, 3, 4], &[1, 2, 3, 4], &[1, 2, 3, 4]]) };
    let build = |dt: DatumType| {
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact([1, 2, 3, 4]))?;
        let y = model.wire_node("y", case.op(), &[x, x, x])?;
        model.select_output_outlets(&y)?;
        Ok(model)
    };
    check_against(build, &[values(&[1, 2, 3, 4], -1.0, 1.0)], CLOSE, |x| {
        case.attend(&[x[0].clone(), x[0].clone(), x[0].clone()])
    });
}

#[test]
fn keys_masked_by_infinity_take_nothing() {
    let shape = [1, 1, 3, 4];
    let build = |dt: DatumType| {
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact(shape))?;
        let mask = Tensor::from_shape(&[1, 1, 1, 3], &[0.0, f32::NEG_INFINITY, 0.0])?;
        let mask = mask.broadcast_to_shape(&[1, 1, 3, 3])?.cast_to_dt(dt)?.into_owned();
        let mask = model.add_const("mask", mask)?;
        let q = model.add_const("q", values(&shape, -1.0, 1.0).cast_to_dt(dt)?.into_owned())?;
        let op = case(&[]).op();
        let y = model.wire_node("y", op, &[q, x, x, mask])?;
        model.select_output_outlets(&y)?;
        Ok(model)
    };
    let gradient = emitted_gradient(&build, &[values(&shape, -1.0, 1.0)]).unwrap();
    assert!(gradient.iter().all(|component| component.is_finite()));
    for (at, component) in gradient.iter().enumerate() {
        assert_eq!(*component == 0.0, (4..8).contains(&at), "{at}: {component}");
    }
}

#[test]
fn half_precision_goes_through_single() {
    let case = case(&[&[1, 2, 3, 4], &[1, 2, 3, 4], &[1, 2, 3, 4]]);
    let build = |dt: DatumType| {
        let mut model = TypedModel::default();
        let x = model.add_source("x", f32::fact([1, 2, 3, 4]))?;
        let narrow = model.wire_node("narrow", cast(dt), &[x])?[0];
        let op = Sdpa { datum_type: dt, ..case.op() };
        let y = model.wire_node("sdpa", op, &[narrow, narrow, narrow])?;
        let y = model.wire_node("y", cast(f32::datum_type()), &y)?;
        model.select_output_outlets(&y)?;
        Ok(model)
    };
    let x = [values(&[1, 2, 3, 4], -1.0, 1.0)];
    let gradient = |dt| emitted_gradient(&|_| build(dt), &x).unwrap();
    for (half, single) in gradient(f16::datum_type()).iter().zip(gradient(f32::datum_type())) {
        assert!((half - single).abs() < 1e-2 * (1.0 + single.abs()), "{half}, not {single}");
    }
}

/// x, cosines and sines by turns are attacked.
fn check_rope(shapes: [&[usize]; 3]) {
    let tensors = shapes.map(|shape| values(shape, -1.0, 1.2));
    for slot in 0..3 {
        let build = |dt: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact(shapes[slot]))?;
            let mut inputs = tvec![];
            for (at, tensor) in tensors.iter().enumerate() {
                let other = tensor.cast_to_dt(dt)?.into_owned();
                inputs.push(if at == slot {
                    x
                } else {
                    model.add_const(format!("c{at}"), other)?
                });
            }
            let y = model.wire_node("y", ApplyRope, &inputs)?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        let flat = |t: &Tensor| {
            t.to_plain_array_view::<f64>().unwrap().iter().copied().collect::<Vec<f64>>()
        };
        let all = tensors.each_ref().map(flat);
        check_against(build, &[tensors[slot].clone()], EXACT, |x| {
            let mut tensors = all.clone();
            tensors[slot].clone_from(&x[0]);
            rotate(shapes, &tensors)
        });
    }
}

/// x cos + (-x2, x1) sin, in f64.
fn rotate(shapes: [&[usize]; 3], tensors: &[Vec<f64>; 3]) -> Vec<f64> {
    let width = *shapes[0].last().unwrap();
    let get = |tensor: usize, at: usize| {
        let (mut rest, mut place, mut stride) = (at, 0, 1);
        for (&len, &own) in shapes[0].iter().zip(shapes[tensor]).rev() {
            place += if own == 1 { 0 } else { rest % len * stride };
            rest /= len;
            stride *= own;
        }
        tensors[tensor][place]
    };
    (0..tensors[0].len())
        .map(|at| {
            let half = width / 2;
            let partner = if at % width < half { -get(0, at + half) } else { get(0, at - half) };
            get(0, at) * get(1, at) + partner * get(2, at)
        })
        .collect()
}

#[test]
fn rotations_by_position() {
    check_rope([&[2, 3, 4, 6], &[1, 1, 4, 6], &[1, 1, 4, 6]]);
    check_rope([&[2, 3, 4, 2], &[2, 1, 4, 2], &[2, 1, 4, 2]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_attention(
        (batch, heads, group) in (1..3_usize, 1..3_usize, 1..3_usize),
        (rows, extra, depth) in (1..4_usize, 0..3_usize, 1..5_usize),
        is_causal in any::<bool>(),
    ) {
        let k = [batch, heads, rows + extra, depth];
        Case { is_causal, ..case(&[&[batch, heads * group, rows, depth], &k, &k]) }.check();
    }
}
