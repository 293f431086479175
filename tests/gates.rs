//! Gates on reports, and the leaderboard.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;

use closed::{Linear, dataset, samples};
use ironbound::attack::AttackSpec;
use ironbound::report::{Comparison, Gate, GateSpec, Leaderboard, Report, Standing};
use ironbound::{Evaluation, Norm, Threat};

/// Of a model that no class of the data breaks down on.
const SEED: u64 = 3;

fn report(attack: &str) -> Report {
    let model = Linear::random(SEED, 6, 3);
    let (inputs, labels) = samples(&model, 2, 60);
    let data = dataset(inputs, labels, 6);
    let run = Evaluation::new(&model, &data).preflight(false);
    let threats = [
        Threat::new(Norm::Linf, 8.0 / 255.0),
        Threat::new(Norm::Linf, 0.04),
        Threat::new(Norm::L2, 0.05),
    ];
    let run = threats.into_iter().fold(run, Evaluation::threat);
    Report::new(&run.attack(attack.parse::<AttackSpec>().unwrap()).run().unwrap())
}

/// Why a gate does not hold; none where it does.
fn failure(gate: &str, report: &Report) -> Option<String> {
    gate.parse::<GateSpec>().unwrap().judge(report, None).failure
}

/// The robust accuracy of the worst class, from the labels.
fn lowest(report: &Report, case: usize) -> f64 {
    let of = |class: usize| {
        let own: Vec<_> = (0..60).filter(|&at| report.clean.labels[at] == class).collect();
        let robust = own.iter().filter(|&&at| report.worst_case[case].robust[at]).count();
        robust as f64 / own.len() as f64
    };
    (0..3).map(of).fold(1.0, f64::min)
}

#[test]
fn gates_pass_exactly_where_they_are_met() {
    let report = report("pgd");
    let accuracy = |case: usize| report.worst_case[case].robust_accuracy.unwrap();
    let largest = accuracy(1).min(accuracy(2));
    for (gate, figure) in [
        ("clean", report.clean.accuracy.unwrap()),
        ("worst_case.linf@8/255", accuracy(0)),
        ("worst_case.linf@0.03137254901960784", accuracy(0)),
        ("worst_case.linf@0.04", accuracy(1)),
        ("worst_case.linf", accuracy(1)),
        ("worst_case.l2", accuracy(2)),
        ("worst_case", largest),
        ("per_class.min.linf@8/255", lowest(&report, 0)),
        ("per_class.min.linf", lowest(&report, 1)),
        ("per_class.min", lowest(&report, 1).min(lowest(&report, 2))),
    ] {
        assert!(figure > 0.01 && figure < 0.99, "{gate}: {figure}");
        assert_eq!(failure(&format!("{gate} >= {figure}"), &report), None);
        let above = failure(&format!("{gate} >= {}", figure + 0.001), &report).unwrap();
        let told = format!("{:.2} %, below {:.2} %", 100.0 * figure, 100.0 * figure + 0.1);
        assert!(above.ends_with(&told), "{above}");
    }
    let told = failure("per_class.min.linf@8/255 >= 1", &report).unwrap();
    assert!(
        told.starts_with("robust accuracy of class ") && told.contains("linf 0.03137"),
        "{told}"
    );
    let told = failure("worst_case.l2 >= 1", &report).unwrap();
    assert!(told.starts_with("worst-case robust accuracy within l2 0.05 is "), "{told}");
    let gate: GateSpec = "clean >= 0".parse().unwrap();
    assert_eq!(gate.judge(&report, None), Gate { name: "clean >= 0".into(), failure: None });
    assert_eq!(gate.named("mine").judge(&report, None).name, "mine");
}

#[test]
fn what_is_not_there_or_not_known_fails() {
    let mut report = report("fgsm");
    let has = "which has: linf 0.03137, linf 0.04, l2 0.05";
    for (gate, expected) in [
        ("worst_case.linf@0.2 >= 0", format!("no threat linf 0.2 in the report, {has}")),
        ("worst_case.l1 >= 0", format!("no threat in l1 in the report, {has}")),
        ("per_class.min.l2@8/255 >= 0", format!("no threat l2 0.03137 in the report, {has}")),
        ("drop_from_baseline <= 1", "there is no baseline to compare with".into()),
    ] {
        assert_eq!(failure(gate, &report), Some(expected));
    }
    report.worst_case[0].robust_accuracy = None;
    report.clean.accuracy = None;
    report.worst_case[1].classes.clear();
    report.worst_case[2].classes[1].robust_accuracy = None;
    for (gate, part) in [
        ("clean >= 0", "clean accuracy is not known"),
        ("worst_case.linf@8/255 >= 0", "within linf 0.03137 is not known"),
        ("per_class.min.linf >= 0", "within linf 0.04, there are no classes"),
        ("per_class.min.l2 >= 0", "robust accuracy of class 1 within l2 0.05 is not known"),
        ("per_class.min >= 0", "there are no classes"),
    ] {
        assert!(failure(gate, &report).unwrap().contains(part), "{gate}");
    }
    report.worst_case.clear();
    let expected = "no threat in the report, which has: none";
    assert_eq!(failure("worst_case >= 0", &report), Some(expected.into()));
}

/// Two threats of one norm and budget must both hold, and a transformation is its own largest budget.
#[test]
fn no_threat_is_passed_over() {
    let mut report = report("fgsm");
    let mut twin = report.worst_case[0].clone();
    twin.robust_accuracy = Some(0.01);
    report.worst_case.push(twin);
    assert!(failure("worst_case.linf@8/255 >= 0.02", &report).is_some());
    assert_eq!(failure("worst_case.linf@0.04 >= 0.02", &report), None);
    let case = report.worst_case.last_mut().unwrap();
    (case.norm, case.eps, case.transformation) = (None, None, Some("rotation 30".into()));
    assert_eq!(failure("worst_case.linf@8/255 >= 0.02", &report), None);
    let told = failure("worst_case >= 0.02", &report).unwrap();
    assert!(told.contains("within rotation 30 is 1.00 %, below 2.00 %"), "{told}");
}

#[test]
fn a_drop_is_the_largest_of_the_comparison() {
    let (strong, weak) = (report("pgd"), report("noise"));
    let comparison = Ok(Comparison::new(&strong, &weak).unwrap());
    let most = comparison.as_ref().map(Comparison::largest_drop).unwrap();
    assert!(most > 0.1, "{most}");
    let judge = |most: f64| GateSpec::drop_from_baseline(most).judge(&strong, Some(&comparison));
    assert_eq!(judge(most).failure, None);
    assert!(judge(most - 0.001).failure.unwrap().contains(" fell by "));
    let mut other = weak;
    other.data.sha256 = "11".repeat(32);
    let refused = Comparison::new(&strong, &other);
    let told = GateSpec::drop_from_baseline(1.0).judge(&strong, Some(&refused)).failure.unwrap();
    assert!(told.contains("other data"), "{told}");
    assert_eq!(GateSpec::worst_case(0.0).judge(&strong, Some(&refused)).failure, None);
}

#[test]
fn the_most_robust_model_leads() {
    let gates = |failure: Option<&str>| {
        let gate = |failure: Option<&str>| Gate {
            name: "clean >= 1 | `x`".into(),
            failure: failure.map(Into::into),
        };
        vec![gate(None), gate(failure)]
    };
    let standing = |model: &str, report: Report, failure| Standing {
        model: model.into(),
        report,
        gates: gates(failure),
    };
    let (strong, weak) = (report("pgd"), report("noise"));
    let mut unknown = weak.clone();
    unknown.worst_case.iter_mut().for_each(|case| case.robust_accuracy = None);
    let board = Leaderboard::new(
        "digits",
        vec![
            standing("unknown", unknown, None),
            standing("attacked", strong.clone(), Some("it fell")),
            standing("first", weak.clone(), None),
            standing("second", weak.clone(), None),
        ],
    );
    let order: Vec<_> = board.standings().iter().map(|of| &*of.model).collect();
    assert_eq!(order, ["first", "second", "attacked", "unknown"]);
    let text = board.to_text();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(2)
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["#", "model", "clean", "linf 0.03137", "linf 0.04", "l2 0.05", "gates"]);
    let percent = |share: Option<f64>| format!("{:.1} %", 100.0 * share.unwrap());
    let of = |case: usize| percent(strong.worst_case[case].robust_accuracy);
    assert_eq!(
        rows[3],
        ["3", "attacked", &percent(strong.clean.accuracy), &of(0), &of(1), &of(2), "1 of 2"]
    );
    assert_eq!(rows[4][3], "-");

    let markdown = board.to_markdown();
    assert!(
        markdown.starts_with("## Robustness on `digits`\n\n| \\# | model | clean |"),
        "{markdown}"
    );
    assert!(
        markdown.ends_with("\n- `attacked`: gate `` clean >= 1 | `x` `` **failed**: it fell\n"),
        "{markdown}"
    );
    let bars = |line: &&str| line.matches('|').count();
    let rows: Vec<_> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() == 6 && rows.iter().all(|row| bars(row) == bars(&rows[0])), "{markdown}");

    // Without a threat the clean accuracy ranks.
    let mut clean = strong;
    clean.worst_case.clear();
    let mut better = clean.clone();
    better.clean.accuracy = Some(1.0);
    let board =
        Leaderboard::new("d", vec![standing("a", clean, None), standing("b", better, None)]);
    assert_eq!(board.standings()[0].model, "b");
}
