//! Names and fingerprints by which CI systems tell results apart.

use std::collections::BTreeSet;

use ironbound::{Bounds, Budget, Domain, Goal, Levels};

use super::*;

/// Threats that are alike in norm, budget as it is printed, and goal, each with what sets it apart.
fn alike() -> [(Threat, &'static str); 7] {
    let threat = Threat::new(Norm::Linf, 0.25);
    let grid = Domain { grid: Some(Levels::Uniform("1/4".parse().unwrap())), ..Domain::ANY };
    let mask = |fixed: usize| (0..6).map(|feature| feature >= fixed).collect();
    [
        (threat.clone(), "eps 0.25, between 0 and 1"),
        (threat.clone().with_bounds(Bounds::Uniform(-1.0, 2.0)), "eps 0.25, between -1 and 2"),
        (threat.clone().with_mask(mask(2)), "eps 0.25, between 0 and 1, 2 features fixed"),
        (threat.clone().with_mask(mask(3)), "eps 0.25, between 0 and 1, 3 features fixed"),
        (threat.clone().with_domain(grid), "eps 0.25, between 0 and 1, levels of 1/4"),
        (
            Threat { budget: Budget::Scalar(0.250_001), ..threat.clone() },
            "eps 0.250001, between 0 and 1",
        ),
        (
            Threat { budget: Budget::PerFeature(vec![0.25; 6]), ..threat },
            "eps by feature, between 0 and 1",
        ),
    ]
}

/// A report with these threats and attacks.
fn report(threats: impl IntoIterator<Item = Threat>, attacks: &[&str]) -> Report {
    // Values that are levels of the grid.
    let x = (0..48).map(|at| [0.0, 0.5, 0.25, 1.0, 0.75][at * at % 5]).collect();
    let (model, data) = (Linear::random(2, 6, 3), dataset(x, vec![0, 1, 2, 0, 1, 2, 0, 1], 6));
    let run = threats
        .into_iter()
        .fold(Evaluation::new(&model, &data).preflight(false), Evaluation::threat);
    let run =
        attacks.iter().fold(run, |run, attack| run.attack(attack.parse::<AttackSpec>().unwrap()));
    Report::new(&run.run().unwrap())
}

fn junit_names(report: &Report) -> Vec<String> {
    let text = report.to_junit(&[]);
    let xml = Document::parse(&text).unwrap();
    cases(&xml, "attacks").into_iter().map(|case| case.0.to_owned()).collect()
}

#[test]
fn test_cases_that_differ_in_a_limit_have_names_of_their_own() {
    let threats = alike();
    let report = report(threats.clone().map(|(threat, _)| threat), &["fgsm", "noise"]);
    let names = junit_names(&report);
    assert_eq!(names.len(), 14);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 14, "{names:#?}");
    for (row, name) in report.attacks.iter().zip(&names) {
        let threat = report.worst_case[row.case].threat.as_ref().unwrap();
        let (_, apart) = threats.iter().find(|(known, _)| known == threat).unwrap();
        assert_eq!(*name, format!("linf 0.25 {} ({apart})", row.id));
    }
}

#[test]
fn what_all_have_in_common_is_not_told() {
    let mask = || (0..6).map(|feature| feature > 0).collect();
    let masked = Threat::new(Norm::Linf, 0.25).with_mask(mask());
    // Another budget or goal is in the name already.
    let other = Threat::new(Norm::Linf, 0.5);
    let aimed = masked.clone().with_goal(Goal::Class(1));
    let wide = masked.clone().with_bounds(Bounds::Uniform(-1.0, 2.0));
    let names = junit_names(&report([masked.clone(), other, aimed], &["fgsm"]));
    let expected = ["linf 0.25 fgsm", "linf 0.25 class 1 fgsm", "linf 0.5 fgsm"];
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected.map(String::from).into());
    let names = junit_names(&report([masked, wide], &["fgsm"]));
    let expected = ["linf 0.25 fgsm (between 0 and 1)", "linf 0.25 fgsm (between -1 and 2)"];
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected.map(String::from).into());
}

#[test]
fn rows_that_nothing_tells_apart_are_numbered() {
    let mut masks = [vec![true; 6], vec![true; 6]];
    (masks[0][1], masks[1][4]) = (false, false);
    let threats = masks.map(|mask| Threat::new(Norm::Linf, 0.25).with_mask(mask));
    let mut report = report(threats, &["fgsm"]);
    assert_eq!(junit_names(&report), ["linf 0.25 fgsm (row 0)", "linf 0.25 fgsm (row 1)"]);
    // Reports of earlier versions lack the threats.
    report.worst_case.iter_mut().for_each(|case| case.threat = None);
    report.attacks[1].goal = String::new();
    assert_eq!(junit_names(&report), ["linf 0.25 fgsm (row 0)", "linf 0.25 fgsm (row 1)"]);
    report.attacks[1].case = 9;
    assert_eq!(junit_names(&report)[1], "linf 0.25 fgsm (row 1)");
}

/// Rule, fingerprint and message of every result.
fn fingerprints(report: &Report, gates: &[Gate]) -> Vec<(String, String, String)> {
    let log = sarif(report, gates);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let result = |result: &Value| {
        let prints = &result["partialFingerprints"];
        assert_eq!(prints.as_object().unwrap().len(), 2);
        assert_eq!(prints["primaryLocationLineHash"], prints["ironbound/v1"]);
        (text(&result["ruleId"]), text(&prints["ironbound/v1"]), text(&result["message"]["text"]))
    };
    log["runs"][0]["results"].as_array().unwrap().iter().map(result).collect()
}

fn prints(report: &Report, gates: &[Gate]) -> Vec<String> {
    fingerprints(report, gates).into_iter().map(|of| of.1).collect()
}

#[test]
fn fingerprints_follow_a_finding_between_runs() {
    let mut first = Report::new(&results());
    first.warnings = vec![
        Finding::error("non-finite", "10 samples have non-finite logits; the first: 2"),
        Finding::warning("rejected", "fgsm linf: 3 of 40 attempts claimed a success"),
        Finding::warning("rejected", "noise linf: 3 of 40 attempts claimed a success"),
        Finding::warning("noise-beats-fgsm", "noise broke 4 of 20 within linf 0.05, fgsm only 2"),
        Finding::warning("noise-beats-fgsm", "noise broke 9 of 20 within linf 0.3, fgsm only 2"),
        Finding::warning("dead-units", "90 % of the units").at(["conv1"]),
        Finding::warning("dead-units", "90 % of the units").at(["conv2"]),
        Finding::info("target-is-label", "3 samples have the target class as label"),
        Finding::info("target-is-label", "1 sample has the target class as label"),
    ];
    let gate = |failure: &str| {
        [("clean >= 0.9", failure), ("worst_case >= 0.5", failure)]
            .map(|(name, failure)| Gate { name: name.into(), failure: Some(failure.into()) })
    };
    let known = prints(&first, &gate("it is 0.4"));
    assert_eq!(known.iter().collect::<BTreeSet<_>>().len(), 2 + 9, "{known:#?}");
    let is_hash = |print: &String| {
        let (hash, count) = print.split_once(':').unwrap();
        hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && count.len() == 1
    };
    assert!(known.iter().all(is_hash), "{known:#?}");

    // Another build of the model, elsewhere, with other numbers.
    let mut second = first.clone();
    second.model.path = "/elsewhere/new.onnx".into();
    second.model.sha256 = "11".repeat(32);
    second.seed = 8;
    let replaced = [("3 of 40", "17 of 60"), ("10 samples", "1 sample"), ("90 %", "75 %")];
    for warning in &mut second.warnings {
        for (from, to) in replaced {
            warning.message = warning.message.replace(from, to);
        }
        warning.remedy = "something else".into();
    }
    assert_eq!(prints(&second, &gate("it is 0.41")), known);
    // The order of other findings is nothing to it.
    second.warnings.reverse();
    let mut again = prints(&second, &gate("it is 0.41"));
    again[2..].reverse();
    assert_eq!(again[..9], known[..9]);
    assert_eq!(again[9..].iter().collect::<BTreeSet<_>>(), known[9..].iter().collect());
    // Another attack, budget or gate is another finding.
    second.warnings = vec![
        Finding::warning("rejected", "square linf: 3 of 40 attempts claimed a success"),
        Finding::warning("noise-beats-fgsm", "noise broke 4 of 20 within linf 0.1, fgsm only 2"),
    ];
    second.attacks[0].id = "square".into();
    second.worst_case[0].eps = Some(0.1);
    let others = prints(&second, &[Gate { name: "clean >= 0.8".into(), ..gate("")[0].clone() }]);
    assert!(others.iter().all(|print| !known.contains(print)), "{others:#?}");
}

/// The hash by its definition: lengths of 8 bytes, little end first, before each text.
#[test]
fn fingerprints_are_the_start_of_a_hash() {
    let mut report = Report::new(&results());
    report.warnings = vec![Finding::warning("rejected", "fgsm linf: 3 of 40").at(["n"])];
    let mut bytes = vec![];
    for text in ["rejected", "1", "n", "fgsm", "linf"] {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.bytes());
    }
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(prints(&report, &[]), [format!("{}:1", &hash[..16])]);
}

/// The findings of a run, whose messages differ in their numbers.
#[test]
fn two_runs_have_the_same_fingerprints() {
    let run = |range: usize| {
        let (inputs, labels) = samples(&Linear::random(2, 6, 3), 2, 30);
        let mut model = Linear::random(2, 6, 3);
        model.nan_above = 0.8;
        let data = dataset(inputs, labels, 6);
        let run = Evaluation::new(&model, &data).range(2, Some(range)).preflight(false);
        let run =
            run.threat(Threat::new(Norm::Linf, 0.3)).attack("fgsm".parse::<AttackSpec>().unwrap());
        let mut report = Report::new(&run.run().unwrap());
        report.warnings.retain(|finding| ["attack-error", "non-finite"].contains(&&*finding.code));
        fingerprints(&report, &[])
    };
    let (few, many) = (run(10), run(20));
    assert_eq!(few.len(), 2);
    for (few, many) in few.iter().zip(&many) {
        assert_eq!((&few.0, &few.1), (&many.0, &many.1));
        assert_ne!(few.2, many.2);
    }
}
