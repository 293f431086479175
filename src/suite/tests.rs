use std::path::{Path, PathBuf};

use super::{Reference, Suite, SuiteBounds};
use crate::data::Layout;
use crate::goal::Goal;
use crate::threat::{Bounds, Budget};

const WHOLE: &str = r#"
seed = 3
offset = 10
limit = 20
attacks = ["pgd:steps=5", "noise"]
gates = ["clean >= 0.9"]

[[threats]]
norm = "linf"
eps = ["8/255", 0.1, 1]

[[threats]]
norm = "l2"
eps = [0.5]
bounds = [-1, inf]
goal = { kth-likely = 2 }
domain.grid.uniform = { numerator = 1, denominator = 255 }

[[data]]
path = "test.npz"

[[data]]
name = "other"
path = "/data/test.npz"
keys = ["images", "classes"]
layout = "nhwc"

[[data]]
path = "val"
class_names = "names.txt"
resize = 256
bounds = [0, 255]

[[data]]
path = "adult.csv"
bounds = "data"
label = "income"
drop = ["id"]
groups = ["age"]

[[models]]
path = "nets/a.onnx"
expect_sha256 = "00"

[[models]]
name = "b"
path = "nets/int8.onnx"
baseline = "a"
gates = ["drop_from_baseline <= 2%"]
options.straight_through = ["all"]
options.preprocessing = { scale = 0.5, mean = [0.1, 0.2, 0.3] }

[[models]]
name = "c"
path = "c.onnx"
baseline = "old/report.json"
"#;

fn parse(text: &str) -> Result<Suite, String> {
    Suite::parse(text, "suite.toml", Path::new("dir")).map_err(|error| error.to_string())
}

#[test]
fn everything_is_read() {
    let suite = parse(WHOLE).unwrap();
    assert_eq!((suite.seed, suite.offset, suite.limit), (3, 10, Some(20)));
    assert_eq!((suite.attacks.len(), suite.threats.len()), (2, 4));
    let budgets: Vec<_> = suite.threats.iter().map(|threat| threat.budget.clone()).collect();
    assert_eq!(budgets, [8.0 / 255.0, 0.1, 1.0, 0.5].map(Budget::Scalar));
    assert_eq!(suite.threats[0].bounds, Bounds::Uniform(0.0, 1.0));
    let last = &suite.threats[3];
    assert_eq!(last.bounds, Bounds::Uniform(-1.0, f32::INFINITY));
    assert_eq!((&last.goal, last.domain.is_any()), (&Goal::KthLikely(2), false));

    let [first, other, images, table] = &suite.data[..] else { panic!() };
    assert_eq!((&*first.name, &first.path), ("test", &PathBuf::from("dir/test.npz")));
    assert_eq!((&*other.name, &other.path), ("other", &PathBuf::from("/data/test.npz")));
    assert_eq!(other.options.keys, Some(("images".into(), "classes".into())));
    assert_eq!(other.options.layout, Some(Layout::ChannelsLast));
    assert_eq!((&first.bounds, &other.bounds), (&SuiteBounds::OfThreats, &SuiteBounds::OfThreats));
    assert_eq!(
        (&images.path, &images.bounds),
        (&PathBuf::from("dir/val"), &SuiteBounds::Given(Bounds::Uniform(0.0, 255.0)))
    );
    assert_eq!(
        (&images.options.class_names, images.options.resize),
        (&Some("dir/names.txt".into()), Some(256))
    );
    assert_eq!(
        (&table.bounds, table.options.label.as_deref()),
        (&SuiteBounds::OfData, Some("income"))
    );
    assert_eq!(
        (&table.options.drop, &table.options.groups),
        (&vec!["id".into()], &vec!["age".into()])
    );

    let [a, b, c] = &suite.models[..] else { panic!() };
    assert_eq!((&*a.name, &a.path), ("a", &PathBuf::from("dir/nets/a.onnx")));
    assert_eq!((a.expect_sha256.as_deref(), &a.baseline), (Some("00"), &None));
    assert_eq!((a.gates.len(), b.gates.len(), c.gates.len()), (1, 2, 1));
    assert_eq!(b.baseline, Some(Reference::Model(0)));
    assert_eq!(b.options.straight_through, ["all"]);
    assert_eq!(b.options.preprocessing.mean, [0.1, 0.2, 0.3]);
    assert_eq!(c.baseline, Some(Reference::Report("dir/old/report.json".into())));
}

/// Every fault with its line and what would have been right.
#[test]
fn faults_name_the_line_and_the_choices() {
    for (from, to, expected) in [
        (
            "limit = 20",
            "limits = 20",
            "suite.toml:4: unknown field `limits`, expected one of `seed`, `offset`, `limit`",
        ),
        (
            "eps = [0.5]",
            "epsilon = [0.5]",
            "suite.toml:14: unknown field `epsilon`, expected one of `norm`, `eps`",
        ),
        (
            "keys =",
            "key =",
            "suite.toml:25: unknown field `key`, expected one of `name`, `path`, `bounds`, `keys`, `labels`",
        ),
        (
            "bounds = \"data\"",
            "bounds = \"all\"",
            "suite.toml:36: `bounds`: expected two numbers, such as [0, 1], or \"data\"",
        ),
        (
            "expect_sha256",
            "sha256",
            "suite.toml:43: unknown field `sha256`, expected one of `name`, `path`, `expect_sha256`",
        ),
        (
            "options.straight_through",
            "options.straight",
            "suite.toml:50: unknown field `straight`, expected one of `input`",
        ),
        (
            "scale = 0.5",
            "scales = 0.5",
            "suite.toml:51: unknown field `scales`, expected one of `scale`, `mean`",
        ),
        (
            "\"l2\"",
            "\"l7\"",
            "suite.toml:13: unknown variant `l7`, expected one of `l0`, `l1`, `l2`, `linf`",
        ),
        ("\"nhwc\"", "\"nhcw\"", "suite.toml:26: unknown variant `nhcw`"),
        ("8/255", "8/x", "suite.toml:10: `eps` is 8/x: expected a number >= 0"),
        ("0.1, 1]", "-0.1]", "suite.toml:10: `eps` is -0.1"),
        ("0.1, 1]", "true]", "suite.toml:10: invalid type: boolean `true`, expected a number >= 0"),
        (
            "pgd:steps=5",
            "pgd:stepz=5",
            "suite.toml:5: `pgd:stepz` is 5: unknown field `stepz`, expected one of `steps`",
        ),
        ("\"noise\"", "\"nose\"", "suite.toml:5: unknown attack `nose`, expected one of"),
        (
            "clean >=",
            "cleen >=",
            "suite.toml:6: unknown gate `cleen`, expected one of `clean`, `worst_case`",
        ),
        ("<= 2%", "< 2%", "suite.toml:49: `gate` is drop_from_baseline < 2%"),
        (
            "baseline = \"a\"",
            "baseline = \"z\"",
            "suite.toml:48: `baseline` is `z`: expected a report that ends in .json, or a model that stands before: `a`",
        ),
        (
            "baseline = \"a\"\n",
            "",
            "suite.toml:47: the model `b` has no `baseline` for the gate `drop_from_baseline <= 2%`",
        ),
        (
            "name = \"b\"",
            "name = \"../b\"",
            "suite.toml:47: the name `../b` cannot be that of a file",
        ),
        ("name = \"c\"", "name = \"b\"", "suite.toml: `models`: the name `b` is there twice"),
        ("name = \"other\"\n", "", "suite.toml: `data`: the name `test` is there twice"),
        ("[-1, inf]", "[1, 0]", "suite.toml: `bounds` is (1, 0)"),
        ("steps=5", "steps=0", "suite.toml: `steps` is 0"),
        ("[\"pgd:steps=5\", \"noise\"]", "[]", "suite.toml: `threats` and `attacks` go together"),
        ("path = \"c.onnx\"\n", "", "suite.toml:53: missing field `path`"),
        ("seed = 3", "seed = ", "suite.toml:2: "),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let message = parse(&WHOLE.replacen(from, to, 1)).unwrap_err();
        assert!(message.starts_with(expected), "{message}\n{expected}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let message = parse("models = []\ndata = []").unwrap_err();
    assert!(message.contains("at least one of `data` and one of `models`"), "{message}");
    assert!(parse("").unwrap_err().contains("missing field `data`"));
    assert!(
        Suite::load("no/such/suite.toml")
            .unwrap_err()
            .to_string()
            .starts_with("no/such/suite.toml: ")
    );
}
