//! ONNX's quantised operators, as tract's importer leaves them: values against references in f64, exact gradients
//! against zero, straight-through ones against differences of the same function without its rounding.

mod common;

use common::fixture::{Fixture, int, ints};
use common::quantised::{
    Round, SCALE, check, dequantise, f64s, gradient, levels, load, quantise, quantised_input,
    values, weight,
};
use ironbound::Classifier;
use ironbound::tract_onnx::pb::tensor_proto::DataType::{Int8, Int32, Uint8};

#[test]
fn per_tensor() {
    for (dt, zero) in [(Uint8, 3), (Uint8, 128), (Int8, -20), (Int8, 0)] {
        for opset in [10, 13, 19, 21] {
            let fixture = quantised_input(&["N", "12"], dt, zero)
                .node("DequantizeLinear", &["q", "scale", "zero"], "y", &[])
                .output("y", &["N", "12"])
                .opset(opset);
            // Some are clipped.
            check(
                &format!("{dt:?} {zero} {opset}"),
                &fixture,
                &values(12, -2.0, 9.0),
                |x, round| {
                    x.iter()
                        .map(|x| dequantise(quantise(*x, SCALE, zero, dt, round), SCALE, zero))
                        .collect()
                },
            );
        }
    }
}

#[test]
fn without_a_zero_point() {
    let fixture = Fixture::default()
        .input("x", &["N", "5"])
        .floats("scale", &[1], &[SCALE as f32])
        .node("QuantizeLinear", &["x", "scale"], "q", &[])
        .node("DequantizeLinear", &["q", "scale"], "y", &[])
        .output("y", &["N", "5"]);
    check("no zero point", &fixture, &values(5, -1.0, 5.0), |x, round| {
        x.iter().map(|x| dequantise(quantise(*x, SCALE, 0, Uint8, round), SCALE, 0)).collect()
    });
}

#[test]
fn per_channel() {
    let scales = [0.05_f32, 0.02, 0.1];
    for (dt, zeros) in [(Uint8, [3, 100, 9]), (Int8, [-20, 0, 7])] {
        for (axis, opset) in [(1, 13), (-2, 19), (1, 21)] {
            let fixture = Fixture::default()
                .input("x", &["N", "3", "4"])
                .floats("scale", &[3], &scales)
                .integers("zero", &[3], &zeros, dt)
                .node("QuantizeLinear", &["x", "scale", "zero"], "q", &[int("axis", axis)])
                .node("DequantizeLinear", &["q", "scale", "zero"], "d", &[int("axis", axis)])
                .node("Flatten", &["d"], "y", &[])
                .output("y", &["N", "12"])
                .opset(opset);
            check(&format!("{dt:?} {axis}"), &fixture, &values(12, -1.0, 3.0), |x, round| {
                let one = |(at, x): (usize, &f64)| {
                    let (scale, zero) = (f64::from(scales[at / 4]), zeros[at / 4]);
                    dequantise(quantise(*x, scale, zero, dt, round), scale, zero)
                };
                x.iter().enumerate().map(one).collect()
            });
        }
    }
}

#[test]
fn integers_move_like_floats() {
    let fixture = quantised_input(&["N", "2", "4", "4"], Uint8, 10)
        .node(
            "MaxPool",
            &["q"],
            "pooled",
            &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .node("Transpose", &["pooled"], "turned", &[ints("perm", &[0, 2, 3, 1])])
        .ints("from", &[0])
        .ints("to", &[1])
        .ints("axis", &[1])
        .node("Slice", &["turned", "from", "to", "axis"], "first", &[])
        .node("Concat", &["first", "turned"], "both", &[int("axis", 1)])
        .ints("pads", &[0, 1, 0, 0, 0, 0, 0, 1])
        .integers("ten", &[], &[10], Uint8)
        .node("Pad", &["both", "pads", "ten"], "padded", &[])
        .node("DequantizeLinear", &["padded", "scale", "zero"], "d", &[])
        .node("Flatten", &["d"], "y", &[])
        .output("y", &["N", "24"]);
    let x = values(32, -0.4, 4.0);
    let reference = |x: &[f64], round: Round<'_>| {
        let q: Vec<f64> = x.iter().map(|x| quantise(*x, SCALE, 10, Uint8, round)).collect();
        let pooled = |c: usize, h: usize, w: usize| {
            let at = |i: usize, j: usize| q[c * 16 + (2 * h + i) * 4 + 2 * w + j];
            at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1))
        };
        let mut y = vec![];
        for row in [None, Some(0), Some(0), Some(1)] {
            for w in 0..2 {
                for c in 0..3 {
                    let level = row.filter(|_| c < 2).map_or(10.0, |h| pooled(c, h, w));
                    y.push(dequantise(level, SCALE, 10));
                }
            }
        }
        y
    };
    let (exact, through) = (load(&fixture, &[]), load(&fixture, &["QuantizeLinear"]));
    let inputs: Vec<f32> = x.iter().map(|x| *x as f32).collect();
    let mut logits = vec![];
    Classifier::logits(&exact, inputs[..].into(), &mut logits).unwrap();
    for (found, expected) in logits.iter().zip(reference(&x, &|x| x.round_ties_even())) {
        approx::assert_abs_diff_eq!(f64::from(*found), expected, epsilon = 1e-5);
    }
    let objective = |x: &[f64]| -> f64 {
        reference(x, &|x| x).iter().enumerate().map(|(at, y)| weight(at) * y).sum()
    };
    for (at, found) in gradient(&through, &x).iter().enumerate() {
        let side = |by: f64| {
            let mut x = x.clone();
            x[at] += by;
            objective(&x)
        };
        let expected = (side(1e-5) - side(-1e-5)) / 2e-5;
        approx::assert_abs_diff_eq!(f64::from(*found), expected, epsilon = 1e-3);
    }
}

#[test]
fn products_of_integers() {
    for (a, b, zero_a, zeros_b) in [
        (Uint8, Int8, 10, vec![3]),
        (Uint8, Uint8, 10, vec![100]),
        (Int8, Int8, -5, vec![-7]),
        (Int8, Uint8, -5, vec![90]),
        (Uint8, Int8, 10, vec![3, -4]),
    ] {
        let (low, high) = if b == Int8 { (-120, 120) } else { (0, 250) };
        let w = levels(8, low, high);
        let dims: &[i64] = if zeros_b.len() == 1 { &[] } else { &[2] };
        let fixture = quantised_input(&["N", "4"], a, zero_a)
            .integers("w", &[4, 2], &w, b)
            .integers("w0", dims, &zeros_b, b)
            .node("MatMulInteger", &["q", "w", "zero", "w0"], "z", &[])
            .node("Cast", &["z"], "y", &[int("to", 1)])
            .output("y", &["N", "2"]);
        check(&format!("{a:?} {b:?} {zeros_b:?}"), &fixture, &values(4, -1.0, 4.0), |x, round| {
            let q: Vec<f64> = x
                .iter()
                .map(|x| quantise(*x, SCALE, zero_a, a, round) - f64::from(zero_a))
                .collect();
            let weight = |i: usize, j: usize| f64::from(w[2 * i + j] - zeros_b[j % zeros_b.len()]);
            (0..2).map(|j| (0..4).map(|i| q[i] * weight(i, j)).sum()).collect()
        });
    }
}

#[test]
fn a_product_without_zero_points() {
    let w = levels(8, -120, 120);
    let fixture = quantised_input(&["N", "4"], Uint8, 10)
        .integers("w", &[4, 2], &w, Int8)
        .node("MatMulInteger", &["q", "w"], "z", &[])
        .node("Cast", &["z"], "y", &[int("to", 1)])
        .output("y", &["N", "2"]);
    check("no zero points", &fixture, &values(4, -0.4, 4.0), |x, round| {
        let q: Vec<f64> = x.iter().map(|x| quantise(*x, SCALE, 10, Uint8, round)).collect();
        (0..2).map(|j| (0..4).map(|i| q[i] * f64::from(w[2 * i + j])).sum()).collect()
    });
}

#[test]
fn quantised_products() {
    let scale_y = f64::from(0.5_f32);
    for (a, b, c, per_column) in [
        (Uint8, Int8, Uint8, false),
        (Uint8, Uint8, Uint8, false),
        (Int8, Int8, Int8, false),
        (Uint8, Int8, Int8, true),
        (Int8, Uint8, Int8, true),
    ] {
        let (low, high) = if b == Int8 { (-120, 120) } else { (0, 250) };
        let (zero_b, zero_c) = (if b == Int8 { 3 } else { 120 }, if c == Int8 { 2 } else { 128 });
        let w = levels(12, low, high);
        let (dims, columns): (&[i64], _) = if per_column { (&[3], 3) } else { (&[], 1) };
        let zeros: Vec<i32> = (0..columns).map(|j| zero_b + 2 * j).collect();
        let scales: Vec<f32> = (0..columns).map(|j| 0.02 + 0.005 * j as f32).collect();
        let fixture = quantised_input(&["N", "4"], a, 10)
            .integers("w", &[4, 3], &w, b)
            .integers("w0", dims, &zeros, b)
            .floats("ws", dims, &scales)
            .integers("y0", &[], &[zero_c], c)
            .floats("ys", &[], &[scale_y as f32])
            .node("QLinearMatMul", &["q", "scale", "zero", "w", "ws", "w0", "ys", "y0"], "z", &[])
            .node("DequantizeLinear", &["z", "ys", "y0"], "y", &[])
            .output("y", &["N", "3"]);
        check(
            &format!("{a:?} {b:?} {c:?} {per_column}"),
            &fixture,
            &values(4, -0.4, 4.0),
            |x, round| {
                let q: Vec<f64> =
                    x.iter().map(|x| quantise(*x, SCALE, 10, a, round) - 10.0).collect();
                let sum = |j: usize| -> f64 {
                    let (zero, scale) = (zeros[j % zeros.len()], scales[j % scales.len()]);
                    let sum: f64 = (0..4).map(|i| q[i] * f64::from(w[3 * i + j] - zero)).sum();
                    sum * SCALE * f64::from(scale)
                };
                (0..3)
                    .map(|j| {
                        dequantise(quantise(sum(j), scale_y, zero_c, c, round), scale_y, zero_c)
                    })
                    .collect()
            },
        );
    }
}

/// A convolution of `q`, `[2, 4, 4]`, with kernels `[outputs, 2 / group, size, size]`, before any scale.
struct Plain {
    kernel: Vec<f64>,
    outputs: usize,
    group: usize,
    size: usize,
    stride: usize,
    pad: usize,
}

impl Plain {
    fn width(&self) -> usize {
        (4 + 2 * self.pad - self.size) / self.stride + 1
    }

    fn of(&self, q: &[f64]) -> Vec<f64> {
        let (width, inputs) = (self.width(), 2 / self.group);
        let mut y = vec![];
        for o in 0..self.outputs {
            for at in 0..width * width {
                let mut sum = 0.0;
                for (tap, k) in self.kernel[o * inputs * self.size * self.size..]
                    .iter()
                    .take(inputs * self.size * self.size)
                    .enumerate()
                {
                    let (c, place) = (tap / (self.size * self.size), tap % (self.size * self.size));
                    let channel = o / (self.outputs / self.group) * inputs + c;
                    let row = (at / width * self.stride + place / self.size).wrapping_sub(self.pad);
                    let column =
                        (at % width * self.stride + place % self.size).wrapping_sub(self.pad);
                    if row < 4 && column < 4 {
                        sum += k * q[channel * 16 + row * 4 + column];
                    }
                }
                y.push(sum);
            }
        }
        y
    }
}

#[test]
fn quantised_convolutions() {
    let scale_y = f64::from(0.4_f32);
    for (a, b, c, group, size, stride, pad, per_channel, bias) in [
        (Uint8, Int8, Uint8, 1, 3, 1, 1, false, true),
        (Uint8, Int8, Uint8, 1, 3, 1, 1, true, true),
        (Int8, Int8, Int8, 1, 2, 2, 0, true, false),
        (Uint8, Uint8, Uint8, 2, 3, 1, 1, false, true),
        (Uint8, Int8, Int8, 2, 2, 1, 0, true, true),
        (Uint8, Int8, Uint8, 1, 1, 1, 0, true, true),
        (Uint8, Int8, Uint8, 1, 1, 2, 0, false, true),
    ] {
        let (low, high) = if b == Int8 { (-120, 120) } else { (0, 250) };
        let zero_c = if c == Int8 { 2 } else { 128 };
        let inputs = 2 / group;
        let w = levels(4 * inputs * size * size, low, high);
        let (zeros, scales): (Vec<i32>, Vec<f32>) = if per_channel {
            (vec![0; 4], vec![0.02, 0.01, 0.03, 0.015])
        } else {
            (vec![if b == Int8 { 3 } else { 120 }], vec![0.02])
        };
        let biases = if bias { [40, -300, 700, 90] } else { [0; 4] };
        let dims: &[i64] = if per_channel { &[4] } else { &[] };
        let (s, i) = (size as i64, inputs as i64);
        let mut fixture = quantised_input(&["N", "2", "4", "4"], a, 10)
            .integers("w", &[4, i, s, s], &w, b)
            .integers("w0", dims, &zeros, b)
            .floats("ws", dims, &scales)
            .integers("y0", &[], &[zero_c], c)
            .floats("ys", &[], &[scale_y as f32]);
        let mut names = vec!["q", "scale", "zero", "w", "ws", "w0", "ys", "y0"];
        if bias {
            fixture = fixture.integers("b", &[4], &biases, Int32);
            names.push("b");
        }
        let zero_of = |o: usize| zeros[o % zeros.len()];
        let plain = Plain {
            kernel: (0..w.len()).map(|at| f64::from(w[at] - zero_of(at / (w.len() / 4)))).collect(),
            outputs: 4,
            group,
            size,
            stride,
            pad,
        };
        let len = 4 * plain.width() * plain.width();
        let pad = pad as i64;
        let attributes = [
            ints("pads", &[pad; 4]),
            ints("strides", &[stride as i64; 2]),
            int("group", group as i64),
        ];
        let fixture = fixture
            .node("QLinearConv", &names, "z", &attributes)
            .node("DequantizeLinear", &["z", "ys", "y0"], "d", &[])
            .node("Flatten", &["d"], "y", &[])
            .output("y", &["N", &len.to_string()]);
        let what = format!("{a:?} {b:?} {c:?} group {group} size {size} stride {stride}");
        check(&what, &fixture, &values(32, -0.4, 4.0), |x, round| {
            let q: Vec<f64> = x.iter().map(|x| quantise(*x, SCALE, 10, a, round) - 10.0).collect();
            let area = plain.width() * plain.width();
            let sums = plain.of(&q);
            sums.iter()
                .enumerate()
                .map(|(at, sum)| {
                    let o = at / area;
                    let scale = SCALE * f64::from(scales[o % scales.len()]);
                    let real = (sum + f64::from(biases[o])) * scale;
                    dequantise(quantise(real, scale_y, zero_c, c, round), scale_y, zero_c)
                })
                .collect()
        });
    }
}

#[test]
fn convolutions_of_integers() {
    for (a, b, zero_b, group, size, pad) in [
        (Uint8, Int8, 3, 1, 3, 1),
        (Uint8, Uint8, 120, 2, 3, 0),
        (Int8, Int8, 0, 1, 3, 1),
        (Uint8, Int8, 3, 1, 1, 0),
    ] {
        let (low, high) = if b == Int8 { (-120, 120) } else { (0, 250) };
        let inputs = 2 / group;
        let w = levels(4 * inputs * size * size, low, high);
        let plain = Plain {
            kernel: f64s(&w).iter().map(|w| w - f64::from(zero_b)).collect(),
            outputs: 4,
            group,
            size,
            stride: 1,
            pad,
        };
        let len = 4 * plain.width() * plain.width();
        let attributes = [ints("pads", &[pad as i64; 4]), int("group", group as i64)];
        let fixture = quantised_input(&["N", "2", "4", "4"], a, 10)
            .integers("w", &[4, inputs as i64, size as i64, size as i64], &w, b)
            .integers("w0", &[], &[zero_b], b)
            .node("ConvInteger", &["q", "w", "zero", "w0"], "z", &attributes)
            .node("Cast", &["z"], "f", &[int("to", 1)])
            .node("Flatten", &["f"], "y", &[])
            .output("y", &["N", &len.to_string()]);
        check(
            &format!("{a:?} {b:?} group {group}"),
            &fixture,
            &values(32, -0.4, 4.0),
            |x, round| {
                let q: Vec<f64> =
                    x.iter().map(|x| quantise(*x, SCALE, 10, a, round) - 10.0).collect();
                plain.of(&q)
            },
        );
    }
}

#[test]
fn a_type_that_only_an_attribute_names_is_refused() {
    let quantised = |inputs: &[&str], to: i64| {
        let fixture = Fixture::default()
            .input("x", &["N", "3"])
            .floats("scale", &[], &[0.1])
            .integers("zero", &[], &[0], Int8)
            .node("QuantizeLinear", inputs, "q", &[int("output_dtype", to)])
            .node("Cast", &["q"], "y", &[int("to", 1)])
            .output("y", &["N", "3"])
            .opset(21);
        ironbound::Model::from_bytes(&fixture.bytes(), "fixture.onnx")
    };
    let error = quantised(&["x", "scale"], 3).unwrap_err().to_string();
    assert!(error.contains("q_node") && error.contains("output_dtype"), "{error}");
    assert!(quantised(&["x", "scale"], 2).is_ok() && quantised(&["x", "scale"], 0).is_ok());
    assert!(quantised(&["x", "scale", "zero"], 3).is_ok());
}
