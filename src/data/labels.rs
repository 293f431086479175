//! From stored numbers to class indices.

use super::npy::{Array, Fault, Shape};

/// More classes than any model has; a larger number is a mistake.
const MAX_LABEL: f64 = u32::MAX as f64;

/// One class index per sample from `[n]` or `[n, 1]` whole numbers, or from `[n, k]` rows that are exactly one-hot.
pub(super) fn class_indices(array: &Array<f64>) -> Result<Vec<usize>, Fault> {
    match array.shape[..] {
        [_] | [_, 1] => array.values.iter().enumerate().map(class_index).collect(),
        [samples, classes] if samples > 0 && classes > 1 => {
            array.values.chunks_exact(classes).enumerate().map(hot_index).collect()
        }
        _ => Err(format!(
            "labels have shape {}; one class index per sample is expected, shape (n,)",
            Shape(&array.shape)
        )
        .into()),
    }
}

fn class_index((sample, value): (usize, &f64)) -> Result<usize, Fault> {
    if (0.0..=MAX_LABEL).contains(value) && value.fract() == 0.0 {
        return Ok(*value as usize);
    }
    Err(format!("the label of sample {sample} is {value}; labels are class indices 0, 1, 2, …")
        .into())
}

fn hot_index((sample, row): (usize, &[f64])) -> Result<usize, Fault> {
    let mut hot = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
    match (hot.next(), hot.next()) {
        (Some((class, 1.0)), None) => Ok(class),
        _ => Err(format!(
            "row {sample} of the labels is not one-hot; one class index per sample is expected: y.argmax(axis=1)"
        )
        .into()),
    }
}
