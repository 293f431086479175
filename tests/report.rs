//! The record: its schema, its text, the adversarial points.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;

use std::collections::BTreeSet;
use std::io::Read;

use approx::assert_relative_eq;
use closed::{Linear, dataset, samples};
use ironbound::attack::AttackSpec;
use ironbound::evaluate::Fate;
use ironbound::report::{ClassRow, Report, save_adversarial};
use ironbound::{Dataset, Evaluation, Norm, Results, Threat};
use serde_json::Value;

fn data() -> Dataset {
    let (inputs, labels) = samples(&Linear::random(2, 6, 3), 2, 30);
    dataset(inputs, labels, 6)
}

fn results() -> Results {
    let (model, data) = (Linear::random(2, 6, 3), data());
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
        ("/clean", "accuracy interval correct labels predictions confidences calibration"),
        (
            "/attacks/0",
            "id params norm eps robust_accuracy interval success_rate rejected queries distance robust broken",
        ),
        ("/attacks/0/queries", "forward backward"),
        ("/attacks/0/distance", "mean median max"),
        ("/attacks/3", "success_queries perturbations"),
        ("/attacks/3/success_queries", "samples q10 q25 median q75 q90 max"),
        ("/attacks/3/perturbations", "l0 l1 l2 linf"),
        ("/attacks/3/perturbations/l0", "mean median max"),
        ("/attacks/3/broken/0", "sample distance sizes queries prediction confidence"),
        ("/attacks/3/broken/0/sizes", "l0 l1 l2 linf"),
        (
            "/worst_case/0",
            "norm eps robust_accuracy interval robust classes disparity calibration confusion agreement",
        ),
        ("/worst_case/0/confusion/0", "label prediction samples"),
        ("/worst_case/0/agreement/0", "first second both only_first only_second neither jaccard"),
        ("/worst_case/0/classes/0", "class samples correct robust robust_accuracy interval"),
        ("/worst_case/0/disparity", "worst_class statistic p reliable"),
        ("/curves/0", "norm goal cases area distance"),
        ("/curves/0/distance", "samples censored q10 q25 median q75 q90"),
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

/// Every derived number is worked out again from the results.
#[test]
fn sections_follow_from_the_results() {
    let results = results();
    let report = Report::new(&results);
    let (labels, n) = (&results.labels, results.labels.len());
    let softmax = |logits: &[f32], class: usize| {
        let exp = |z: f32| f64::from(z).exp();
        exp(logits[class]) / logits.iter().map(|z| exp(*z)).sum::<f64>()
    };
    let model = Linear::random(2, 6, 3);
    for (row, record) in results.rows.iter().zip(&report.attacks) {
        let broken = row.attempts.iter().zip(&results.ids).filter(|(a, _)| a.fate == Fate::Broken);
        let broken: Vec<_> = broken.collect();
        assert_eq!(broken.len(), record.broken.len());
        for ((attempt, id), entry) in broken.into_iter().zip(&record.broken) {
            let found = attempt.adversarial.as_ref().unwrap();
            let logits = model.one(&found.point);
            assert_eq!((entry.sample, entry.prediction), (*id, ironbound::argmax(&logits)));
            assert_relative_eq!(entry.distance.unwrap(), found.distance);
            assert_relative_eq!(
                entry.confidence,
                softmax(&logits, entry.prediction),
                epsilon = 1e-6
            );
        }
    }
    let mut smallest = vec![f64::INFINITY; n];
    for entry in report.attacks.iter().flat_map(|row| &row.broken) {
        let known: &mut f64 = &mut smallest[entry.sample - 2];
        *known = known.min(entry.distance.unwrap());
    }
    let curve = &report.curves[0];
    assert_eq!((report.curves.len(), &curve.cases[..]), (1, &[0, 1][..]));
    let attacked = report.clean.correct.iter().filter(|correct| **correct).count();
    let broken = smallest.iter().filter(|distance| distance.is_finite()).count();
    assert_eq!((curve.distance.samples, curve.distance.censored), (attacked, attacked - broken));
    smallest.sort_by(f64::total_cmp);
    // Without ties a quantile of a curve that is censored at its end is an order statistic.
    let expected = smallest[(attacked as f64 * 0.25).ceil() as usize - 1];
    assert_eq!(curve.distance.q25, Some(expected));
    let accuracies = report.worst_case.iter().map(|case| case.robust_accuracy.unwrap());
    let [a, b, c] =
        [report.clean.accuracy.unwrap()].into_iter().chain(accuracies).collect::<Vec<_>>()[..]
    else {
        unreachable!()
    };
    let small = 8.0 / 255.0;
    let area = (small * (a + b) / 2.0 + (0.3 - small) * (b + c) / 2.0) / 0.3;
    assert_relative_eq!(curve.area.unwrap(), area, max_relative = 1e-9);

    for case in &report.worst_case {
        for class in &case.classes {
            let of =
                |held: &[bool]| (0..n).filter(|&i| labels[i] == class.class && held[i]).count();
            assert_eq!(class.samples, of(&vec![true; n]));
            assert_eq!(
                (class.correct, class.robust),
                (of(&report.clean.correct), of(&case.robust))
            );
        }
        assert_eq!(case.classes.iter().map(|class| class.samples).sum::<usize>(), n);
        let share = |class: &&ClassRow| class.robust_accuracy.unwrap();
        let worst = case.classes.iter().min_by(|a, b| share(a).total_cmp(&share(b))).unwrap();
        assert!(case.disparity.is_none_or(|found| found.worst_class == worst.class));
    }
    let sure: Vec<_> = report.clean.confidences.iter().map(|sure| sure.unwrap()).collect();
    for (index, sure) in sure.iter().enumerate() {
        let logits = model.one(data().sample(index + 2));
        let prediction = report.clean.predictions[index].unwrap();
        assert_relative_eq!(*sure, softmax(&logits, prediction), epsilon = 1e-6);
    }
    let mut error = 0.0;
    for bin in 0..15 {
        let within = |sure: f64| sure > f64::from(bin) / 15.0 && sure <= f64::from(bin + 1) / 15.0;
        let of = || (0..n).filter(|&i| within(sure[i]));
        let excess: f64 =
            of().map(|i| sure[i] - f64::from(u8::from(report.clean.correct[i]))).sum();
        error += excess.abs() / n as f64;
    }
    assert_relative_eq!(report.clean.calibration.unwrap(), error, max_relative = 1e-9);
    let under = report.worst_case[1].calibration.unwrap();
    assert!(under > error, "a model that is fooled is too sure: {under} against {error}");
}

/// Worked out again: what the first attack made of broken samples, the model of the others; pairs of attacks sample by sample.
#[test]
fn confusion_and_agreement_follow_from_the_results() {
    let results = results();
    let report = Report::new(&results);
    let n = results.labels.len();
    for (index, case) in report.worst_case.iter().enumerate() {
        let rows: Vec<usize> =
            (0..report.attacks.len()).filter(|&row| report.attacks[row].case == index).collect();
        let broken = |row: usize, sample: usize| {
            report.attacks[row].broken.iter().find(|of| of.sample == sample + 2)
        };
        let mut matrix = [[0; 3]; 3];
        for sample in 0..n {
            let found = rows.iter().find_map(|&row| broken(row, sample));
            let clean = report.clean.predictions[sample].unwrap();
            let taken = found.map_or(clean, |found| found.prediction);
            matrix[results.labels[sample]][taken] += 1;
        }
        let cells = case.confusion.iter().map(|cell| cell.samples);
        assert_eq!(cells.sum::<usize>(), n);
        for (label, row) in matrix.iter().enumerate() {
            for (prediction, count) in row.iter().enumerate() {
                let cell =
                    case.confusion.iter().find(|c| (c.label, c.prediction) == (label, prediction));
                assert_eq!(cell.map_or(0, |cell| cell.samples), *count);
            }
        }
        let right: usize = (0..3).map(|class| matrix[class][class]).sum();
        assert_relative_eq!(right as f64 / n as f64, case.robust_accuracy.unwrap());

        let [pair] = &case.agreement[..] else { panic!("two attacks are one pair") };
        assert_eq!([pair.first, pair.second], rows[..]);
        let count = |wanted: (bool, bool)| {
            let both = |sample: &usize| {
                let of = |row: usize| broken(row, *sample).is_some();
                report.clean.correct[*sample] && (of(pair.first), of(pair.second)) == wanted
            };
            (0..n).filter(both).count()
        };
        assert_eq!(pair.both, count((true, true)));
        assert_eq!(pair.only_first, count((true, false)));
        assert_eq!(pair.only_second, count((false, true)));
        assert_eq!(pair.neither, count((false, false)));
        let either = pair.both + pair.only_first + pair.only_second;
        assert_eq!(pair.jaccard, (either > 0).then(|| pair.both as f64 / either as f64));
    }
    assert!(report.worst_case[1].agreement[0].both > 0);
    let text = report.to_markdown(&[]);
    let head = "| class \\ taken for | 0 | 1 | 2 |\n|---|--:|--:|--:|\n| **0** | ";
    assert!(text.contains(head) && text.contains("| linf 0.3 | `noise` | `fgsm` | "), "{text}");
}

/// Images of 12 x 12, so that windows of 11 fit; noise takes a number of queries that differs by sample.
#[test]
fn perturbations_are_measured_in_every_norm() {
    let mut model = Linear::random(5, 144, 4);
    model.info.shape = vec![12, 12];
    let (inputs, labels) = samples(&model, 3, 40);
    let data = dataset(inputs, labels, 144);
    let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::L2, 1.5)).preflight(false);
    let run = ["noise:draws=30", "pgd:steps=5"]
        .into_iter()
        .fold(run, |run, attack| run.attack(attack.parse::<AttackSpec>().unwrap()));
    let results = run.run().unwrap();
    let report = Report::new(&results);
    for (row, record) in results.rows.iter().zip(&report.attacks) {
        let broken: Vec<_> = (0..40).filter(|&i| row.attempts[i].fate == Fate::Broken).collect();
        assert!(!broken.is_empty(), "{}", row.attack);
        let mut columns = [vec![], vec![], vec![], vec![], vec![]];
        for (&index, entry) in broken.iter().zip(&record.broken) {
            let found = row.attempts[index].adversarial.as_ref().unwrap();
            let changes: Vec<f64> = data
                .sample(index)
                .iter()
                .zip(&*found.point)
                .map(|(c, x)| (f64::from(*x) - f64::from(*c)).abs())
                .collect();
            let sizes = entry.sizes.unwrap();
            let l2 = changes.iter().map(|d| d * d).sum::<f64>().sqrt();
            assert_relative_eq!(sizes.l0, changes.iter().filter(|d| **d > 0.0).count() as f64);
            assert_relative_eq!(sizes.l1, changes.iter().sum::<f64>(), max_relative = 1e-12);
            assert_relative_eq!(sizes.l2, l2, max_relative = 1e-12);
            assert_relative_eq!(sizes.linf, changes.iter().copied().fold(0.0, f64::max));
            assert_relative_eq!(sizes.l2, entry.distance.unwrap());
            let alike = ironbound::metrics::ssim(data.sample(index), &found.point, &[12, 12], 1.0);
            assert_eq!(entry.ssim, alike);
            let values = [sizes.l0, sizes.l1, sizes.l2, sizes.linf, alike.unwrap()];
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let all = record.perturbations.unwrap();
        for (found, column) in [all.l0, all.l1, all.l2, all.linf].into_iter().zip(&columns) {
            assert_relative_eq!(found.mean.unwrap(), mean(column), max_relative = 1e-12);
        }
        let alike = all.ssim.unwrap();
        assert_relative_eq!(alike.mean, mean(&columns[4]), max_relative = 1e-12);
        assert!(alike.min <= alike.median && alike.median < 1.0);

        let passes = |index: &usize| row.attempts[*index].forward + row.attempts[*index].backward;
        let mut queries: Vec<u64> = broken.iter().map(passes).collect();
        queries.sort_unstable();
        let found = record.success_queries.unwrap();
        assert_eq!(found.samples, queries.len());
        let middle = queries[queries.len().div_ceil(2) - 1];
        let last = queries[queries.len() - 1];
        assert_relative_eq!(found.median, middle as f64);
        assert_relative_eq!(found.max, last as f64);
    }
    assert!(report.to_markdown(&[]).contains("medians, and queries to success"));
}

#[test]
fn files_without_the_sections_are_read() {
    let mut old: Value = serde_json::from_str(&Report::new(&results()).to_json()).unwrap();
    old.as_object_mut().unwrap().remove("curves");
    for name in ["labels", "predictions", "confidences", "calibration"] {
        old["clean"].as_object_mut().unwrap().remove(name);
    }
    old["attacks"].as_array_mut().unwrap().iter_mut().for_each(|row| {
        for name in ["broken", "success_queries", "perturbations"] {
            row.as_object_mut().unwrap().remove(name);
        }
    });
    old["worst_case"].as_array_mut().unwrap().iter_mut().for_each(|case| {
        for name in ["classes", "disparity", "calibration", "confusion", "agreement"] {
            case.as_object_mut().unwrap().remove(name);
        }
    });
    assert!(Report::from_json(&old.to_string(), "old.json").unwrap().curves.is_empty());
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

#[test]
fn assertions_hold_or_show_the_table() {
    let report = Report::new(&results());
    let robust = report.worst_case[0].robust_accuracy.unwrap();
    ironbound::assert_robust!(report, linf = 8.0 / 255.0, at_least = robust);
    ironbound::assert_robust!(report, clean, at_least = report.clean.accuracy.unwrap());
    let low = report.expect_robust("linf", 8.0 / 255.0, robust + 0.01).unwrap_err();
    assert!(low.starts_with("worst-case robust accuracy within linf 0.03137 is "), "{low}");
    assert!(low.ends_with(&report.to_text()), "{low}");
    let absent = report.expect_robust("l2", 0.5, 0.0).unwrap_err();
    assert_eq!(absent, "no threat l2 0.5 in the report, which has: linf 0.03137, linf 0.3");
    assert!(report.expect_robust("l7", 0.5, 0.0).unwrap_err().contains("unknown norm"));
    let mut unknown = report.clone();
    unknown.worst_case[0].robust_accuracy = None;
    assert!(unknown.expect_robust("linf", 8.0 / 255.0, 0.0).is_err());
    assert!(report.expect_clean(1.1).unwrap_err().starts_with("clean accuracy is "));
}

#[test]
#[should_panic(
    expected = "worst-case robust accuracy within linf 0.3 is 0.0 %, expected at least 50.0 %"
)]
fn a_failed_assertion_panics() {
    ironbound::assert_robust!(Report::new(&results()), linf = 0.3, at_least = 0.5);
}

/// The shares of each group by hand, and the statistic by its definition.
#[test]
fn groups_are_those_of_the_columns() {
    let colour = |sample: usize| ["red", "green", "blue"][sample % 3];
    let colours: Vec<&str> = (0..30).map(colour).collect();
    let size: Vec<&str> = (0..30).map(|sample| if sample < 15 { "10" } else { "9" }).collect();
    let (model, data) = (Linear::random(2, 6, 3), data());
    let names = ["cat", "dog", "\u{1b}[31mbird"];
    let data = data.with_class_names(names).unwrap();
    let data = data.with_groups("colour", &colours).unwrap().with_groups("size", &size).unwrap();
    let run = Evaluation::new(&model, &data).seed(5).range(2, Some(20));
    let run = run.threat(Threat::new(Norm::Linf, 8.0 / 255.0));
    let run = run.attack("fgsm".parse::<AttackSpec>().unwrap());
    let report = Report::new(&run.run().unwrap());
    assert_eq!(report.data.class_names, names);
    let case = &report.worst_case[0];
    let [by_colour, by_size] = &case.groups[..] else { panic!("{:?}", case.groups) };
    let labels: Vec<_> = by_colour.groups.iter().map(|row| &*row.group).collect();
    assert_eq!(labels, ["blue", "green", "red"]);
    let labels: Vec<_> = by_size.groups.iter().map(|row| &*row.group).collect();
    assert_eq!((labels, &*by_size.column), (vec!["9", "10"], "size"));
    let (mut statistic, mut worst) = (0.0, (1.0, ""));
    let robust = case.robust.iter().filter(|robust| **robust).count();
    for row in &by_colour.groups {
        let members: Vec<usize> = (0..20).filter(|at| colour(at + 2) == row.group).collect();
        let count = |of: &[bool]| members.iter().filter(|&&at| of[at]).count();
        assert_eq!((row.samples, row.robust), (members.len(), count(&case.robust)));
        assert_eq!(row.correct, count(&report.clean.correct));
        let share = row.robust as f64 / row.samples as f64;
        assert_relative_eq!(row.robust_accuracy.unwrap(), share);
        if share < worst.0 {
            worst = (share, &row.group);
        }
        for (found, all) in [(row.robust, robust), (row.samples - row.robust, 20 - robust)] {
            let expected = members.len() as f64 * all as f64 / 20.0;
            statistic += (found as f64 - expected).powi(2) / expected;
        }
    }
    let disparity = by_colour.disparity.as_ref().unwrap();
    assert_eq!(disparity.worst_group, worst.1);
    assert_relative_eq!(disparity.statistic, statistic, max_relative = 1e-9);
    let text = report.to_text();
    let line = format!("groups  linf 0.03137 by colour: the worst is {} with ", worst.1);
    assert!(text.contains(&line), "{text}");
    assert!(text.contains(" by size: "), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let class = case.disparity.as_ref().unwrap().worst_class;
    assert_eq!(report.class_name(class), format!("{class} ({})", names[class]));
    let markdown = report.to_markdown(&[]);
    assert!(markdown.contains("### Groups by `colour` within linf 0.03137"), "{markdown}");
    assert!(markdown.contains("0 (cat)"), "{markdown}");
    let again = Report::from_json(&report.to_json(), "again").unwrap();
    assert_eq!(again, report);
    // Shards and parts have the groups of their own samples.
    let part = run.range(2, Some(1)).run().unwrap();
    let report = Report::new(&part);
    let [by_colour, _] = &report.worst_case[0].groups[..] else { panic!() };
    assert_eq!((by_colour.groups.len(), &by_colour.disparity), (1, &None));
}
