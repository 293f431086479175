//! The record: its schema, its text, the adversarial points.

mod closed;

use std::collections::BTreeSet;
use std::io::Read;

use closed::{Linear, dataset, samples};
use ironbound::attack::AttackSpec;
use ironbound::report::{Report, save_adversarial};
use ironbound::{Evaluation, Norm, Results, Threat};
use serde_json::Value;

fn results() -> Results {
    let model = Linear::random(2, 6, 3);
    let (inputs, labels) = samples(&model, 2, 30);
    let data = dataset(inputs, labels, 6);
    let run = Evaluation::new(&model, &data).seed(5).range(2, Some(20));
    let run = run.threat(Threat::new(Norm::Linf, 8.0 / 255.0)).threat(Threat::new(Norm::Linf, 0.3));
    let run = ["noise:draws=2", "fgsm"]
        .into_iter()
        .fold(run, |run, attack| run.attack(attack.parse::<AttackSpec>().unwrap()));
    run.run().unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Whoever reads reports in CI relies on these names.
#[test]
fn every_pinned_field_is_there() {
    let report: Value = serde_json::from_str(&Report::new(&results()).to_json()).unwrap();
    let pinned = [
        ("", "schema ironbound seed partial model data clean attacks worst_case warnings"),
        ("/model", "path sha256 input output classes"),
        ("/data", "path sha256 samples"),
        ("/clean", "accuracy interval correct"),
        (
            "/attacks/0",
            "id params norm eps robust_accuracy interval success_rate rejected queries distance robust",
        ),
        ("/attacks/0/queries", "forward backward"),
        ("/attacks/0/distance", "mean median max"),
        ("/worst_case/0", "norm eps robust_accuracy interval robust"),
    ];
    for (at, names) in pinned {
        let found = keys(report.pointer(at).unwrap());
        let missing: Vec<_> = names.split(' ').filter(|name| !found.contains(name)).collect();
        assert!(missing.is_empty(), "{at}: {missing:?}");
    }
    assert_eq!(report["schema"], "ironbound/report/1");
    assert_eq!((&report["seed"], &report["data"]["samples"]), (&5.into(), &20.into()));
    let shape = |at: &str| report.pointer(at).unwrap().as_array().unwrap().len();
    assert_eq!([shape("/attacks"), shape("/worst_case"), shape("/clean/interval")], [4, 2, 2]);
    assert_eq!([shape("/clean/correct"), shape("/attacks/3/robust")], [20, 20]);
    assert!(report["attacks"][0]["params"].is_object());
    assert!(report["attacks"][0]["distance"]["mean"].is_null(), "nothing found is null, not 0");
}

#[test]
fn a_report_survives_its_file_and_refuses_others() {
    let report = Report::new(&results());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    report.save(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(Report::from_json(&text, "report.json").unwrap(), report);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");

    let mut other: Value = serde_json::from_str(&text).unwrap();
    other["clean"]["acuracy"] = 1.into();
    let error = Report::from_json(&other.to_string(), "other.json").unwrap_err();
    assert_eq!(error.to_string(), "other.json: not a report");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("unknown field `acuracy`"), "{source}");
    let next = text.replace("ironbound/report/1", "ironbound/report/2");
    let error = Report::from_json(&next, "next.json").unwrap_err().to_string();
    assert!(error.contains("the schema is `ironbound/report/2`"), "{error}");
    assert!(report.save(folder.path().join("no/such/folder.json")).is_err());
}

#[test]
fn the_text_says_it_all() {
    let report = Report::new(&results());
    let text = report.to_text();
    for part in
        ["model   linear (3 classes", "(20 samples", "worst case", "fgsm", "0.03137", "0.3 "]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(text.lines().all(|line| line.len() < 200 && line.trim_end() == line), "{text}");
}

#[test]
fn rows_of_the_same_attack_are_told_apart() {
    let mut report = Report::new(&results());
    assert!(!report.to_text().contains("draws"));
    report.attacks[1].params["draws"] = 7.into();
    let text = report.to_text();
    assert!(text.contains("noise:draws=2 ") && text.contains("noise:draws=7 "), "{text}");
}

#[test]
fn adversarial_points_are_a_data_set() {
    let results = results();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("found.npz");
    let count = save_adversarial(&results, &path).unwrap();
    let all = results.rows.iter().flat_map(|row| &row.attempts);
    let found: Vec<_> = all.filter_map(|attempt| attempt.adversarial.as_ref()).collect();
    assert!(count > 0 && count == found.len());

    let mut npz = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
    let mut array = |name: &str| {
        let mut bytes = vec![];
        npz.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let x = array("x.npy");
    let x = npyz::NpyFile::new(&x[..]).unwrap();
    assert_eq!(x.shape(), [count as u64, 6]);
    let expected: Vec<f32> = found.iter().flat_map(|found| found.point.iter().copied()).collect();
    assert_eq!(x.into_vec::<f32>().unwrap(), expected);
    let integers =
        |bytes: Vec<u8>| npyz::NpyFile::new(&bytes[..]).unwrap().into_vec::<i64>().unwrap();
    let (y, prediction) = (integers(array("y.npy")), integers(array("prediction.npy")));
    assert!(y.iter().zip(&prediction).all(|(y, prediction)| y != prediction));
    let (sample, row) = (integers(array("sample.npy")), integers(array("row.npy")));
    let labels = &results.labels;
    assert!(sample.iter().zip(&y).all(|(id, y)| labels[*id as usize - 2] as i64 == *y));
    assert!(row.is_sorted() && row.iter().all(|row| *row < 4));

    save_adversarial(&results, folder.path().join("again.npz")).unwrap();
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(bytes("found.npz") == bytes("again.npz"), "the same points give the same bytes");
}
