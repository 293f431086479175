//! As much of JSON Schema 2020-12 as the schemas under `docs/` use; `tests/data/schemas.py` holds them to a library for all of it.

use serde_json::{Map, Value};

/// Says something about a schema, nothing about a value.
const NOTES: [&str; 6] = ["$schema", "$id", "$defs", "title", "description", "default"];

pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn new(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    /// What is wrong with a value, and the fields of which the schema does not know; each with the place.
    pub(crate) fn faults(&self, value: &Value) -> Vec<String> {
        let mut faults = vec![];
        self.check(&self.0, value, "", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let schema = schema.as_object().unwrap_or_else(|| panic!("{at}: no schema: {schema}"));
        for (keyword, rule) in schema {
            let holds = match keyword.as_str() {
                note if NOTES.contains(&note) => true,
                "$ref" => {
                    let rule = rule.as_str().unwrap().strip_prefix('#').unwrap();
                    let target = self.0.pointer(rule).unwrap_or_else(|| panic!("{rule}"));
                    self.check(target, value, at, faults);
                    true
                }
                "type" => match rule {
                    Value::Array(names) => names.iter().any(|name| is(name, value)),
                    name => is(name, value),
                },
                "const" => value == rule,
                "minimum" => value.as_f64().is_none_or(|value| value >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|value| value <= rule.as_f64().unwrap()),
                "minItems" => {
                    value.as_array().is_none_or(|all| all.len() as u64 >= rule.as_u64().unwrap())
                }
                "maxItems" => {
                    value.as_array().is_none_or(|all| all.len() as u64 <= rule.as_u64().unwrap())
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{at}/{index}"), faults);
                    }
                    true
                }
                "prefixItems" => {
                    let rules = rule.as_array().unwrap();
                    let items = value.as_array().into_iter().flatten();
                    for (index, (rule, item)) in rules.iter().zip(items).enumerate() {
                        self.check(rule, item, &format!("{at}/{index}"), faults);
                    }
                    true
                }
                "anyOf" | "oneOf" => {
                    let matching = rule.as_array().unwrap().iter().filter(|rule| {
                        let mut own = vec![];
                        self.check(rule, value, at, &mut own);
                        own.is_empty()
                    });
                    let count = matching.count();
                    // What is wrong within the only object is told there.
                    if count == 0 && value.is_object() && keyword == "anyOf" {
                        self.check(&rule[0], value, at, faults);
                        true
                    } else {
                        count == 1 || count > 1 && keyword == "anyOf"
                    }
                }
                "properties" => {
                    self.check_fields(schema, rule, value, at, faults);
                    true
                }
                "required" => {
                    let names = rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                    for name in names.filter(|name| value.is_object() && value.get(name).is_none())
                    {
                        faults.push(format!("{at}: `{name}` is missing"));
                    }
                    true
                }
                // That of fields that are not described is checked with those that are.
                "additionalProperties" => *rule == Value::Bool(false),
                unknown => panic!("the keyword `{unknown}` is not known here"),
            };
            if !holds {
                faults.push(format!("{at}: {value} is not of {keyword} {rule}"));
            }
        }
    }

    fn check_fields(
        &self,
        schema: &Map<String, Value>,
        rules: &Value,
        value: &Value,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        for (name, field) in value.as_object().into_iter().flatten() {
            match rules.get(name) {
                Some(rule) => {
                    let is_choice = schema.contains_key("additionalProperties");
                    assert!(
                        is_choice || rule.get("description").is_some(),
                        "{at}/{name}: no description"
                    );
                    self.check(rule, field, &format!("{at}/{name}"), faults);
                }
                None => faults.push(format!("{at}: `{name}` is not described")),
            }
        }
    }
}

fn is(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("the type `{unknown}` is not known"),
    }
}
