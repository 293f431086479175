//! `docs/attacks.md`, made from the table of attacks.

use std::fmt::Write as _;
use std::path::Path;

use ironbound::Norm;
use ironbound::attack::{AnyAttack, AttackSpec, Family};
use serde_json::Value;

const HEAD: &str = "\
# The attacks

<!-- Made by `IRONBOUND_BLESS=1 cargo test --test attacks catalogue`; the test fails where it differs. -->

What `--attack` takes, `NAME:parameter=value,...`, with the parameters at their defaults. *Access* is all that an attack may
ask: `blind` nothing, `decision` whether a point is a success, `score` the logits, `gradient` gradients as well. One that looks
for the *smallest* perturbation runs once and is judged at every budget; one that looks for a *transformation* is held by no norm,
runs once and has a worst case of its own; the others run once per budget. What the parameters
mean, the queries that they cost and the papers stand in the documentation of the type in `ironbound::attack`.

| attack | type | access | looks for | norms | parameters |
|---|---|---|---|---|---|
";

/// The name of the type: what the variant of the table is called.
fn type_of(spec: &AttackSpec) -> String {
    let text = format!("{spec:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

fn parameters(params: Value) -> String {
    let Value::Object(params) = params else { return String::new() };
    let shown =
        params.into_iter().filter(|(name, _)| name != "attack").map(|(name, value)| match value {
            Value::Null => format!("`{name}` (not set)"),
            Value::Array(none) if none.is_empty() => format!("`{name}` (not set)"),
            Value::String(text) => format!("`{name}={text}`"),
            Value::Object(inner) => format!("`{name}={}`", inner["attack"].as_str().unwrap()),
            other => format!("`{name}={other}`"),
        });
    shown.collect::<Vec<_>>().join(", ")
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for spec in AttackSpec::all() {
        let norms: Vec<String> = match spec.family() {
            Family::Transformation => vec!["none".into()],
            _ => spec.norms().iter().map(Norm::to_string).collect(),
        };
        let looks_for = match spec.family() {
            Family::MinimalNorm => "the smallest",
            Family::FixedBudget => "a success",
            Family::Transformation => "a transformation",
        };
        writeln!(
            text,
            "| `{}` | `{}` | {} | {looks_for} | {} | {} |",
            spec.id(),
            type_of(&spec),
            spec.access(),
            norms.join(", "),
            parameters(spec.params())
        )
        .unwrap();
    }
    text
}

#[test]
fn the_catalogue_is_what_the_table_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("docs/attacks.md");
    let made = document();
    if std::env::var_os("IRONBOUND_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == kept,
        "docs/attacks.md is not what the table makes; see the difference after IRONBOUND_BLESS=1 cargo test --test \
         attacks catalogue"
    );
}

/// A reader finds every attack in the README, and only attacks that exist.
#[test]
fn the_readme_names_every_attack() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once("| attacks | what they know |").unwrap();
    let table = section.split("\n\n").next().unwrap();
    let cells = table.lines().filter_map(|line| line.split('|').nth(1));
    let mut named: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    named.sort_unstable();
    assert_eq!(named, AttackSpec::IDS);
}
