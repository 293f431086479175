//! Shares in flags.

use ironbound::{Error, Result};

/// Reads "0.8", "80%" and "80" as the share 0.8.
pub(crate) fn read(flag: &str, text: &str) -> Result<f64> {
    let (digits, percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let value = digits
        .trim()
        .parse::<f64>()
        .ok()
        .map(|value| if percent || value > 1.0 { value / 100.0 } else { value });
    value.filter(|value| (0.0..=1.0).contains(value)).ok_or_else(|| Error::Parameter {
        field: flag.into(),
        value: text.into(),
        expected: "expected a share such as 0.8, or a percentage such as 80%".into(),
    })
}
