//! What the page shows of classes, groups, confusions and perturbations, worked out again from the results.

use ironbound::metrics::Confusion;

use super::*;

const CLASSES: [&str; 4] = ["cat", "<b>dog</b>", "bird", "fish"];

/// Images of 12 x 12, so that there are similarities, with named classes and a column of groups.
fn images() -> Results {
    let mut model = Linear::random(5, 144, 4);
    model.info.shape = vec![12, 12];
    let (inputs, labels) = samples(&model, 3, 40);
    let data = dataset(inputs, labels, 144).with_class_names(CLASSES).unwrap();
    let colours: Vec<&str> = (0..40).map(colour).collect();
    let data = data.with_groups("colour", &colours).unwrap();
    let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::L2, 0.8)).preflight(false);
    let run = ["noise:draws=30", "pgd:steps=5"]
        .into_iter()
        .fold(run, |run, attack| run.attack(attack.parse::<AttackSpec>().unwrap()));
    run.run().unwrap()
}

fn colour(sample: usize) -> &'static str {
    ["red", "green", "blue"][sample % 3]
}

/// The first row that broke a sample, if any did.
fn breaker(results: &Results, sample: usize) -> Option<usize> {
    (0..results.rows.len()).find(|row| results.rows[*row].attempts[sample].fate == Fate::Broken)
}

fn is_robust(results: &Results, sample: usize) -> bool {
    results.rows.iter().all(|row| row.attempts[sample].fate == Fate::Robust)
}

/// The rows of the body of the first table of a section, as texts.
fn table(page: &str, section: &str) -> Vec<Vec<String>> {
    let xml = Document::parse(page).unwrap();
    let section = xml.descendants().find(|node| node.attribute("id") == Some(section)).unwrap();
    let body = section.descendants().find(|node| node.has_tag_name("tbody")).unwrap();
    let row = |row: Node<'_, '_>| row.children().filter(Node::is_element).map(texts).collect();
    body.children().filter(Node::is_element).map(row).collect()
}

#[test]
fn the_matrix_counts_what_classes_are_taken_for() {
    let results = images();
    let page = xhtml(&Report::new(&results).to_html(&[], &Gallery::default()));
    let mut counts = [[0; 4]; 4];
    for sample in 0..40 {
        let taken = match breaker(&results, sample) {
            Some(row) => {
                results.rows[row].attempts[sample].adversarial.as_ref().unwrap().prediction
            }
            None => results.clean[sample].prediction.unwrap(),
        };
        counts[results.labels[sample]][taken] += 1;
    }
    let cell = |count: &usize| if *count == 0 { "·".into() } else { count.to_string() };
    let rows = counts.iter().enumerate().map(|(class, counts)| {
        let name = format!("{class} ({})", CLASSES[class]);
        std::iter::once(name).chain(counts.iter().map(cell)).collect::<Vec<String>>()
    });
    assert_eq!(table(&page, "confusion"), rows.collect::<Vec<_>>());

    // Right and wrong differ by more than the number; the share of the row gives the shade.
    let xml = Document::parse(&page).unwrap();
    let matrix = xml.descendants().find(|node| node.attribute("class") == Some("matrix")).unwrap();
    let cells = matrix.descendants().filter(|node| node.has_tag_name("td"));
    let classes: Vec<_> = cells.map(|cell| cell.attribute("class").unwrap()).collect();
    for (at, class) in classes.into_iter().enumerate() {
        let (label, prediction) = (at / 4, at % 4);
        let (count, all) = (counts[label][prediction], counts[label].iter().sum::<usize>());
        let expected = match (1..=5).find(|fifths| count * 5 <= fifths * all) {
            _ if count == 0 && label == prediction => "quiet right d0".to_owned(),
            _ if count == 0 => "quiet".to_owned(),
            Some(deep) if label == prediction => format!("right d{deep}"),
            deep => format!("wrong d{}", deep.unwrap()),
        };
        assert_eq!(class, expected);
    }
}

#[test]
fn many_classes_have_the_most_frequent_confusions() {
    let mut report = Report::new(&images());
    // Class k is right k times, and taken for the next one k % 7 + 1 times.
    let right = (1..40).map(|k| Confusion { label: k, prediction: k, samples: k });
    let wrong = (1..40).map(|k| Confusion { label: k, prediction: k + 1, samples: k % 7 + 1 });
    report.worst_case[0].confusion = right.chain(wrong).collect();
    let page = xhtml(&report.to_html(&[], &Gallery::default()));
    let rows = table(&page, "confusion");
    assert_eq!(rows.len(), 20);
    assert_eq!(rows[0], ["6", "7", "7", "53.8 %"]);
    assert_eq!(rows[1], ["13", "14", "7", "35.0 %"]);
    let counts: Vec<usize> = rows.iter().map(|row| row[2].parse().unwrap()).collect();
    assert!(counts.is_sorted_by(|a, b| a >= b) && counts[19] == 4, "{counts:?}");
    assert!(page.contains(": the 20 most frequent of 39 confusions"));
    // Names that the record has are shown here as well.
    report.data.class_names = (0..41).map(|class| format!("n{class}")).collect();
    let rows = table(&xhtml(&report.to_html(&[], &Gallery::default())), "confusion");
    assert_eq!(rows[0][..2], ["6 (n6)", "7 (n7)"]);
}

#[test]
fn classes_and_groups_have_their_shares() {
    let results = images();
    let report = Report::new(&results);
    let page = xhtml(&report.to_html(&[], &Gallery::default()));
    let shares = |is_member: &dyn Fn(usize) -> bool| {
        let members: Vec<usize> = (0..40).filter(|sample| is_member(*sample)).collect();
        let robust = members.iter().filter(|sample| is_robust(&results, **sample)).count();
        let share = format!("{:.1} %", 100.0 * robust as f64 / members.len() as f64);
        (members.len().to_string(), share)
    };
    for (class, row) in table(&page, "classes").iter().enumerate() {
        let (samples, share) = shares(&|sample| results.labels[sample] == class);
        assert_eq!(row[0], format!("{class} ({})", CLASSES[class]));
        assert_eq!((&row[1], &row[3]), (&samples, &share));
    }
    let rows = table(&page, "groups");
    let names: Vec<_> = rows.iter().map(|row| &*row[0]).collect();
    assert_eq!(names, ["blue", "green", "red"]);
    let mut robust = vec![];
    for row in &rows {
        let (samples, share) = shares(&|sample| colour(sample) == row[0]);
        assert_eq!((&row[1], &row[3]), (&samples, &share));
        robust.push(share.trim_end_matches(" %").parse::<f64>().unwrap());
    }
    let worst = (0..3).min_by(|a, b| robust[*a].total_cmp(&robust[*b])).unwrap();
    let p = report.worst_case[0].groups[0].disparity.as_ref().unwrap().p;
    let xml = Document::parse(&page).unwrap();
    let told =
        format!("l2 0.8 by colour: {} is the worst; groups differ with p = {p:.4}", names[worst]);
    let captions = all_texts(&xml, "figcaption", "");
    assert!(captions.iter().any(|caption| caption.starts_with(&told)), "{told}: {captions:?}");

    // Of a thousand groups there are the worst.
    let mut many = report;
    let of = &mut many.worst_case[0].groups[0].groups;
    let row = of[0].clone();
    let group = |at: usize| GroupRow {
        group: at.to_string(),
        robust_accuracy: Some((at * 7 % 30) as f64 / 30.0),
        ..row.clone()
    };
    *of = (0..30).map(group).collect();
    let page = xhtml(&many.to_html(&[], &Gallery::default()));
    let rows = table(&page, "groups");
    assert_eq!((rows.len(), &*rows[0][3], &*rows[19][3]), (20, "0.0 %", "63.3 %"));
    assert!(page.contains(". The 20 worst of 30"));
}

#[test]
fn perturbations_have_their_sizes_in_every_norm() {
    let results = images();
    let report = Report::new(&results);
    let page = xhtml(&report.to_html(&[], &Gallery::default()));
    let rows = table(&page, "perturbations");
    assert_eq!(rows.len(), 2);
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let half = values.len() / 2;
        if values.len() % 2 == 1 { values[half] } else { values[half - 1].midpoint(values[half]) }
    };
    for (row, attack) in rows.iter().zip(&results.rows) {
        let broken: Vec<_> =
            attack.attempts.iter().filter(|attempt| attempt.fate == Fate::Broken).collect();
        assert!(broken.len() > 1);
        assert_eq!(row[..3], ["l2 0.8", &*attack.attack, &broken.len().to_string()]);
        let sizes = |of: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
            let of_attempt =
                |(attempt, clean): (&ironbound::evaluate::Attempt, &ironbound::evaluate::Clean)| {
                    let found = attempt.adversarial.as_ref()?;
                    let change = |(x, c): (&f32, &f32)| (f64::from(*x) - f64::from(*c)).abs();
                    Some(of(&found.point.iter().zip(&*clean.input).map(change).collect::<Vec<_>>()))
                };
            attack.attempts.iter().zip(&results.clean).filter_map(of_attempt).collect()
        };
        let all = [
            sizes(&|d| d.iter().filter(|d| **d > 0.0).count() as f64),
            sizes(&|d| d.iter().sum()),
            sizes(&|d| d.iter().map(|d| d * d).sum::<f64>().sqrt()),
            sizes(&|d| d.iter().copied().fold(0.0, f64::max)),
        ];
        for (cell, values) in row[3..7].iter().zip(all) {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let (median, told) = cell.strip_suffix(')').unwrap().split_once(" (").unwrap();
            for (told, value) in [(median, middle(values)), (told, mean)] {
                let told: f64 = told.parse().unwrap();
                assert!((told - value).abs() <= 1e-3 * value, "{cell}: {value}");
            }
        }
        let similarity: f64 = row[7].split(' ').next().unwrap().parse().unwrap();
        let found = broken.iter().filter_map(|attempt| attempt.adversarial.as_ref()?.ssim);
        assert!((similarity - middle(found.collect())).abs() < 1e-3);
        let mut passes: Vec<u64> =
            broken.iter().map(|attempt| attempt.forward + attempt.backward).collect();
        passes.sort_unstable();
        let most = passes.len() - 1;
        let place = (9 * passes.len()).div_ceil(10) - 1;
        let expected = [passes[most / 2], passes[place], passes[most]];
        assert_eq!(row[8..], expected.map(|passes| passes.to_string()));
    }
}

#[test]
fn the_gallery_names_classes() {
    let results = images();
    let report = Report::new(&results);
    let gallery = Gallery::new(&results, 3);
    for shape in [vec![12, 12], vec![144]] {
        let gallery = Gallery { shape, ..gallery.clone() };
        let text = xhtml(&report.to_html(&[], &gallery));
        let xml = Document::parse(&text).unwrap();
        let names = all_texts(&xml, "span", "name");
        for example in &gallery.series[0].examples {
            for class in [example.label, example.prediction] {
                let told = format!("class {class} ({})", CLASSES[class]);
                assert!(names.contains(&told), "{told}: {names:?}");
            }
        }
    }
}

#[test]
fn sections_without_figures_are_left_out() {
    let mut report = Report::new(&images());
    let has = |report: &Report, id: &str| {
        report.to_html(&[], &Gallery::default()).contains(&format!("<section id=\"{id}\">"))
    };
    let all = ["groups", "confusion", "perturbations"];
    assert!(all.iter().all(|id| has(&report, id)));
    report.worst_case[0].groups.clear();
    report.worst_case[0].confusion.clear();
    report.attacks.iter_mut().for_each(|row| row.perturbations = None);
    assert!(!all.iter().any(|id| has(&report, id)));
}
