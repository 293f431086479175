//! What a line per sample tells of names, groups, sizes and queries.

use ironbound::evaluate::Attempt;

use super::*;

/// 40 samples from the third of the file on, some settled by points of the other budget, with named classes and two columns of
/// groups.
fn run() -> Results {
    let mut model = Linear::random(5, 144, 4);
    model.info.shape = vec![12, 12];
    let (inputs, labels) = samples(&model, 3, 43);
    let data = dataset(inputs, labels, 144).with_class_names(["cat", "a,\"b\"", "", "d"]).unwrap();
    let halves: Vec<String> = (0..43).map(half).collect();
    let thirds: Vec<String> = (0..43).map(third).collect();
    let data = data.with_groups("label", &halves).unwrap().with_groups("a,b", &thirds).unwrap();
    let run = Evaluation::new(&model, &data).range(3, None).preflight(false);
    let run = run.threat(Threat::new(Norm::L2, 0.4)).threat(Threat::new(Norm::L2, 1.5));
    let run = ["noise:draws=30", "pgd:steps=5"]
        .into_iter()
        .fold(run, |run, attack| run.attack(attack.parse::<AttackSpec>().unwrap()));
    run.run().unwrap()
}

fn half(sample: usize) -> String {
    if sample < 20 { "first".into() } else { "second, \"last\"".into() }
}

fn third(sample: usize) -> String {
    (sample % 3).to_string()
}

#[test]
fn lines_have_the_names_and_groups_of_the_data() {
    let rows = Report::new(&run()).samples();
    assert_eq!(rows.len(), (4 + 2) * 40);
    let name = |class: Option<usize>| class.map(|class| ["cat", "a,\"b\"", "", "d"][class]);
    for row in &rows {
        assert_eq!(row.label_name.as_deref(), name(row.label));
        assert_eq!(row.clean_prediction_name.as_deref(), name(row.clean_prediction));
        assert_eq!(row.prediction_name.as_deref(), name(row.prediction));
        let groups = [("a,b".to_owned(), third(row.sample)), ("label".into(), half(row.sample))];
        assert_eq!(row.groups, groups.into());
    }
    assert!(rows.iter().any(|row| row.prediction_name.is_some()));
}

#[test]
fn lines_have_sizes_in_every_norm_and_queries() {
    let results = run();
    let report = Report::new(&results);
    let rows = report.samples();
    let attempt = |row: &SampleRow| -> Option<&Attempt> {
        Some(&results.rows[row.row?].attempts[row.sample - 3])
    };
    let mut settled = 0;
    for row in rows.iter().filter(|row| row.row.is_some()) {
        let attempt = attempt(row).unwrap();
        let Some(found) = attempt.adversarial.as_ref().filter(|_| attempt.fate == Fate::Broken)
        else {
            assert_eq!([row.l0, row.l1, row.l2, row.linf, row.ssim], [None; 5]);
            assert_eq!(row.queries, None);
            continue;
        };
        let clean = &results.clean[row.sample - 3].input;
        let changes: Vec<f64> = clean
            .iter()
            .zip(&*found.point)
            .map(|(c, x)| (f64::from(*x) - f64::from(*c)).abs())
            .collect();
        let expected = [
            changes.iter().filter(|change| **change > 0.0).count() as f64,
            changes.iter().sum(),
            changes.iter().map(|change| change * change).sum::<f64>().sqrt(),
            changes.iter().copied().fold(0.0, f64::max),
        ];
        for (size, expected) in [row.l0, row.l1, row.l2, row.linf].into_iter().zip(expected) {
            assert!((size.unwrap() - expected).abs() <= 1e-12 * expected, "{size:?} {expected}");
        }
        assert_eq!(row.l2, row.distance);
        assert_eq!(row.ssim, ironbound::metrics::ssim(clean, &found.point, &[12, 12], 1.0));
        let took = attempt.attacked.then_some(attempt.forward + attempt.backward);
        assert_eq!(row.queries, took);
        settled += usize::from(took.is_none());
    }
    assert!(settled > 0, "points of the other budget are not covered");
    // All attacks together: those of the attack whose perturbation is the smallest.
    for row in rows.iter().filter(|row| row.row.is_none() && row.outcome == Outcome::Broken) {
        let same = |other: &&SampleRow| {
            (other.case, other.sample) == (row.case, row.sample) && other.row.is_some()
        };
        let nearest =
            rows.iter().filter(same).find(|other| other.distance == row.distance).unwrap();
        assert_eq!([row.l0, row.l1, row.linf], [nearest.l0, nearest.l1, nearest.linf]);
        assert_eq!((row.ssim, row.queries), (nearest.ssim, nearest.queries));
    }
    // The quantiles of the report are those of the lines.
    for (index, attack) in report.attacks.iter().enumerate() {
        let of = rows.iter().filter(|row| row.row == Some(index)).filter_map(|row| row.queries);
        let mut took: Vec<u64> = of.collect();
        took.sort_unstable();
        let told = attack.success_queries.map(|of| (of.samples, of.median, of.max));
        let middle = |took: &[u64]| took[took.len().div_ceil(2) - 1] as f64;
        let found = took.last().map(|most| (took.len(), middle(&took), *most as f64));
        assert_eq!(told, found);
    }
}

#[test]
fn groups_are_columns_of_their_own_in_csv() {
    let report = Report::new(&run());
    let table = from_csv(&report.to_csv());
    let head: Vec<&str> = table[0].iter().map(String::as_str).collect();
    let tail = ["l0", "l1", "l2", "linf", "ssim", "queries", "group.label", "group.a,b"];
    assert_eq!(head[head.len() - tail.len()..], tail);
    for row in &table[1..] {
        let sample: usize = row[0].parse().unwrap();
        assert_eq!(row[row.len() - 2..], [half(sample), third(sample)]);
        assert_eq!(row.len(), head.len());
    }
}

/// Reports of earlier versions, and those that are not ours.
#[test]
fn lines_leave_out_what_the_record_lacks() {
    let mut report = Report::new(&run());
    let whole = report.samples();
    report.data.class_names.truncate(1);
    report.clean.groups[0].of.truncate(5);
    report.clean.groups[1].values.clear();
    for broken in report.attacks.iter_mut().flat_map(|row| &mut row.broken) {
        (broken.sizes, broken.ssim, broken.queries) = (None, None, None);
    }
    let rows = report.samples();
    for (row, before) in rows.iter().zip(&whole) {
        assert_eq!((row.l1, row.ssim, row.queries), (None, None, None));
        assert_eq!(row.label_name.is_some(), row.label == Some(0));
        assert_eq!((row.distance, row.outcome), (before.distance, before.outcome));
        assert_eq!(row.groups.len(), usize::from(row.sample < 3 + 5));
    }
    let table = from_csv(&report.to_csv());
    assert!(table.iter().all(|row| row.len() == table[0].len()));
    // A line of an earlier version.
    let mut old: Value = serde_json::from_str(report.to_jsonl().lines().next().unwrap()).unwrap();
    let names = ["label_name", "l0", "l1", "l2", "linf", "ssim", "queries", "groups"];
    names.iter().for_each(|name| drop(old.as_object_mut().unwrap().remove(*name)));
    assert_eq!(from_jsonl(&old.to_string())[0].l0, None);
}
