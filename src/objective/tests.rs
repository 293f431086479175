//! Gradients of objectives against differences, and what counts as achieved.

use std::sync::Arc;

use super::*;
use crate::rng::stream;
use rand::RngExt;

const CLEAN: [f32; 4] = [0.5, -1.0, 2.0, 0.25];

fn all() -> Vec<(Arc<dyn Objective>, usize)> {
    let term = |coefficients: &[(usize, f64)], constant| Term {
        coefficients: coefficients.to_vec(),
        constant,
    };
    let any = vec![
        vec![term(&[(0, 1.0), (2, -1.0)], 0.5), term(&[(1, 2.0), (1, 1.0)], -0.25)],
        vec![term(&[(3, -1.5)], 0.0)],
    ];
    vec![
        (Arc::new(Above { output: 2, value: 1.5 }), 1),
        (Arc::new(Below { output: 1, value: 0.5 }), 1),
        (Arc::new(Moved { output: Some(3), by: 0.5, way: Way::Either }), 1),
        (Arc::new(Moved { output: None, by: 0.5, way: Way::Up }), 4),
        (Arc::new(Moved { output: None, by: 0.5, way: Way::Down }), 4),
        (Arc::new(Cosine { below: 0.3 }), 1),
        (Arc::new(Dnf { any }), 2),
        (
            Arc::new(function("product", |y, clean, gradient| {
                (gradient[0], gradient[1]) = (y[1], y[0]);
                y[0] * y[1] - clean[0] * clean[1]
            })),
            1,
        ),
    ]
}

#[test]
fn gradients_are_those_of_the_values() {
    let mut draw = stream(0, "objectives", 0, 0);
    for (objective, alternatives) in all() {
        assert_eq!(objective.alternatives(4).unwrap(), alternatives);
        for (at, _) in (0..alternatives).flat_map(|at| (0..20).map(move |case| (at, case))) {
            let y: Vec<f32> = CLEAN.iter().map(|c| c + draw.random_range(-1.0..1.0)).collect();
            let (mut gradient, mut unused) = (vec![9.0; 4], vec![0.0; 4]);
            objective.value_and_gradient(at, &y, &CLEAN, &mut gradient);
            for output in 0..4 {
                let mut value = |step: f32| {
                    let mut moved = y.clone();
                    moved[output] += step;
                    f64::from(objective.value_and_gradient(at, &moved, &CLEAN, &mut unused))
                };
                let difference = (value(1e-3) - value(-1e-3)) / 2e-3;
                let error = (difference - f64::from(gradient[output])).abs();
                assert!(error < 2e-3, "{objective:?} {at} {output}: {difference} {gradient:?}");
            }
        }
    }
}

#[test]
fn values_are_those_of_the_definitions() {
    let mut gradient = [0.0; 4];
    let mut value = |objective: &dyn Objective, y: &[f32; 4]| {
        objective.value_and_gradient(0, y, &CLEAN, &mut gradient)
    };
    let y = [1.0, -1.0, 2.5, 0.0];
    assert!((value(&Above { output: 2, value: 2.0 }, &y) - 0.5).abs() < 1e-6);
    assert!((value(&Below { output: 2, value: 2.0 }, &y) + 0.5).abs() < 1e-6);
    let moved = |way| Moved { output: Some(3), by: 0.2, way };
    assert!((value(&moved(Way::Either), &y) - 0.05).abs() < 1e-6);
    assert!((value(&moved(Way::Up), &y) + 0.45).abs() < 1e-6);
    assert!((value(&moved(Way::Down), &y) - 0.05).abs() < 1e-6);
    let opposite = CLEAN.map(|c| -3.0 * c);
    assert!((value(&Cosine { below: 0.5 }, &opposite) - 1.5).abs() < 1e-6);
    assert!((value(&Cosine { below: 0.5 }, &CLEAN) + 0.5).abs() < 1e-6);
    assert!((value(&Cosine { below: 0.5 }, &[0.0; 4]) - 0.5).abs() < 1e-6, "no direction");
}

#[test]
fn conditions_are_met_at_equality_and_not_just_below() {
    let term = Term { coefficients: vec![(0, 1.0), (1, -1.0)], constant: 0.0 };
    let dnf = Dnf { any: vec![vec![term]] };
    let mut gradient = [0.0; 2];
    let mut value = |y: [f32; 2]| dnf.value_and_gradient(0, &y, &[], &mut gradient);
    assert!(value([0.1, 0.1]) > 0.0);
    assert!(value([1e-45, 0.0]) > 0.0);
    assert!(value([0.0, 1e-45]) < 0.0);
}

#[test]
fn what_does_not_fit_is_named() {
    let refused = |objective: &dyn Objective, outputs| {
        objective.alternatives(outputs).unwrap_err().to_string()
    };
    assert!(refused(&Above { output: 4, value: 0.0 }, 4).contains("0 to 3"));
    assert!(refused(&Moved { by: f64::NAN, ..Moved::default() }, 4).contains("`by`"));
    assert!(refused(&Moved { output: Some(9), ..Moved::default() }, 4).contains("`output`"));
    assert!(refused(&Cosine { below: 1.5 }, 4).contains("`below`"));
    assert!(refused(&Cosine::default(), 1).contains("two outputs"));
    assert!(refused(&Dnf::default(), 4).contains("one alternative or more"));
    let nan = Term { coefficients: vec![(0, f64::NAN)], constant: 0.0 };
    assert!(refused(&Dnf { any: vec![vec![nan]] }, 4).contains("finite"));
}

#[test]
fn names_and_parameters_are_read() {
    let above: ObjectiveKind = "above:output=2,value=3/2".parse().unwrap();
    assert_eq!(above.objective().name(), "above:output=2,value=1.5");
    let moved: ObjectiveKind = "moved:by=0.1,way=up".parse().unwrap();
    assert_eq!(moved, ObjectiveKind::Moved(Moved { output: None, by: 0.1, way: Way::Up }));
    let refused = |text: &str| text.parse::<ObjectiveKind>().unwrap_err().to_string();
    for name in ObjectiveKind::IDS {
        assert!(refused("over:value=1").contains(name));
    }
    assert!(
        refused("above:valu=1").contains("expected `output` or `value`"),
        "{}",
        refused("above:valu=1")
    );
}
