//! The command-line form of what has a name and parameters: `pgd:steps=40,loss=margin`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};
use crate::threat::parse_number;

/// A name that a table of `what` does not have.
pub(crate) fn unknown(what: &'static str, name: &str, ids: &[&str]) -> Error {
    Error::Unknown { what, name: name.into(), choices: ids.iter().map(|id| (*id).into()).collect() }
}

/// Reads `parameter=value,...`, one parameter at a time so that an error names the one at fault.
pub(crate) fn parse<T: DeserializeOwned>(id: &str, parameters: &str) -> Result<T> {
    let mut all = Map::new();
    for pair in parameters.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, text)) = pair.split_once('=') else {
            return Err(Error::parameter(id, pair, "expected parameter=value"));
        };
        let (name, text) = (name.trim(), text.trim());
        let fault = |expected: String| Error::parameter(format!("{id}:{name}"), text, expected);
        let one = Map::from_iter([(name.to_owned(), value(text))]);
        serde_json::from_value::<T>(Value::Object(one))
            .map_err(|error| fault(error.to_string()))?;
        if all.insert(name.to_owned(), value(text)).is_some() {
            return Err(fault("given twice".into()));
        }
    }
    serde_json::from_value(Value::Object(all))
        .map_err(|error| Error::parameter(id, parameters, error.to_string()))
}

fn value(text: &str) -> Value {
    let number = || parse_number(text).and_then(Number::from_f64).map(Value::Number);
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<u64>() {
            Ok(whole) => Value::from(whole),
            Err(_) => number().unwrap_or_else(|| Value::from(text)),
        },
    }
}
