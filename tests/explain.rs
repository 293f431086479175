//! Explanations against closed forms, differences in double precision, and captum (`tests/data/explanations.py`).
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;
mod common;

use std::collections::BTreeMap;
use std::process::{Command, Output};

use approx::assert_relative_eq;
use closed::{Linear, dataset, samples};
use common::{example, npz};
use ironbound::attack::AttackSpec;
use ironbound::evaluate::Fate;
use ironbound::explain::{
    Baseline, Explanation, Explanations, Focus, GradientTimesInput, InputGradient,
    IntegratedGradients, Method, Occlusion, Rule, ScoreKind, SmoothGrad, feature_use,
};
use ironbound::{Classifier, Dataset, Evaluation, Explain, Model, Norm, Threat};

const FEATURES: usize = 6;

fn model() -> Linear {
    Linear::random(2, FEATURES, 3)
}

fn data() -> Dataset {
    let (inputs, labels) = samples(&model(), 2, 8);
    dataset(inputs, labels, FEATURES)
}

fn digits() -> (Model, Dataset) {
    let model = Model::load("examples/assets/digits_cnn.onnx").unwrap();
    (model, Dataset::from_npz("examples/assets/digits_test.npz").unwrap())
}

fn explain(method: impl Into<Method>) -> Explanations {
    Explain::new(&model(), &data()).method(method).run().unwrap()
}

fn values(one: &Explanation) -> Vec<f64> {
    one.map.iter().copied().collect()
}

/// Checks each feature of each sample against a function of the slope and the value of the feature.
fn expect(found: &Explanations, tolerance: f64, expected: impl Fn(usize, f64, f64) -> f64) {
    let (model, data) = (model(), data());
    assert_eq!(found.explanations.len(), data.len());
    for (index, one) in found.explanations.iter().enumerate() {
        assert_eq!((one.sample, one.label), (index, data.labels()[index]));
        assert_eq!((one.prediction, one.class), (one.class, one.prediction));
        assert_relative_eq!(one.score as f32, model.one(data.sample(index))[one.class]);
        assert_eq!(one.map.shape(), [FEATURES]);
        for (feature, value) in values(one).into_iter().enumerate() {
            let slope = f64::from(model.weights[one.class][feature]);
            let x = f64::from(data.sample(index)[feature]);
            let expected = expected(feature, slope, x);
            assert!((value - expected).abs() <= tolerance, "{index} {feature}: {value} {expected}");
        }
    }
}

#[test]
fn linear_models_have_closed_forms() {
    expect(&explain(InputGradient {}), 0.0, |_, w, _| w);
    expect(&explain(GradientTimesInput {}), 0.0, |_, w, x| w * x);
    expect(&explain(SmoothGrad { noise: 0.3, draws: 7 }), 0.0, |_, w, _| w);
    for rule in [Rule::Midpoint, Rule::GaussLegendre] {
        let baseline = Baseline::Value(0.25);
        let found = explain(IntegratedGradients { steps: 5, rule, baseline });
        expect(&found, 1e-15, |_, w, x| w * (x - 0.25));
        for one in &found.explanations {
            assert!(one.completeness.unwrap().gap().abs() < 1e-6, "{one:?}");
        }
    }
    let from: Vec<f32> = (0..FEATURES).map(|i| i as f32 / 8.0).collect();
    let found = explain(IntegratedGradients {
        baseline: Baseline::Array(from.clone()),
        ..IntegratedGradients::default()
    });
    expect(&found, 1e-14, |feature, w, x| w * (x - f64::from(from[feature])));
    // Differences of scores in f32.
    expect(&explain(Occlusion::default()), 1e-6, |_, w, x| w * x);
    let fill = Baseline::Value(0.5);
    expect(&explain(Occlusion { fill, ..Occlusion::default() }), 1e-6, |_, w, x| w * (x - 0.5));
}

/// Windows 0-3, 2-5: the features between two windows have the mean of both.
#[test]
fn a_feature_that_several_windows_cover_has_their_mean() {
    let (model, data) = (model(), data());
    let method = Occlusion { window: Some(4), stride: Some(2), fill: Baseline::default() };
    let found = explain(method);
    for (index, one) in found.explanations.iter().enumerate() {
        let part = |features: std::ops::Range<usize>| -> f64 {
            let of = |i: usize| {
                f64::from(model.weights[one.class][i]) * f64::from(data.sample(index)[i])
            };
            features.map(of).sum()
        };
        let (a, b) = (part(0..4), part(2..6));
        let mean = f64::midpoint(a, b);
        for (value, expected) in values(one).into_iter().zip([a, a, mean, mean, b, b]) {
            assert!((value - expected).abs() < 1e-6, "{value} {expected}");
        }
    }
}

#[test]
fn maps_are_those_of_captum() {
    let kept: serde_json::Value =
        serde_json::from_str(include_str!("data/explanations.json")).unwrap();
    let ids: Vec<usize> = serde_json::from_value(kept["samples"].clone()).unwrap();
    let classes: Vec<usize> = serde_json::from_value(kept["class"].clone()).unwrap();
    let maps: BTreeMap<String, Vec<Vec<f64>>> =
        serde_json::from_value(kept["maps"].clone()).unwrap();
    assert_eq!(maps.len(), 6);
    let (model, data) = digits();
    for (name, expected) in maps {
        let method: Method = name.parse().unwrap();
        let found = Explain::new(&model, &data).samples(ids.clone()).method(method).run().unwrap();
        for ((one, expected), class) in found.explanations.iter().zip(&expected).zip(&classes) {
            assert_eq!((one.class, one.map.shape()), (*class, &[1, 8, 8][..]));
            let largest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            for (feature, (value, expected)) in values(one).iter().zip(expected).enumerate() {
                let apart = (value - expected).abs() / largest;
                assert!(apart < 2e-6, "{name} {} {feature}: {value} {expected}", one.sample);
            }
        }
    }
}

#[test]
fn parts_add_up_on_a_network() {
    let (model, data) = digits();
    let gaps = |steps: usize| -> Vec<f64> {
        let method = IntegratedGradients { steps, ..IntegratedGradients::default() };
        let found = Explain::new(&model, &data).samples(0..12).method(method).run().unwrap();
        let gap = |one: &Explanation| {
            let parts = one.completeness.unwrap();
            assert_relative_eq!(parts.sum, one.map.sum(), max_relative = 1e-9);
            (parts.gap() / parts.change).abs()
        };
        found.explanations.iter().map(gap).collect()
    };
    let (few, many) = (gaps(10), gaps(200));
    let mean = |gaps: &[f64]| gaps.iter().sum::<f64>() / gaps.len() as f64;
    assert!(many.iter().all(|gap| *gap < 0.004), "{many:?}");
    assert!(mean(&many) < mean(&few) / 5.0, "{} {}", mean(&many), mean(&few));
}

#[test]
fn gradients_agree_with_differences_in_double_precision() {
    let (model, data) = digits();
    for score in [ScoreKind::Logit, ScoreKind::Margin] {
        let explain = Explain::new(&model, &data).samples([3, 11]).method(InputGradient {});
        for one in explain.score(score).focus(Focus::Label).run().unwrap().explanations {
            let x: Vec<f64> = one.input.iter().copied().map(f64::from).collect();
            let at = |feature: usize, by: f64| {
                let (mut x, mut z) = (x.clone(), vec![]);
                x[feature] += by;
                assert!(model.precise_logits(&x, &[one.sample], &mut z).unwrap());
                let own = z.remove(one.class);
                match score {
                    ScoreKind::Logit => own,
                    ScoreKind::Margin => own - z.into_iter().fold(f64::NEG_INFINITY, f64::max),
                }
            };
            assert_relative_eq!(one.score, at(0, 0.0), max_relative = 1e-5);
            let width = 1e-6;
            let slopes: Vec<_> = (0..x.len())
                .map(|feature| [-width, width].map(|by| (at(feature, by) - at(feature, 0.0)) / by))
                .collect();
            let found = values(&one);
            let steepest = found.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
            // Where the two sides differ a unit switches on just here.
            let smooth = |[left, right]: &[f64; 2]| (left - right).abs() < 1e-4 * steepest;
            let compared: Vec<_> =
                slopes.iter().zip(&found).filter(|(sides, _)| smooth(sides)).collect();
            assert!(compared.len() > 50, "{}", compared.len());
            for (sides, g) in compared {
                assert!((sides[0] - g).abs() < 1e-4 * steepest, "{sides:?} {g}");
            }
        }
    }
}

#[test]
fn what_is_explained_can_be_chosen() {
    let (model, data) = (model(), data());
    let run = |focus, score| {
        let explain = Explain::new(&model, &data).samples([4]).method(InputGradient {});
        explain.focus(focus).score(score).run().unwrap().explanations.remove(0)
    };
    // Every fifth label is none of the model's.
    let predicted = run(Focus::Prediction, ScoreKind::Logit);
    assert_ne!(predicted.label, predicted.prediction);
    assert_eq!(run(Focus::Label, ScoreKind::Logit).class, predicted.label);
    let logits = model.one(data.sample(4));
    let mut order: Vec<usize> = (0..3).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    for (class, rival) in [(order[0], order[1]), (order[2], order[0])] {
        let one = run(Focus::Class(class), ScoreKind::Margin);
        assert_relative_eq!(one.score as f32, logits[class] - logits[rival]);
        for (feature, value) in values(&one).into_iter().enumerate() {
            let [own, other] = [class, rival].map(|class| model.weights[class][feature]);
            assert_relative_eq!(value as f32, own - other);
        }
    }
}

#[test]
fn a_sample_is_explained_alike_in_any_company() {
    let (model, data) = digits();
    let run = |samples: &[usize], seed| {
        let explain = Explain::new(&model, &data).samples(samples.to_vec());
        explain.method(SmoothGrad::default()).seed(seed).run().unwrap().explanations
    };
    let (alone, together) = (run(&[7], 3), run(&[0, 7, 2], 3));
    assert_eq!(alone[0], together[1]);
    assert_ne!(alone[0].map, run(&[7], 4)[0].map);
}

#[test]
fn files_hold_the_maps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maps.npz");
    let (model, data) = digits();
    let found = Explain::new(&model, &data).samples([5, 0]).run().unwrap();
    found.save_npz(&path).unwrap();
    let arrays = npz::read(&path);
    assert_eq!(arrays["map"].shape, [2, 1, 8, 8]);
    assert_eq!(arrays["map"].values[64..], values(&found.explanations[1])[..]);
    assert_eq!(arrays["x"].floats()[..64], *data.sample(5));
    assert_eq!(arrays["sample"].classes(), [5, 0]);
    let sums: Vec<f64> = found.explanations.iter().map(|one| one.score).collect();
    assert_eq!(arrays["score"].values, sums);
    assert_eq!(arrays["change"].values.len(), 2);
    let text = found.to_text();
    assert!(text.contains("method  integrated-gradients:baseline=0.0,rule=midpoint,steps=100"));
    assert!(text.contains("sample 5: class 3, taken for 3") && text.contains(" +9"), "{text}");
    assert!(text.lines().all(|line| line.len() < 160 && line.trim_end() == line), "{text}");
}

#[test]
fn impossible_requests_are_refused() {
    let (model, data) = (model(), data());
    let refusal = |explain: Explain<'_>| explain.run().unwrap_err().to_string();
    let base = || Explain::new(&model, &data);
    let cases = [
        (base().samples([3, 8]), "`samples` is 8: data has samples 0 to 7"),
        (base().focus(Focus::Class(3)), "`class` is 3: the model has 3 classes, 0 to 2"),
        (base().method(SmoothGrad { draws: 0, noise: 0.1 }), "`draws` is 0: expected 1 or more"),
        (base().method(SmoothGrad { draws: 1, noise: -1.0 }), "`noise` is -1: expected a finite"),
    ];
    for (explain, expected) in cases {
        let found = refusal(explain);
        assert!(found.starts_with(expected), "{found}");
    }
    let cases = [
        ("integrated-gradients:steps=0", "`steps` is 0"),
        ("occlusion:window=0", "`window` is 0"),
        ("occlusion:stride=2", "`stride` is 2: expected at most the window, 1"),
    ];
    for (method, expected) in cases {
        let found = refusal(base().method(method.parse::<Method>().unwrap()));
        assert!(found.starts_with(expected), "{found}");
    }
    let short = Baseline::Array(vec![0.0; 2]);
    let found = refusal(base().method(Occlusion { fill: short, ..Occlusion::default() }));
    assert_eq!(found, "`fill` is 2 long: expected one number per feature, that is 6");
    let unknown = "saliency".parse::<Method>().unwrap_err().to_string();
    assert!(unknown.contains("unknown method `saliency`, expected one of `gradient`"), "{unknown}");
    assert!("logits".parse::<ScoreKind>().is_err() && "first".parse::<Focus>().is_err());
    let nan = Linear { nan_above: -1.0, ..Linear::random(2, FEATURES, 3) };
    let found = refusal(Explain::new(&nan, &data));
    assert!(found.starts_with("sample 0: logit 0 is NaN"), "{found}");
}

/// Counted again from the points, and for an attack whose points are known: FGSM moves every feature by the budget.
#[test]
fn features_that_attacks_use() {
    let (model, data) = (model(), data());
    let run = Evaluation::new(&model, &data)
        .threat(Threat::new(Norm::Linf, 0.2).with_bounds(ironbound::Bounds::NONE))
        .threat(Threat::new(Norm::L1, 0.4));
    let run = ["fgsm", "pgd:steps=3"]
        .into_iter()
        .fold(run, |run, attack| run.attack(attack.parse::<AttackSpec>().unwrap()));
    let results = run.run().unwrap();
    let uses = feature_use(&model, &data, &results).unwrap();
    assert_eq!(uses.len(), results.rows.len());
    for (found, row) in uses.iter().zip(&results.rows) {
        let broken: Vec<_> = row
            .attempts
            .iter()
            .zip(&results.ids)
            .filter(|(attempt, _)| attempt.fate == Fate::Broken)
            .map(|(attempt, id)| (attempt.adversarial.as_ref().unwrap(), data.sample(*id)))
            .collect();
        assert_eq!((found.broken, row.attack == found.attack), (broken.len(), true));
        assert!(
            found.features.is_sorted_by(|a, b| a.mean_absolute_change >= b.mean_absolute_change)
        );
        for feature in 0..FEATURES {
            let changes: Vec<f64> = broken
                .iter()
                .map(|(of, clean)| f64::from(of.point[feature]) - f64::from(clean[feature]))
                .collect();
            let changed = changes.iter().filter(|change| **change != 0.0).count();
            let Some(used) = found.features.iter().find(|used| used.feature == feature) else {
                assert_eq!(changed, 0);
                continue;
            };
            assert_eq!(used.changed, changed);
            let mean = |of: &dyn Fn(f64) -> f64| {
                changes.iter().map(|c| of(*c)).sum::<f64>() / broken.len() as f64
            };
            assert_relative_eq!(used.mean_absolute_change, mean(&f64::abs), max_relative = 1e-12);
            assert_relative_eq!(used.mean_change, mean(&|c| c), epsilon = 1e-12);
        }
    }
    let fgsm = &uses[0];
    assert!(fgsm.broken > 0 && fgsm.features.len() == FEATURES);
    for used in &fgsm.features {
        assert_eq!(used.changed, fgsm.broken);
        assert_relative_eq!(used.mean_absolute_change, 0.2, max_relative = 1e-6);
    }
    let text = fgsm.to_text(2);
    assert!(text.starts_with("linf 0.2 fgsm: ") && text.lines().count() == 4, "{text}");
}

fn cli(args: &[&str]) -> Output {
    Command::new(example::binary("explain"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn the_command_line_writes_arrays_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (npz_file, maps) = (path("maps.npz"), path("maps"));
    let method = "integrated-gradients:steps=8,baseline=0.5";
    let args = ["--samples", "4,1-2", "--method", method, "--npz", &npz_file, "--png", &maps];
    let output = cli(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (model, data) = digits();
    let explain = Explain::new(&model, &data).samples([4, 1, 2]);
    let found = explain.method(method.parse::<Method>().unwrap()).run().unwrap();
    assert_eq!(text.lines().skip(2).collect::<Vec<_>>(), {
        found.to_text().lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
    });
    let arrays = npz::read(npz_file.as_ref());
    assert_eq!(arrays["sample"].classes(), [4, 1, 2]);
    assert_eq!(arrays["map"].values[..64], values(&found.explanations[0])[..]);
    let mut files: Vec<_> = std::fs::read_dir(&maps)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected = [1, 2, 4].map(|id| [format!("sample-{id}-map.png"), format!("sample-{id}.png")]);
    assert_eq!(files, expected.concat());
    let picture = std::fs::read(folder.path().join("maps/sample-4.png")).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (224, 224));
}

#[test]
fn the_command_line_tells_of_attacks_and_refuses_on_one_line() {
    let args = ["--samples", "0", "--method", "gradient", "--attack", "fgsm", "--eps", "0.2"];
    let text = String::from_utf8(cli(&[&args[..], &["--limit", "20"]].concat()).stdout).unwrap();
    assert!(text.contains("\nlinf 0.2 fgsm: "), "{text}");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--samples", "2-1"], 2, "error: `samples` is 2-1: expected indices and ranges"),
        (&["--samples", "360"], 2, "error: `samples` is 360: digits_test.npz has samples 0 to 359"),
        (&["--class", "10"], 2, "error: `class` is 10: the model has 10 classes, 0 to 9"),
        (&["--method", "lime"], 2, "error: unknown method `lime`, expected one of `gradient`"),
        (&["missing.onnx", "--data", "missing.npz"], 2, "error: missing.npz: "),
        (&["--npz", "no/such/maps.npz"], 2, "error: no/such/maps.npz: "),
    ];
    for (args, code, expected) in cases {
        let output = cli(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.starts_with(expected) && errors.lines().count() == 1, "{errors}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
