//! Rounding outside of the quantised operators, tables, and how what is passed is selected.

mod common;

use common::fixture::{Fixture, int};
use common::quantised::{
    Round, SCALE, check, dequantise, gradient, levels, load, quantise, quantised_input, values,
    weight,
};
use ironbound::tract_onnx::pb::tensor_proto::DataType::{self, Int8, Uint8};
use ironbound::{Classifier, Error, Model, ModelOptions};

/// The other type, scale and zero point of a requantisation.
fn requantised(fixture: Fixture, input: &str, dt: DataType, zero: i32, scale: f64) -> Fixture {
    fixture
        .floats("scale2", &[], &[scale as f32])
        .integers("zero2", &[], &[zero], dt)
        .node("QuantizeLinear", &[input, "scale2", "zero2"], "r", &[])
        .node("DequantizeLinear", &["r", "scale2", "zero2"], "y", &[])
        .output("y", &["N", "12"])
}

#[test]
fn dequantised_and_quantised_again() {
    let scale = f64::from(0.02_f32);
    for (a, zero_a, b, zero_b) in [
        (Uint8, 3, Uint8, 10),
        (Int8, -100, Int8, -90),
        (Int8, -100, Uint8, 10),
        (Uint8, 3, Int8, -90),
    ] {
        let fixture = quantised_input(&["N", "12"], a, zero_a).node(
            "DequantizeLinear",
            &["q", "scale", "zero"],
            "d",
            &[],
        );
        let fixture = requantised(fixture, "d", b, zero_b, scale);
        check(&format!("{a:?} to {b:?}"), &fixture, &values(12, 0.3, 3.7), |x, round| {
            x.iter()
                .map(|x| dequantise(quantise(*x, SCALE, zero_a, a, round), SCALE, zero_a))
                .map(|x| dequantise(quantise(x, scale, zero_b, b, round), scale, zero_b))
                .collect()
        });
    }
}

/// A table's slope is a mean over nine levels, so that it is compared by the way it leads.
#[test]
fn a_function_between_two_quantisations() {
    for (a, zero_a, b, zero_b) in
        [(Uint8, 128, Uint8, 0), (Int8, 3, Int8, -128), (Uint8, 128, Int8, -128)]
    {
        let fixture = quantised_input(&["N", "12"], a, zero_a)
            .node("DequantizeLinear", &["q", "scale", "zero"], "d", &[])
            .node("Sigmoid", &["d"], "s", &[]);
        let scale = 1.0 / 256.0;
        let fixture = requantised(fixture, "s", b, zero_b, scale);
        let x = values(12, -3.0, 3.0);
        let what = format!("{a:?} to {b:?}");
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (exact, through) = (load(&fixture, &[]), load(&fixture, &["QuantizeLinear"]));
        let inputs: Vec<f32> = x.iter().map(|x| *x as f32).collect();
        for model in [&exact, &through] {
            let mut logits = vec![];
            Classifier::logits(model, inputs[..].into(), &mut logits).unwrap();
            for (found, x) in logits.iter().zip(&x) {
                let round: Round<'_> = &|x| x.round_ties_even();
                let d = dequantise(quantise(*x, SCALE, zero_a, a, round), SCALE, zero_a);
                let y = dequantise(quantise(sigmoid(d), scale, zero_b, b, round), scale, zero_b);
                // One level: the value before rounding may lie on a half.
                assert!((f64::from(*found) - y).abs() < 1.01 * scale, "{what}: {found}, not {y}");
            }
        }
        assert!(gradient(&exact, &x).iter().all(|g| *g == 0.0), "{what}");
        for ((at, x), found) in x.iter().enumerate().zip(gradient(&through, &x)) {
            let expected = weight(at) * sigmoid(*x) * (1.0 - sigmoid(*x));
            let error = (f64::from(found) - expected).abs();
            assert!(error < 0.1 * expected.abs(), "{what} at {x}: {found}, not {expected}");
        }
    }
}

/// x in [-1, 4] quantised by its own range, times integer weights.
#[test]
fn a_dynamic_quantisation() {
    let w = levels(12, -100, 100);
    let fixture = Fixture::default()
        .input("x", &["1", "4"])
        .node_of("DynamicQuantizeLinear", &["x"], &["q", "scale", "zero"], &[])
        .integers("w", &[4, 3], &w, Int8)
        .node("MatMulInteger", &["q", "w", "zero"], "z", &[])
        .node("Cast", &["z"], "f", &[int("to", 1)])
        .node("Mul", &["f", "scale"], "y", &[])
        .output("y", &["1", "3"]);
    let x = [0.3_f64, -1.0, 4.0, 1.7];
    let weights = |i: usize, j: usize| f64::from(w[3 * i + j]);
    let scale = 5.0_f64 / 255.0;
    let zero = (1.0 / scale).round_ties_even();
    let levels = x.map(|x| (x / scale).round_ties_even());
    let model = load(&fixture, &[]);
    let mut logits = vec![];
    let inputs = x.map(|x| x as f32);
    Classifier::logits(&model, inputs[..].into(), &mut logits).unwrap();
    assert!((zero - 51.0).abs() < 0.1);
    for (j, found) in logits.iter().enumerate() {
        let sum: f64 = (0..4).map(|i| levels[i] * weights(i, j)).sum();
        approx::assert_relative_eq!(f64::from(*found), sum * scale, max_relative = 1e-5);
    }
    // Exact: the levels stand still, the scale moves with the smallest and the largest value.
    assert!(model.gradient_cuts().unwrap().is_empty());
    let by_scale: f64 =
        (0..3).map(|j| weight(j) * (0..4).map(|i| levels[i] * weights(i, j)).sum::<f64>()).sum();
    let expected = [0.0, -by_scale / 255.0, by_scale / 255.0, 0.0];
    for (found, expected) in gradient(&model, &x).iter().zip(expected) {
        approx::assert_relative_eq!(f64::from(*found), expected, max_relative = 1e-5);
    }
    // Straight through, it is the float product.
    let through = load(&fixture, &["DynamicQuantizeLinear"]);
    for (i, found) in gradient(&through, &x).iter().enumerate() {
        let expected: f64 = (0..3).map(|j| weight(j) * weights(i, j)).sum();
        approx::assert_relative_eq!(f64::from(*found), expected, max_relative = 1e-4);
    }
}

#[test]
fn a_dynamic_quantisation_of_zeros_has_finite_gradients() {
    let fixture = Fixture::default()
        .input("x", &["1", "4"])
        .node_of("DynamicQuantizeLinear", &["x"], &["q", "scale", "zero"], &[])
        .node("Cast", &["q"], "f", &[int("to", 1)])
        .node("Mul", &["f", "scale"], "y", &[])
        .output("y", &["1", "4"]);
    assert_eq!(gradient(&load(&fixture, &["all"]), &[0.0; 4]), [0.0; 4]);
}

#[test]
fn whole_numbers() {
    for (op, rounded) in [
        ("Round", f64::round_ties_even as fn(f64) -> f64),
        ("Floor", f64::floor),
        ("Ceil", f64::ceil),
    ] {
        let fixture = Fixture::default()
            .input("x", &["N", "6"])
            .node(op, &["x"], "y", &[])
            .output("y", &["N", "6"]);
        let x = values(6, -3.0, 3.0);
        // The reference rounds by itself, or not at all.
        check(op, &fixture, &x, |x, round| {
            let rounds = round(0.4).abs() < 0.2;
            x.iter().map(|x| if rounds { rounded(*x) } else { *x }).collect()
        });
    }
}

#[test]
fn casts() {
    for to in [2, 3, 6, 7] {
        let fixture = Fixture::default()
            .input("x", &["N", "6"])
            .node("Cast", &["x"], "whole", &[int("to", to)])
            .node("Cast", &["whole"], "y", &[int("to", 1)])
            .output("y", &["N", "6"]);
        check(&format!("to {to}"), &fixture, &values(6, 1.0, 90.0), |x, round| {
            let rounds = round(0.4).abs() < 0.2;
            x.iter().map(|x| if rounds { x.trunc() } else { *x }).collect()
        });
    }
}

#[test]
fn arithmetic_of_integers() {
    let fixture = Fixture::default()
        .input("x", &["N", "6"])
        .node("Cast", &["x"], "whole", &[int("to", 6)])
        .integers("three", &[], &[3], DataType::Int32)
        .integers("five", &[], &[5], DataType::Int32)
        .node("Mul", &["whole", "three"], "m", &[])
        .node("Sub", &["m", "five"], "s", &[])
        .node("Mul", &["s", "whole"], "p", &[])
        .node("Cast", &["p"], "y", &[int("to", 1)])
        .output("y", &["N", "6"]);
    let x = [4.0, 9.0, 31.0, -7.0, 12.0, 40.0];
    // At whole numbers the rounded function and its surrogate have the same values, hence the same slopes.
    check("integers", &fixture, &x, |x, round| {
        let rounds = round(0.4).abs() < 0.2;
        let whole = |x: f64| if rounds { x.trunc() } else { x };
        x.iter().map(|x| (3.0 * whole(*x) - 5.0) * whole(*x)).collect()
    });
}

#[test]
fn a_sign_passes_less_the_further_out() {
    let fixture = Fixture::default()
        .input("x", &["N", "5"])
        .node("Sign", &["x"], "y", &[])
        .output("y", &["N", "5"]);
    let x = [0.5, -1.0, 2.0, -4.0, 0.0];
    let found = gradient(&load(&fixture, &["Sign"]), &x);
    for (at, (found, slope)) in found.iter().zip([1.0, 1.0, 0.25, 0.0625, 1.0]).enumerate() {
        approx::assert_relative_eq!(f64::from(*found), weight(at) * slope, max_relative = 1e-6);
    }
    assert!(gradient(&load(&fixture, &[]), &x).iter().all(|g| *g == 0.0));
}

/// Two roundings in a row, then a comparison that nothing passes.
fn chain() -> Fixture {
    Fixture::default()
        .input("x", &["N", "3"])
        .node("Round", &["x"], "a", &[])
        .floats("half", &[], &[0.5])
        .node("Mul", &["a", "half"], "b", &[])
        .node("Floor", &["b"], "y", &[])
        .output("y", &["N", "3"])
}

#[test]
fn cuts_and_selections() {
    let cuts = |through: &[&str]| load(&chain(), through).gradient_cuts().unwrap();
    let node = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    assert_eq!(cuts(&[]), [node("y_node", "Floor")]);
    assert_eq!(cuts(&["Floor"]), [node("a_node", "Round")]);
    assert_eq!(cuts(&["y_node"]), [node("a_node", "Round")]);
    assert_eq!(cuts(&["Round"]), [node("y_node", "Floor")]);
    for both in [&["Floor", "Round"][..], &["y_node", "Round"], &["all"]] {
        assert!(cuts(both).is_empty(), "{both:?}");
        let found = gradient(&load(&chain(), both), &[1.2, 3.4, -2.0]);
        for (at, found) in found.iter().enumerate() {
            approx::assert_relative_eq!(f64::from(*found), 0.5 * weight(at), max_relative = 1e-6);
        }
    }
    let model = load(&chain(), &["Floor"]);
    let notes = model.notes();
    let note = notes.iter().find(|note| note.code == "straight-through").unwrap();
    assert!(
        note.message.contains("Floor (`y_node`)") && !note.message.contains("Round"),
        "{note:?}"
    );
    let options = &model.info().options["straight_through"];
    assert_eq!(options.to_string(), r#"["Floor"]"#);
    assert!(load(&chain(), &[]).notes().is_empty());
}

#[test]
fn an_entry_that_names_nothing_is_refused() {
    let load = |fixture: Fixture, entry: &str| {
        let straight_through = vec!["all".into(), entry.into()];
        let options = ModelOptions { straight_through, ..ModelOptions::default() };
        Model::from_bytes_with(&fixture.bytes(), "fixture.onnx", &options).unwrap_err()
    };
    for entry in ["Sign", "z", "", "Mul", "b_node"] {
        let error = load(chain(), entry);
        assert!(matches!(&error, Error::Parameter { field, .. } if field == "straight_through"));
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        assert!(text.contains("Floor (`y_node`), Round (`a_node`)"), "{text}");
    }
    let error = load(Fixture::linear("N", &[1.0; 6], "Relu"), "Sign").to_string();
    assert!(error.contains("no node between input and logits rounds"), "{error}");
}

#[test]
fn what_is_not_passed_still_cuts() {
    // The comparison that chooses between two values has no surrogate; the chosen values need none.
    let fixture = Fixture::default()
        .input("x", &["N", "3"])
        .floats("half", &[], &[0.5])
        .floats("one", &[], &[1.0])
        .node("Greater", &["x", "half"], "c", &[])
        .node("Where", &["c", "one", "half"], "y", &[])
        .output("y", &["N", "3"]);
    let cuts = load(&fixture, &["all"]).gradient_cuts().unwrap();
    assert_eq!(cuts.len(), 1, "{cuts:?}");
    assert_eq!(cuts[0].0, "c_node");
}
