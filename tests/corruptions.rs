//! Errors on corrupted images, counted by hand and on a real model.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::process::{Command, Output};
use std::sync::Arc;

use common::example;

use ironbound::corruption::{Kind, ParameterSet, Severity};
use ironbound::report::CorruptionReport;
use ironbound::{
    Aim, Batch, Bounds, Classifier, Corruptions, Dataset, Error, Loss, LossGradient, Model,
    ModelInfo, Result,
};
use ndarray::Array3;

/// Class 1 above a mean of 0.57; a logit that is no number above 0.97.
#[derive(Debug)]
struct Light(ModelInfo);

impl Light {
    fn new() -> Self {
        Self(ModelInfo { shape: vec![8, 8], classes: 2, ..ModelInfo::default() })
    }
}

impl Classifier for Light {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn logits(&self, batch: Batch<'_>, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        for image in batch.inputs.chunks_exact(64) {
            let mean = image.iter().sum::<f32>() / 64.0;
            logits.extend([0.57, if mean > 0.97 { f32::NAN } else { mean }]);
        }
        Ok(())
    }

    fn loss_and_gradient(
        &self,
        _batch: Batch<'_>,
        _aims: &[Aim],
        _loss: &Arc<dyn Loss>,
        _out: &mut LossGradient,
    ) -> Result<()> {
        Err(Error::Cancelled)
    }
}

/// Even images of these shades.
fn even(shades: &[f32], labels: &[usize]) -> Dataset {
    let x = Array3::from_shape_fn((shades.len(), 8, 8), |(sample, _, _)| shades[sample]);
    Dataset::from_arrays(x.view(), labels).unwrap()
}

#[test]
fn errors_are_counted_as_by_hand() {
    // Brightness adds 0.05, 0.1, 0.15, 0.2 and 0.3; contrast leaves an even image alone.
    let data = even(&[0.5, 0.4, 0.5, 0.75], &[0, 0, 1, 1]);
    let model = Light::new();
    let sweep = Corruptions::new(&model, &data).kinds(&[Kind::Contrast, Kind::Brightness]);
    let found = sweep.run().unwrap();
    assert_eq!((found.ids.len(), found.clean, found.parameters), (4, 1, ParameterSet::Cifar));
    let expected = [
        (Kind::Contrast, vec![1, 1, 1, 1, 1]),
        // The first image is lost from 0.6 on, the second from 0.6 on, the third is won from 0.6 on, and the last has no
        // finite logits at 1.
        (Kind::Brightness, vec![1, 1, 1, 2, 3]),
    ];
    assert_eq!(found.rows, expected);
    let hard = sweep.clone().parameters(ParameterSet::ImageNet).severities(&[Severity::ALL[0]]);
    let found = hard.kinds(&[Kind::Brightness]).run().unwrap();
    assert_eq!(found.rows, [(Kind::Brightness, vec![1])], "0.1 is added");
    assert_eq!(found.severities, [Severity::ALL[0]]);
}

#[test]
fn a_report_compares_with_a_baseline_as_by_hand() {
    let model = Light::new();
    let run = |shades: &[f32], labels: &[usize]| {
        let data = even(shades, labels);
        let sweep = Corruptions::new(&model, &data).kinds(&[Kind::Brightness]);
        CorruptionReport::new(&sweep.run().unwrap())
    };
    let report = run(&[0.5, 0.4, 0.5, 0.75], &[0, 0, 1, 1]);
    // Of four samples 1, 1, 1, 2, 3 are wrong, and 1 as it is.
    assert_eq!((report.clean_error, report.mean_error), (0.25, Some(0.4)));
    assert!((report.mean_rise.unwrap() - 0.15).abs() < 1e-12);
    let mut other = report.clone();
    (other.rows[0].errors, other.clean_error) = (vec![0.5, 0.5, 0.75, 0.75, 1.0], 0.5);
    let compared = report.clone().against(&other).unwrap();
    let baseline = compared.baseline.as_ref().unwrap();
    assert!((baseline.mce.unwrap() - 2.0 / 3.5).abs() < 1e-12);
    assert!((baseline.relative_mce.unwrap() - 0.75 / 1.0).abs() < 1e-12);
    assert!(
        compared.to_text().contains("mCE 57.1 %, relative mCE 75.0 %"),
        "{}",
        compared.to_text()
    );
    let read = CorruptionReport::from_json(&compared.to_json(), "file").unwrap();
    assert_eq!(read, compared);
    let foreign = run(&[0.5, 0.4], &[0, 0]);
    let refused = report.against(&foreign).unwrap_err().to_string();
    assert!(refused.contains("run with other data"), "{refused}");
}

fn corruptions(args: &[&str]) -> Output {
    Command::new(example::binary("corruptions"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["examples/assets/digits_cnn.onnx", "--data", "examples/assets/digits_test.npz"])
        .args(["--limit", "20"])
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn the_command_line_reports_compares_and_gates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("digits.json");
    let file = file.to_str().unwrap();
    let chosen = ["--kind", "fog,glass-blur", "--severity", "1,5"];
    let first = corruptions(&[&chosen[..], &["--json", file]].concat());
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let text = String::from_utf8(first.stdout).unwrap();
    for part in
        ["(20 samples)", "error at severity", "fog ", "glass-blur ", "mean corruption error"]
    {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    assert_eq!(text.lines().filter(|line| line.contains(" %")).count(), 4, "{text}");
    let again = corruptions(&[&chosen[..], &["--baseline", file]].concat());
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(text.contains("against examples/assets/digits_cnn.onnx: mCE 100.0 %"), "{text}");

    let gate = corruptions(&[&chosen[..], &["--fail-over", "0", "--quiet"]].concat());
    assert_eq!(gate.status.code(), Some(1));
    assert!(gate.stdout.is_empty());
    assert!(
        String::from_utf8_lossy(&gate.stderr)
            .starts_with("gate failed: the mean corruption error is ")
    );
    for (args, part) in [
        (["--kind", "smog"], "unknown corruption `smog`"),
        (["--severity", "6"], "`severity` is 6: expected 1 to 5"),
        (["--parameters", "mnist"], "unknown parameter set `mnist`"),
        (["--baseline", "no/such.json"], "no/such.json: "),
        (["--fail-over", "30"], "`fail-over` is 30"),
        (["--bounds", "none"], "expected finite ones"),
    ] {
        let failed = corruptions(&args);
        let errors = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(2), "{args:?}: {errors}");
        assert!(errors.contains(part) && errors.matches('\n').count() == 1, "{args:?}: {errors}");
    }
}

fn digits() -> (Model, Dataset) {
    let model = Model::load("examples/assets/digits_cnn.onnx").unwrap();
    (
        model,
        Dataset::from_npz("examples/assets/digits_test.npz").unwrap().subset(0, Some(60)).unwrap(),
    )
}

#[test]
fn what_is_found_does_not_depend_on_what_else_is_run() {
    let (model, data) = digits();
    let all = Corruptions::new(&model, &data).seed(3).run().unwrap();
    assert_eq!(all.rows.len(), 15);
    assert!(all.rows.iter().all(|(_, errors)| errors.len() == 5));
    assert!(all.rows.iter().flat_map(|(_, errors)| errors).any(|&count| count > all.clean));
    let part = Corruptions::new(&model, &data)
        .seed(3)
        .kinds(&[Kind::Snow, Kind::GaussianNoise])
        .severities(&Severity::ALL[3..]);
    let halves = [0, 30].map(|offset| data.subset(offset, Some(30)).unwrap());
    let counts = |data| {
        let run = Corruptions::new(&model, data).seed(3).kinds(&[Kind::Snow]).run().unwrap();
        run.rows[0].1.clone()
    };
    let [head, tail] = halves.each_ref().map(counts);
    for (kind, errors) in &part.run().unwrap().rows {
        let whole = &all.rows.iter().find(|(other, _)| other == kind).unwrap().1;
        assert_eq!(errors[..], whole[3..], "{}", kind.name());
        if *kind == Kind::Snow {
            let sums: Vec<usize> = head.iter().zip(&tail).map(|(a, b)| a + b).collect();
            assert_eq!(&sums, whole);
        }
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| Corruptions::new(&model, &data).seed(3).run().unwrap()), all);
}

#[test]
fn what_cannot_be_run_is_refused() {
    let (model, data) = digits();
    let sweep = Corruptions::new(&model, &data);
    let refused = |sweep: Corruptions<'_>| sweep.run().unwrap_err().to_string();
    assert_eq!(refused(sweep.clone().kinds(&[])), "`kinds` is empty: expected at least one");
    assert!(refused(sweep.clone().severities(&[])).starts_with("`severities` is empty"));
    assert!(refused(sweep.clone().bounds(Bounds::NONE)).contains("expected finite ones"));
    let dark = refused(sweep.bounds(Bounds::Uniform(0.0, 0.5)));
    assert!(dark.contains("digits_test.npz"), "{dark}");
}
