//! The renderings of a record, hostile names among them.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod closed;
#[path = "renderings/lines.rs"]
mod lines;
#[path = "renderings/names.rs"]
mod names;
#[path = "renderings/sections.rs"]
mod sections;

use closed::{Linear, dataset, samples};
use ironbound::attack::AttackSpec;
use ironbound::evaluate::Fate;
use ironbound::picture::Picture;
use ironbound::report::{
    Gallery, Gate, GroupDisparity, GroupRow, GroupTable, ModelRecord, Outcome, Report, SampleRow,
};
use ironbound::{Evaluation, Finding, Grouping, Norm, Results, Threat};
use roxmltree::{Document, Node};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What a name may hold.
const HOSTILE: &str =
    "<script>alert('1')</script> | \"quoted\", `ticks` \\| @all #1\nnext ]]> &amp; é";

/// Three attacks, two of one name, on 20 samples from the second on; at some the logits are not finite.
fn results() -> Results {
    let (inputs, labels) = samples(&Linear::random(2, 6, 3), 2, 30);
    let mut model = Linear::random(2, 6, 3);
    model.nan_above = 0.8;
    let data = dataset(inputs, labels, 6);
    let run = Evaluation::new(&model, &data).seed(5).range(2, Some(20)).preflight(false);
    let run = run.threat(Threat::new(Norm::Linf, 0.05)).threat(Threat::new(Norm::Linf, 0.3));
    let run = ["noise:draws=2", "noise:draws=3", "fgsm"]
        .into_iter()
        .fold(run, |run, attack| run.attack(attack.parse::<AttackSpec>().unwrap()));
    run.run().unwrap()
}

/// Gives classes, groups and their column this name.
fn name_groups(report: &mut Report, name: &str) {
    report.data.class_names = vec![name.into(); 3];
    let of = vec![0; report.clean.correct.len()];
    report.clean.groups = vec![Grouping { column: name.into(), values: vec![name.into()], of }];
    for case in &mut report.worst_case {
        let row = &case.classes[0];
        let group = GroupRow {
            group: name.into(),
            samples: row.samples,
            correct: row.correct,
            robust: row.robust,
            robust_accuracy: row.robust_accuracy,
            interval: row.interval,
        };
        let disparity = Some(GroupDisparity {
            worst_group: name.into(),
            statistic: 1.0,
            p: 0.5,
            reliable: true,
        });
        case.groups = vec![GroupTable { column: name.into(), groups: vec![group], disparity }];
    }
}

/// A record with hostile names wherever a name can be.
fn hostile() -> Report {
    let mut report = Report::new(&results());
    report.model.path = HOSTILE.into();
    report.data.path = HOSTILE.into();
    report.attacks.iter_mut().for_each(|row| row.id = format!("{HOSTILE} {}", row.id));
    report.attacks[1].params["draws"] = HOSTILE.into();
    report.worst_case.iter_mut().for_each(|case| case.goal = HOSTILE.into());
    name_groups(&mut report, HOSTILE);
    report.warnings = vec![Finding::error(HOSTILE, HOSTILE).at([HOSTILE]).remedy(HOSTILE)];
    report
}

fn gates(name: &str) -> [Gate; 2] {
    let gate = |failure| Gate { name: name.into(), failure };
    [gate(None), gate(Some(format!("{name} fell")))]
}

/// The cells of a table, by the letter of RFC 4180.
fn from_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (vec![], vec![], String::new());
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if !quoted => quoted = true,
            '"' if letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = false,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !quoted);
    rows
}

/// The same cells from the JSON object of a row.
fn cells(head: &[String], row: &SampleRow) -> Vec<String> {
    let row = serde_json::to_value(row).unwrap();
    let groups = row["groups"].as_object().unwrap();
    assert_eq!(row.as_object().unwrap().len() - 1 + groups.len(), head.len());
    let value = |name: &str| match name.strip_prefix("group.") {
        Some(column) => &groups[column],
        None => &row[name],
    };
    let cell = |name: &String| match value(name) {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        number => number.as_f64().unwrap().to_string(),
    };
    head.iter().map(cell).collect()
}

fn from_jsonl(text: &str) -> Vec<SampleRow> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn sample_rows_say_what_the_results_do() {
    let results = results();
    let report = Report::new(&results);
    let rows = report.samples();
    assert_eq!(rows.len(), (6 + 2) * 20);
    let mut seen = vec![];
    for (index, row) in results.rows.iter().enumerate() {
        let found: Vec<_> = rows.iter().filter(|entry| entry.row == Some(index)).collect();
        assert_eq!(found.len(), 20);
        for (at, (entry, attempt)) in found.into_iter().zip(&row.attempts).enumerate() {
            let outcome = match attempt.fate {
                Fate::Robust => Outcome::Robust,
                Fate::Wrong => Outcome::Wrong,
                Fate::Unusable | Fate::Failed => Outcome::Error,
                Fate::Broken => Outcome::Broken,
                Fate::Unreached => Outcome::Unreached,
            };
            assert_eq!((entry.sample, entry.outcome), (at + 2, outcome));
            assert_eq!(
                (&entry.attack, entry.eps),
                (&row.attack, Some(row.threat.budget.largest()))
            );
            assert_eq!(entry.label, Some(results.labels[at]));
            assert_eq!(entry.clean_prediction, results.clean[at].prediction);
            assert_eq!(entry.clean_confidence, results.clean[at].confidence);
            let point = attempt.adversarial.as_ref().filter(|_| outcome == Outcome::Broken);
            assert_eq!(entry.distance, point.map(|point| point.distance));
            assert_eq!(entry.prediction, point.map(|point| point.prediction));
            assert_eq!(entry.confidence, point.map(|point| point.confidence));
            assert_eq!(entry.params.is_empty(), row.attack == "fgsm");
            seen.push(outcome);
        }
    }
    for outcome in [Outcome::Robust, Outcome::Broken, Outcome::Error] {
        assert!(seen.contains(&outcome), "{outcome:?} is not covered");
    }
    // The worst case is as bad as the worst row, and as near as the nearest.
    for entry in rows.iter().filter(|entry| entry.row.is_none()) {
        assert_eq!(entry.attack, SampleRow::WORST_CASE);
        let of = || rows.iter().filter(|other| other.row.is_some() && other.case == entry.case);
        let same = || of().filter(|other| other.sample == entry.sample);
        let broken = same().any(|other| other.outcome == Outcome::Broken);
        assert_eq!(entry.outcome == Outcome::Broken, broken);
        let nearest = same().filter_map(|other| other.distance).min_by(f64::total_cmp);
        assert_eq!(entry.distance, nearest);
    }
}

#[test]
fn unreached_and_misclassified_samples_are_told_apart() {
    let mut report = Report::new(&results());
    report.clean.correct[4] = false;
    let case = &mut report.worst_case[0];
    case.robust[4] = false;
    case.robust[5] = false;
    case.unreached = vec![7];
    // Beyond the data and before it: a file that is not ours.
    case.errors = vec![0, 1000];
    let rows = report.samples();
    let of = |sample: usize| {
        let row = |row: &&SampleRow| row.case == 0 && row.row.is_none() && row.sample == sample;
        rows.iter().find(row).unwrap().outcome
    };
    assert_eq!((of(6), of(7)), (Outcome::Wrong, Outcome::Unreached));
}

#[test]
fn csv_and_json_lines_are_read_back() {
    for report in [Report::new(&results()), hostile()] {
        let (rows, csv, jsonl) = (report.samples(), report.to_csv(), report.to_jsonl());
        let table = from_csv(&csv);
        let expected: Vec<_> = rows.iter().map(|row| cells(&table[0], row)).collect();
        assert_eq!(table[1..], expected);
        assert_eq!(from_jsonl(&jsonl), rows);
        assert_eq!(jsonl.lines().count(), rows.len(), "names do not break lines");
    }
    let mut empty = Report::new(&results());
    let csv = empty.to_csv();
    let head = csv.lines().next().unwrap();
    (empty.attacks, empty.worst_case) = (vec![], vec![]);
    assert_eq!((empty.to_csv(), empty.to_jsonl()), (format!("{head}\n"), String::new()));
}

#[test]
fn names_are_quoted_in_csv() {
    let mut report = hostile();
    report.attacks[0].id = "a,\"b\"\nc".into();
    let csv = report.to_csv();
    assert!(csv.contains(",0,\"a,\"\"b\"\"\nc\",,"), "{csv}");
}

/// What is in code spans, and what is not.
fn spans(line: &str) -> (Vec<String>, String) {
    let (mut code, mut prose, mut rest) = (vec![], String::new(), line);
    while let Some(start) = rest.find('`') {
        if rest[..start].ends_with('\\') {
            prose += &rest[..=start];
            rest = &rest[start + 1..];
            continue;
        }
        let fence: String = rest[start..].chars().take_while(|letter| *letter == '`').collect();
        let after = &rest[start + fence.len()..];
        let end = after.find(&fence).unwrap_or_else(|| panic!("{line}"));
        prose += &rest[..start];
        code.push(after[..end].to_owned());
        rest = &after[end + fence.len()..];
    }
    (code, prose + rest)
}

#[test]
fn markdown_keeps_names_from_acting() {
    let mut plain = Report::new(&results());
    plain.attacks[1].params["draws"] = 9.into();
    name_groups(&mut plain, "plain");
    let mut named = hostile();
    named.warnings = plain.warnings.clone();
    let count = |report: &Report| report.to_markdown(&gates("gate")).lines().count();
    assert_eq!(count(&plain), count(&named), "names do not break lines");

    let text = hostile().to_markdown(&gates(HOSTILE));
    let shown = HOSTILE.replace('\n', " ");
    let mut names = 0;
    let mut columns = 0;
    for line in text.lines().filter(|line| !line.contains("details>")) {
        // A bar within a cell has a backslash in front, a name's own backslash included.
        let bars = line.replace("\\|", "").matches('|').count();
        if line.starts_with('|') {
            assert!(columns == 0 || bars == columns, "{line}");
            columns = bars;
        } else {
            columns = 0;
        }
        let (code, prose) = spans(line);
        let bar = if columns > 0 { "\\|" } else { "|" };
        names += code.iter().filter(|code| code.replace(bar, "|").contains(&shown)).count();
        assert!(
            !prose.contains('<') && !prose.contains("@all") && !prose.contains("#1"),
            "{prose}"
        );
        let alone = |(at, _): (usize, &str)| !prose[..at].ends_with('\\');
        assert!(!prose.match_indices('`').any(alone), "{prose}");
    }
    let report = hostile();
    let broke = report.attacks.iter().filter(|row| row.perturbations.is_some()).count();
    let pairs: usize = report.worst_case.iter().map(|case| case.agreement.len()).sum();
    assert!(broke > 0 && pairs > 0);
    // The heading, that of the groups, two gates, six rows, those of attacks that broke something, the pairs of attacks, the finding and its
    // node, model, data, three attacks with one parameter.
    assert_eq!(names, 1 + 1 + 2 + 6 + broke + 2 * pairs + 2 + 2 + 3 + 1, "{text}");
}

#[test]
fn markdown_has_the_numbers() {
    let report = Report::new(&results());
    let text = report.to_markdown(&gates("--fail-under 50%"));
    let robust = 100.0 * report.worst_case[0].robust_accuracy.unwrap();
    for part in [
        "- gate `--fail-under 50%` passed\n",
        "- gate `--fail-under 50%` **failed**: --fail-under 50% fell\n",
        &format!(
            "| linf 0.05 | {:.1} % | **{robust:.1} %** |",
            100.0 * report.clean.accuracy.unwrap()
        ),
        "| linf 0.3 | `noise:draws=3` |",
        "### Curves",
        "`non-finite`",
        "\"kind\":",
        "seed 5",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let mut partial = report;
    let threat = partial.worst_case[1].threat.as_mut().unwrap();
    threat.domain.one_hot = vec![vec![0, 1]];
    threat.mask = Some(vec![true, true, false, false, true, true]);
    assert!(text.contains("- perturbed samples: between 0 and 1\n"), "{text}");
    let text = partial.to_markdown(&[]);
    let limits = "- perturbed samples: between 0 and 1, 2 features fixed, 1 one-hot groups\n";
    assert!(text.contains(limits), "{text}");
    partial.partial = true;
    let text = partial.to_markdown(&gates("--fail-under 50%"));
    assert!(text.contains("**Partial**") && !text.contains("passed"), "{text}");
}

/// The test cases of a suite: name, what is amiss, why.
fn cases<'a>(xml: &'a Document<'_>, suite: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let root = xml.root_element();
    let suite = root.children().find(|node| node.attribute("name") == Some(suite)).unwrap();
    let cases: Vec<_> = suite.children().filter(|node| node.has_tag_name("testcase")).collect();
    let row = |case: &Node<'a, '_>| {
        let amiss = |node: &Node<'_, '_>| node.is_element() && !node.has_tag_name("system-out");
        let amiss = case.children().find(amiss);
        let (kind, message) = amiss
            .map_or(("", ""), |node| (node.tag_name().name(), node.attribute("message").unwrap()));
        (case.attribute("name").unwrap(), kind, message)
    };
    let rows: Vec<_> = cases.iter().map(row).collect();
    let count = |kind: &str| rows.iter().filter(|row| row.1 == kind).count().to_string();
    for (name, kind) in [("failures", "failure"), ("errors", "error"), ("skipped", "skipped")] {
        assert_eq!(suite.attribute(name), Some(&*count(kind)), "{name}");
    }
    assert_eq!(suite.attribute("tests"), Some(&*rows.len().to_string()));
    rows
}

#[test]
fn junit_has_a_case_per_gate_and_attack() {
    let mut report = Report::new(&results());
    report.attacks[0].errors.clear();
    let text = report.to_junit(&gates("gate"));
    let xml = Document::parse(&text).unwrap();
    assert_eq!(cases(&xml, "gates"), [("gate", "", ""), ("gate", "failure", "gate fell")]);
    let attacks = cases(&xml, "attacks");
    let told =
        "10 of 20 samples ended in an error, and are neither robust nor broken; the first is 2";
    assert_eq!(attacks[0], ("linf 0.05 noise:draws=2", "", ""));
    assert_eq!(attacks[1], ("linf 0.3 noise:draws=2", "error", told));
    assert_eq!(attacks.len(), 6);
    let total = |name: &str| xml.root_element().attribute(name).unwrap().to_owned();
    assert_eq!([total("tests"), total("failures"), total("errors")], ["8", "1", "5"]);

    // Interrupted: no gate has been decided.
    report.partial = true;
    report.attacks[0].unreached = vec![3];
    let text = report.to_junit(&gates("gate"));
    let xml = Document::parse(&text).unwrap();
    assert!(cases(&xml, "gates").iter().all(|case| case.1 == "skipped"));
    assert_eq!(cases(&xml, "attacks")[0].1, "skipped");
    // Without gates there is no suite of them.
    let text = report.to_junit(&[]);
    assert_eq!(
        Document::parse(&text).unwrap().root_element().children().filter(Node::is_element).count(),
        1
    );
}

#[test]
fn junit_keeps_names() {
    let text = hostile().to_junit(&gates(HOSTILE));
    let xml = Document::parse(&text).unwrap();
    assert_eq!(cases(&xml, "gates")[1], (HOSTILE, "failure", &*format!("{HOSTILE} fell")));
    assert!(cases(&xml, "attacks").iter().all(|case| case.0.contains(HOSTILE)));
    let model = xml.descendants().find(|node| node.attribute("name") == Some("model")).unwrap();
    assert_eq!(model.attribute("value"), Some(HOSTILE));
    // What XML cannot hold is replaced.
    let text = hostile().to_junit(&gates("\u{0}\u{1b}[31m\u{ffff}\tx"));
    let xml = Document::parse(&text).unwrap();
    assert_eq!(cases(&xml, "gates")[0].0, "\u{fffd}\u{fffd}[31m\u{fffd}\tx");
}

fn sarif(report: &Report, gates: &[Gate]) -> Value {
    serde_json::from_str(&report.to_sarif(gates)).unwrap()
}

#[test]
fn sarif_has_a_result_per_finding_and_failed_gate() {
    let mut report = Report::new(&results());
    report.model.path = "models/a b.onnx".into();
    report.warnings.push(Finding::info("one-by-one", "m").at(["conv"]).remedy("do"));
    report.warnings.push(Finding::warning("rejected", "two {0} [a](b)"));
    report.warnings.push(Finding::warning("rejected", "three"));
    let log = sarif(&report, &gates("--fail-under 80%"));
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), report.warnings.len() + 1);
    let mut ids: Vec<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(result["ruleId"], ids[index]);
        let place = &result["locations"][0]["physicalLocation"]["artifactLocation"];
        assert_eq!(place["uri"], "models/a%20b.onnx");
    }
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(rule[text]["text"].as_str().unwrap().len() > 10, "{rule}");
        }
    }
    assert_eq!(run["artifacts"][0]["location"]["uri"], "models/a%20b.onnx");
    assert_eq!(run["artifacts"][0]["hashes"]["sha-256"], report.model.sha256[..]);
    let of = |code: &str| results.iter().find(|result| result["ruleId"] == code).unwrap();
    assert_eq!(
        (&of("gate")["level"], &of("non-finite")["level"]),
        (&"error".into(), &"error".into())
    );
    assert_eq!(of("gate")["message"]["text"], "--fail-under 80%: --fail-under 80% fell");
    assert_eq!(of("one-by-one")["level"], "note");
    assert_eq!(of("one-by-one")["message"]["text"], "m\nNodes: conv\nRemedy: do");
    assert_eq!(
        of("one-by-one")["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
        "conv"
    );
    // Neither a placeholder nor a link.
    assert_eq!(of("rejected")["message"]["text"], "two {{0}} [a] (b)");
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "a rule per code");

    report.partial = true;
    let run = &sarif(&report, &gates("--fail-under 80%"))["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert_eq!(run["results"].as_array().unwrap().len(), report.warnings.len());
}

#[test]
fn sarif_keeps_names() {
    let run = &sarif(&hostile(), &gates(HOSTILE))["runs"][0];
    let uri = run["artifacts"][0]["location"]["uri"].as_str().unwrap();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "%-._~/".contains(letter);
    assert!(uri.starts_with("%3Cscript%3E") && uri.chars().all(plain), "{uri}");
    let result = &run["results"][1];
    assert_eq!(result["ruleId"], HOSTILE);
    assert_eq!(result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], HOSTILE);
    let text = result["message"]["text"].as_str().unwrap();
    assert_eq!(text, format!("{HOSTILE}\nNodes: {HOSTILE}\nRemedy: {HOSTILE}"));
}

#[test]
fn an_attestation_names_the_file_and_what_holds() {
    let mut report = Report::new(&results());
    report.model.path = "models/a b.onnx".into();
    report.warnings = vec![Finding::info("one-by-one", "m")];
    let of = |report: &Report, gates: &[Gate]| -> Value {
        serde_json::from_str(&report.to_attestation(gates).unwrap()).unwrap()
    };
    let [holds, fails] = gates("--fail-under 80%");
    let statement = of(&report, std::slice::from_ref(&holds));
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    let subject = json!([{ "name": "a b.onnx", "digest": { "sha256": report.model.sha256 } }]);
    assert_eq!(statement["subject"], subject);
    let predicate = &statement["predicate"];
    assert_eq!(predicate["result"], "PASSED");
    assert_eq!(predicate["passedTests"], json!(["--fail-under 80%"]));
    assert_eq!((&predicate["failedTests"], &predicate["warnedTests"]), (&json!([]), &json!([])));
    let [data, record] = &predicate["configuration"].as_array().unwrap()[..] else { panic!() };
    assert_eq!(data["digest"]["sha256"], report.data.sha256[..]);
    assert_eq!(data["annotations"], json!({ "samples": 20, "offset": 2 }));
    let digest = Sha256::digest(report.to_json());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(record["digest"]["sha256"], digest[..]);
    assert_eq!(record["annotations"]["seed"], 5);
    let figures = &predicate["ironbound"];
    assert_eq!(figures["clean"]["accuracy"].as_f64(), report.clean.accuracy);
    for (row, case) in figures["worstCase"].as_array().unwrap().iter().zip(&report.worst_case) {
        assert_eq!((row["eps"].as_f64(), &row["norm"]), (case.eps, &json!("linf")));
        assert_eq!(row["robustAccuracy"].as_f64(), case.robust_accuracy);
        assert_eq!(row["interval"], json!(case.interval));
        let attacks: Vec<_> = row["attacks"].as_array().unwrap().iter().map(|a| &a["id"]).collect();
        assert_eq!(attacks, ["noise", "noise", "fgsm"]);
    }
    assert_eq!(figures["worstCase"].as_array().unwrap().len(), 2);

    report.warnings.push(Finding::warning("rejected", "two"));
    report.warnings.push(Finding::warning("rejected", "three"));
    let warned = of(&report, std::slice::from_ref(&holds));
    assert_eq!(warned["predicate"]["result"], "WARNED");
    assert_eq!(warned["predicate"]["warnedTests"], json!(["rejected"]));
    let failed = of(&report, &[holds.clone(), fails]);
    assert_eq!(failed["predicate"]["result"], "FAILED");
    assert_eq!(failed["predicate"]["failedTests"], json!(["--fail-under 80%"]));
    assert_eq!(failed["predicate"]["ironbound"]["gates"][1]["failure"], "--fail-under 80% fell");

    let refused =
        |report: &Report, gates: &[Gate]| report.to_attestation(gates).unwrap_err().to_string();
    assert!(refused(&report, &[]).contains("without a gate"));
    let gates = [holds];
    let unknown = Report {
        model: ModelRecord { sha256: String::new(), ..report.model.clone() },
        ..report.clone()
    };
    assert!(refused(&unknown, &gates).contains("the model"));
    report.partial = true;
    assert!(refused(&report, &gates).contains("of an interrupted run"));
}

#[test]
fn an_attestation_keeps_names() {
    let (report, gates) = (hostile(), gates(HOSTILE));
    let text = report.to_attestation(&gates).unwrap();
    assert_eq!(text, report.to_attestation(&gates).unwrap());
    let statement: Value = serde_json::from_str(&text).unwrap();
    // A slash ends a folder.
    assert_eq!(statement["subject"][0]["name"], HOSTILE.rsplit('/').next().unwrap());
    assert_eq!(statement["predicate"]["failedTests"], json!([HOSTILE]));
}

/// The page as XML, which a browser reads the same way: what HTML leaves open is closed.
fn xhtml(page: &str) -> String {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let mut text = String::new();
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').unwrap();
        let tag = &rest[start + 1..end];
        let open = ["meta", "link", "img", "br"].contains(&tag.split(' ').next().unwrap());
        text += &rest[..end];
        text += if open { "/>" } else { ">" };
        rest = &rest[end + 1..];
    }
    text + rest
}

/// The tags and the names of attributes of a page, in order.
fn bones(xml: &Document<'_>) -> Vec<String> {
    let elements = xml.descendants().filter(Node::is_element);
    let bone = |node: Node<'_, '_>| {
        let names: Vec<_> = node.attributes().map(|of| of.name().to_owned()).collect();
        format!("{} {}", node.tag_name().name(), names.join(" "))
    };
    elements.map(bone).collect()
}

fn texts(node: Node<'_, '_>) -> String {
    node.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect()
}

/// The text of every element of this kind and class.
fn all_texts(xml: &Document<'_>, tag: &str, class: &str) -> Vec<String> {
    let is = |node: &Node<'_, '_>| {
        let mut classes = node.attribute("class").unwrap_or_default().split(' ');
        node.tag_name().name() == tag && (class.is_empty() || classes.any(|of| of == class))
    };
    xml.descendants().filter(is).map(texts).collect()
}

fn gallery(results: &Results) -> Gallery {
    // Six features, looked at as pixels.
    Gallery { shape: vec![2, 3], ..Gallery::new(results, 4) }
}

#[test]
fn html_keeps_names_from_acting() {
    let results = results();
    let name = format!("{HOSTILE}\u{202e}\u{0}");
    let (mut plain, mut named) = (hostile(), hostile());
    for (report, name) in [(&mut plain, "plain"), (&mut named, &*name)] {
        report.model.path = name.into();
        report.data.path = name.into();
        report.ironbound = name.into();
        report.model.options = Value::from(name);
        report.attacks.iter_mut().for_each(|row| row.id = name.into());
        report.worst_case.iter_mut().for_each(|case| case.goal = name.into());
        name_groups(report, name);
        report.warnings = vec![Finding::error(name, name).at([name]).remedy(name)];
    }
    let pages = [(plain, "plain"), (named, &*name)].map(|(report, name)| {
        let mut shown = gallery(&results);
        for series in &mut shown.series {
            series.name = name.into();
            series.examples.iter_mut().for_each(|example| example.attack = name.into());
            series.examples[0].change = Some(Value::from(name));
        }
        xhtml(&report.to_html(&gates(name), &shown))
    });
    let [plain, named] = pages.each_ref().map(|page| Document::parse(page).unwrap());
    assert_eq!(bones(&plain), bones(&named), "names are text");
    // What changes the direction of text, and control characters, are shown as such.
    let shown = format!("{HOSTILE}\u{fffd}\u{fffd}");
    assert_eq!(
        texts(named.descendants().find(|node| node.has_tag_name("title")).unwrap()),
        format!("Robustness of {shown}")
    );
    // Parameters and options are JSON, which has escapes of its own.
    let (in_all, in_json) = (texts(plain.root()).matches("plain").count(), 2);
    assert_eq!(texts(named.root()).matches(&shown).count(), in_all - in_json);
    assert!(!pages[1].contains(['\u{202e}', '\u{0}']));
}

#[test]
fn html_holds_everything_and_runs_nothing() {
    let results = results();
    let report = Report::new(&results);
    let page = report.to_html(&gates("gate"), &gallery(&results));
    assert_eq!(page, report.to_html(&gates("gate"), &gallery(&results)), "the same bytes");
    let text = xhtml(&page);
    let xml = Document::parse(&text).unwrap();
    for node in xml.descendants().filter(Node::is_element) {
        assert!(!["script", "iframe", "object", "form"].contains(&node.tag_name().name()));
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(!name.starts_with("on"), "{name}");
            let inside = value.starts_with("data:") || value.starts_with('#');
            assert!(!["src", "href"].contains(&name) || inside, "{value}");
        }
        // Figures have words for those who do not see them.
        if node.tag_name().name() == "svg" {
            assert!(node.attribute("aria-label").or(node.attribute("aria-hidden")).is_some());
        }
        assert!(
            node.tag_name().name() != "img"
                || node.attribute("alt").is_some_and(|alt| !alt.is_empty())
        );
    }
    assert!(!page.contains("url(") && !page.contains("@import"));
    assert!(
        page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"")
    );
}

#[test]
fn html_has_the_numbers() {
    let results = results();
    let report = Report::new(&results);
    let text = xhtml(&report.to_html(&gates("--fail-under 50%"), &gallery(&results)));
    let xml = Document::parse(&text).unwrap();
    let percent = |share: Option<f64>| format!("{:.1} %", 100.0 * share.unwrap());
    let worst: Vec<_> =
        report.worst_case.iter().map(|case| percent(case.robust_accuracy)).collect();
    let clean = percent(report.clean.accuracy);
    assert_eq!(all_texts(&xml, "span", "value"), [clean.clone(), worst[1].clone()]);
    assert_eq!(all_texts(&xml, "p", "verdict"), ["✗ Gate failed"]);
    let told = format!(
        "Robust accuracy in the worst case against the linf budget: {clean} at 0, {} at 0.05, {} at 0.3.",
        worst[0], worst[1]
    );
    let charts: Vec<_> =
        xml.descendants().filter_map(|node| node.attribute("aria-label")).collect();
    assert!(charts.contains(&&*told), "{told}");
    let of = report.curves[0].distance;
    let distances = format!("{} were not broken up to 0.3", of.censored);
    assert!(charts.iter().any(|told| told.contains(&distances)), "{distances}");
    // The plot is a file of its own as well.
    let file = report.curve_to_svg(0).unwrap();
    let svg = Document::parse(&file).unwrap();
    assert_eq!(svg.root_element().attribute("aria-label"), Some(&*told));
    assert_eq!(all_texts(&svg, "circle", "dot").len(), 3);
    assert_eq!(report.curve_to_svg(1), None);
    // A point for no attack, and one per budget.
    assert_eq!(all_texts(&xml, "circle", "dot").len(), 3);
    // What the second attack broke and the third did not, under the larger budget.
    let broken = |row: usize| -> Vec<usize> {
        report.attacks[row].broken.iter().map(|b| b.sample).collect()
    };
    let rows = (0..6).filter(|row| report.attacks[*row].case == 1);
    let [_, b, c] = rows.map(broken).collect::<Vec<_>>().try_into().unwrap();
    let both = b.iter().filter(|sample| c.contains(sample)).count();
    let section = xml.descendants().find(|node| node.attribute("id") == Some("agreement")).unwrap();
    let cells = section.descendants().filter(|node| node.has_tag_name("td"));
    let cells: Vec<_> = cells.map(texts).collect();
    assert_eq!(cells.len(), 3 * 4);
    let told = format!("{both} + {}", b.len() - both);
    assert_eq!((&*cells[4], &*cells[6], &*cells[7]), (&*b.len().to_string(), "·", &*told));

    let mut partial = report;
    partial.partial = true;
    let page = partial.to_html(&gates("gate"), &Gallery::default());
    assert!(page.contains("Interrupted: not decided") && page.contains("the run was interrupted"));
    assert!(
        !page.contains("Gate passed")
            && !page.contains("Gate failed")
            && !page.contains("Broken samples")
    );
}

#[test]
fn the_gallery_shows_what_was_found() {
    let results = results();
    let report = Report::new(&results);
    let gallery = gallery(&results);
    let [series] = &gallery.series[..] else { panic!("one norm") };
    let nearest = |sample: usize| {
        let found =
            report.attacks.iter().flat_map(|row| &row.broken).filter(|b| b.sample == sample);
        found.filter_map(|broken| broken.distance).min_by(f64::total_cmp).unwrap()
    };
    let end = report.samples().into_iter().filter(|row| row.case == 1 && row.row.is_none());
    let broken: Vec<_> =
        end.filter(|row| row.outcome == Outcome::Broken).map(|row| row.sample).collect();
    assert_eq!(
        (series.broken, series.name.as_str(), series.range),
        (broken.len(), "linf", (0.0, 1.0))
    );
    assert_eq!(series.examples.len(), 4);
    assert_eq!(
        (series.examples[0].sample, series.examples[3].sample),
        (broken[0], *broken.last().unwrap())
    );
    for example in &series.examples {
        assert_eq!(example.distance, Some(nearest(example.sample)));
        let size = example
            .clean
            .iter()
            .zip(&example.perturbed)
            .map(|(a, b)| (f64::from(*b) - f64::from(*a)).abs());
        assert!((size.fold(0.0, f64::max) - nearest(example.sample)).abs() < 1e-15);
        assert_ne!(example.prediction, example.label);
    }
    let page = report.to_html(&[], &gallery);
    let example = &series.examples[1];
    for values in [&example.clean, &example.perturbed] {
        let picture = Picture::of_sample(values, &[2, 3], (0.0, 1.0)).unwrap();
        assert!(page.contains(&picture.to_data_uri()));
    }
    assert_eq!(page.matches("<img").count(), 12);

    // What is no image has a table, the largest change first.
    let gallery = Gallery::new(&results, 1);
    let example = &gallery.series[0].examples[0];
    let text = xhtml(&report.to_html(&[], &gallery));
    let xml = Document::parse(&text).unwrap();
    let figure = xml.descendants().find(|node| node.attribute("class") == Some("example")).unwrap();
    let first = figure.descendants().find(|node| node.attribute("scope") == Some("row")).unwrap();
    let change =
        |at: &usize| (f64::from(example.perturbed[*at]) - f64::from(example.clean[*at])).abs();
    let largest = (0..6).max_by(|a, b| change(a).total_cmp(&change(b)).then(b.cmp(a))).unwrap();
    assert_eq!(texts(first), largest.to_string());
    assert_eq!(text.matches("<img").count(), 0);
}
