//! Data that do not fit: bounds, scale, order, accuracy, classes.

use std::sync::Arc;

use ironbound::{
    Aim, Bounds, Cancel, Dataset, Domain, Error, Finding, Levels, Loss, Model, Norm, Preflight,
    Severity, Spacing, Threat,
};

use crate::common::values;
use crate::toy::Toy;
use crate::{dataset, expect, expect_none, findings, generic};

#[test]
fn bounds_that_do_not_fit_are_found() {
    let toy = Toy::new(&[3], 2, |x| x.chunks(3).flat_map(|x| [x[0], x[1]]).collect());
    let data = generic(&[3], 20, 2);
    let with = |bounds: Bounds| {
        let threat = Threat::new(Norm::Linf, 0.1).with_bounds(bounds);
        Preflight::new(&toy, &data).threat(threat).run().unwrap()
    };
    let found = with(Bounds::Uniform(0.0, 0.5));
    expect(&found, "data-outside-bounds", Severity::Error, "outside the bounds [0, 0.5]");
    let found = with(Bounds::Uniform(0.0, 255.0));
    expect(&found, "bounds-too-wide", Severity::Warning, "[0, 255]");
    for bounds in [Bounds::Uniform(0.0, 1.0), Bounds::NONE, Bounds::Uniform(-3.0, 4.0)] {
        let found = with(bounds);
        expect_none(&found, "data-outside-bounds");
        expect_none(&found, "bounds-too-wide");
    }
    let pixels: Vec<f32> = values(60).iter().map(|x| (255.0 * x).round()).collect();
    let pixels = dataset(&[3], &pixels, &[0, 1].repeat(10));
    let threat = Threat::new(Norm::Linf, 0.1);
    let found = Preflight::new(&toy, &pixels).threat(threat).run().unwrap();
    expect(&found, "data-outside-bounds", Severity::Error, "divide them by 255");
}

#[test]
fn features_that_no_budget_moves_are_found() {
    let toy = Toy::new(&[4], 2, |x| x.chunks(4).flat_map(|x| [x[0], x[1]]).collect());
    let data = generic(&[4], 20, 2);
    let grid = vec![None, Some(Spacing::INTEGER), None, None];
    let grid = Some(Levels::PerFeature(grid));
    let domain = Domain { grid, one_hot: vec![vec![2, 3]], ..Domain::ANY };
    let found = |threat: Threat| {
        let threat = threat.with_domain(domain.clone());
        Preflight::new(&toy, &data).threat(threat).run().unwrap()
    };
    let says = |threat, text| {
        expect(&found(threat), "domain-out-of-reach", Severity::Warning, text);
    };
    says(Threat::new(Norm::Linf, 0.9), "1 features with levels and 1 one-hot groups cannot change");
    says(Threat::new(Norm::L1, 1.5), "0 features with levels and 1 one-hot groups");
    says(Threat::new(Norm::L0, 1.0), "0 features with levels and 1 one-hot groups");
    let masked = Threat::new(Norm::L1, 0.5).with_mask(vec![true, true, false, false]);
    says(masked, "1 features with levels and 0 one-hot groups");
    for (norm, eps) in [(Norm::Linf, 1.0), (Norm::L1, 2.0), (Norm::L2, 1.42), (Norm::L0, 2.0)] {
        expect_none(&found(Threat::new(norm, eps)), "domain-out-of-reach");
    }
    let wrong = Domain { one_hot: vec![vec![2, 9]], ..Domain::ANY };
    let threat = Threat::new(Norm::L1, 2.0).with_domain(wrong);
    let fault = Preflight::new(&toy, &data).threat(threat).run().unwrap_err().to_string();
    assert!(fault.contains("`domain.one_hot[0]` is [2, 9]"), "{fault}");
}

#[derive(Debug)]
struct Demanding;

impl Loss for Demanding {
    fn name(&self) -> &'static str {
        "demanding"
    }

    fn min_classes(&self) -> usize {
        3
    }

    fn value_and_gradient(&self, logits: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        gradient.fill(1.0);
        logits[0]
    }
}

#[test]
fn a_loss_that_needs_more_classes_is_an_error() {
    let with = |classes: usize| {
        let toy = Toy::new(&[3], classes, move |x| {
            x.chunks(3)
                .flat_map(|x| (0..classes).map(|k| x[k % 3] * k as f32).collect::<Vec<_>>())
                .collect()
        });
        let preflight =
            Preflight::new(&toy, &generic(&[3], 20, classes)).loss(Arc::new(Demanding)).run();
        preflight.unwrap()
    };
    let found = with(2);
    expect(
        &found,
        "too-few-classes",
        Severity::Error,
        "demanding needs 3 classes, the model has 2",
    );
    expect_none(&with(3), "too-few-classes");
}

const SHAPE: [usize; 3] = [3, 4, 5];
const CLASSES: usize = 4;

/// Images near one template per class, in [0, 1].
fn images(samples: usize) -> (Vec<Vec<f32>>, Vec<f32>, Vec<usize>) {
    let features: usize = SHAPE.iter().product();
    let all = values(CLASSES * features);
    let templates: Vec<Vec<f32>> = all.chunks(features).map(<[f32]>::to_vec).collect();
    let labels: Vec<usize> = (0..samples).map(|sample| sample % CLASSES).collect();
    let noise = values(samples * features);
    let near = |(at, label): (usize, &usize)| {
        let noise = &noise[at * features..][..features];
        templates[*label]
            .iter()
            .zip(noise)
            .map(|(t, n)| 0.9 * t + 0.05 + 0.01 * n)
            .collect::<Vec<_>>()
    };
    let inputs = labels.iter().enumerate().flat_map(near).collect();
    (templates, inputs, labels)
}

/// A model that takes images prepared by `prepare`, looked at on images that are not.
fn unprepared(prepare: impl Fn(usize, &[f32]) -> f32, radius: f32) -> Vec<Finding> {
    let (templates, inputs, labels) = images(40);
    let prepared = |x: &Vec<f32>| (0..x.len()).map(|at| prepare(at, x)).collect();
    let model = Toy::templates(&SHAPE, templates.iter().map(prepared).collect(), radius);
    findings(&model, &dataset(&SHAPE, &inputs, &labels))
}

#[test]
fn accuracy_at_chance_finds_what_the_data_lack() {
    let stds = [0.229, 0.224, 0.225];
    let means = [0.485, 0.456, 0.406];
    let cases: [(&str, Vec<Finding>); 5] = [
        ("scale 255", unprepared(|at, x| 255.0 * x[at], 127.0)),
        ("scale 0.003921569", unprepared(|at, x| x[at] / 255.0, 0.002)),
        (
            "mean 0.485,0.456,0.406",
            unprepared(move |at, x| (x[at] - means[at / 20]) / stds[at / 20], 2.0),
        ),
        ("channels reversed", unprepared(|at, x| x[at % 20 + 20 * (2 - at / 20)], 0.5)),
        (
            "in NHWC order",
            unprepared(
                |at, x| {
                    // The data lie in NHWC order: channel k, row i, column j stands at (i, j, k).
                    let (k, i, j) = (at / 20, at / 5 % 4, at % 5);
                    x[(i * 5 + j) * 3 + k]
                },
                0.5,
            ),
        ),
    ];
    for (words, found) in cases {
        let finding = expect(&found, "chance-accuracy", Severity::Error, "raises it to 100.0 %");
        assert!(finding.remedy.contains(words), "{words}: {finding}");
    }
    expect_none(&unprepared(|at, x| x[at], 0.5), "chance-accuracy");
}

#[test]
fn accuracy_at_chance_without_a_remedy_is_a_warning() {
    let (_, inputs, labels) = images(40);
    let constant = Toy::new(&SHAPE, CLASSES, |x| [1.0, 0.0, 0.0, 0.0].repeat(x.len() / 60));
    let found = findings(&constant, &dataset(&SHAPE, &inputs, &labels));
    expect(&found, "chance-accuracy", Severity::Warning, "25.0 %, which guessing among 4");
    // Too few samples to tell.
    let few = dataset(&SHAPE, &inputs[..60 * 8], &labels[..8]);
    expect_none(&findings(&constant, &few), "chance-accuracy");
}

/// Right on half of the pixels whatever the scale, on the other half only within [0, 1].
#[test]
fn a_better_scale_is_suggested_above_chance_too() {
    let model = || {
        Toy::new(&[2], 2, |x| {
            let row = |x: &[f32]| {
                let right = if x[1] < 0.0 || x[0] <= 1.0 { x[0] } else { 0.0 };
                [0.001, right]
            };
            x.chunks(2).flat_map(row).collect()
        })
    };
    let (mut inputs, mut labels) = (vec![], vec![]);
    for sample in 0..40_usize {
        // Classes 1 0 1 1: one of the last two is missed at the wrong scale.
        let class = usize::from(!sample.is_multiple_of(3));
        inputs.extend([if class == 1 { 200.0 } else { 0.0 }, 1.0]);
        labels.push(class);
    }
    let pixels = dataset(&[2], &inputs, &labels);
    let found = findings(&model(), &pixels);
    expect_none(&found, "data-range");
    expect(&found, "chance-accuracy", Severity::Error, "dividing the data by 255");
    // With more of what is right at any scale, the accuracy is above chance.
    let more: Vec<f32> = inputs.iter().copied().chain([0.0, 1.0].repeat(60)).collect();
    let labels: Vec<usize> = labels.into_iter().chain([0; 60]).collect();
    let found =
        Preflight::new(&model(), &dataset(&[2], &more, &labels)).samples(100).run().unwrap();
    let finding = expect(&found, "data-range", Severity::Warning, "raises the clean accuracy");
    assert!(finding.remedy.contains("scale 0.003921569"), "{finding}");
    let scaled: Vec<f32> = more.iter().map(|x| x / 255.0).collect();
    let found =
        Preflight::new(&model(), &dataset(&[2], &scaled, &labels)).samples(100).run().unwrap();
    expect_none(&found, "data-range");
    expect_none(&found, "chance-accuracy");
}

#[test]
fn the_digits_deserve_no_warning() {
    for name in ["digits_cnn", "digits_cnn_plain"] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/assets/");
        let model = Model::load(format!("{folder}{name}.onnx")).unwrap();
        let data = Dataset::from_npz(format!("{folder}digits_test.npz")).unwrap();
        for threat in [Threat::new(Norm::Linf, 0.1), Threat::new(Norm::L2, 1.0)] {
            let found = Preflight::new(&model, &data).threat(threat).run().unwrap();
            assert!(found.iter().all(|finding| finding.severity == Severity::Info), "{found:?}");
        }
        // Sixteen times too bright: the images were not divided.
        let bright: Vec<f32> = data.values().iter().map(|x| x / 255.0).collect();
        let found = findings(&model, &dataset(&[1, 8, 8], &bright, data.labels()));
        let code = found.iter().find(|f| ["data-range", "chance-accuracy"].contains(&&f.code[..]));
        assert!(code.is_some_and(|f| f.remedy.contains("scale 255")), "{found:?}");
    }
}

#[test]
fn settings_and_data_that_do_not_fit_are_refused() {
    let toy = Toy::new(&[3], 2, |x| x.chunks(3).flat_map(|x| [x[0], x[1]]).collect());
    let data = generic(&[3], 20, 2);
    let fault = |preflight: Preflight<'_>| preflight.run().unwrap_err().to_string();
    assert!(fault(Preflight::new(&toy, &data).samples(0)).contains("`samples` is 0"));
    assert!(fault(Preflight::new(&toy, &data).range(20, None)).contains("`offset` is 20"));
    assert!(fault(Preflight::new(&toy, &data).range(0, Some(0))).contains("`limit` is 0"));
    let reversed = Threat::new(Norm::Linf, 0.1).with_bounds(Bounds::Uniform(1.0, 0.0));
    assert!(
        fault(Preflight::new(&toy, &data).threat(reversed.clone())).contains("`bounds` is (1, 0)")
    );
    assert!(fault(Preflight::without_data(&toy).threat(reversed)).contains("`bounds` is (1, 0)"));
    let labels = generic(&[3], 20, 3);
    assert!(fault(Preflight::new(&toy, &labels)).contains("the model has 2 classes"));
    let wide = generic(&[4], 20, 2);
    assert!(fault(Preflight::new(&toy, &wide)).contains("4"));
    let cancel = Cancel::default();
    cancel.cancel();
    let cancelled = Preflight::new(&toy, &data).cancel(cancel).run();
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}

#[test]
fn without_data_samples_are_drawn_and_said() {
    // Its NaNs tell the draws apart.
    let toy = Toy::new(&[3], 2, |x| {
        x.chunks(3).flat_map(|x| [x[0], if x[1] > 0.8 { f32::NAN } else { x[2] }]).collect()
    });
    let run = |seed| Preflight::without_data(&toy).samples(40).seed(seed).run().unwrap();
    let found = run(1);
    expect(&found, "no-data", Severity::Info, "40 samples were drawn uniformly between 0 and 1");
    expect(&found, "non-finite", Severity::Error, "of 40 samples");
    expect_none(&found, "chance-accuracy");
    assert_eq!(run(1), found);
    assert_ne!(run(2), found);
}
