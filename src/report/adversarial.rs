//! The adversarial points as a data set.

use std::path::Path;

use crate::data::{NpzArray, NpzValues, write_npz};
use crate::error::Result;
use crate::evaluate::{Adversarial, Results};

/// Writes every verified adversarial point of `results` to the npz file `path`, and says how many there are.
///
/// Arrays, one entry per point: `x` f32 (points x shape of a sample), `y` i64 the true class, `prediction` i64 what the
/// model takes the point for, `sample` i64 the index in the data set, `row` i64 the index in the report's `attacks`, `eps` f64, `distance` f64 in the threat's norm.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn save_adversarial(results: &Results, path: impl AsRef<Path>) -> Result<usize> {
    let mut found = vec![];
    for (row, entry) in results.rows.iter().enumerate() {
        for (index, attempt) in entry.attempts.iter().enumerate() {
            if let Some(point) = &attempt.adversarial {
                found.push(Found { row, index, point });
            }
        }
    }
    let column = |value: &dyn Fn(&Found<'_>) -> usize| found.iter().map(value).collect::<Vec<_>>();
    let number = |value: &dyn Fn(&Found<'_>) -> f64| found.iter().map(value).collect::<Vec<_>>();
    let x: Vec<f32> = found.iter().flat_map(|f| f.point.point.iter().copied()).collect();
    let mut shape = results.model.shape.clone();
    shape.insert(0, found.len());
    let y = column(&|f| results.labels[f.index]);
    let prediction = column(&|f| f.point.prediction);
    let sample = column(&|f| results.ids[f.index]);
    let row = column(&|f| f.row);
    let eps = number(&|f| results.rows[f.row].threat.budget.largest());
    let distance = number(&|f| f.point.distance);
    let arrays = [
        ("x", NpzArray::new(shape, NpzValues::F32(&x))?),
        ("y", NpzValues::Index(&y).into()),
        ("prediction", NpzValues::Index(&prediction).into()),
        ("sample", NpzValues::Index(&sample).into()),
        ("row", NpzValues::Index(&row).into()),
        ("eps", NpzValues::F64(&eps).into()),
        ("distance", NpzValues::F64(&distance).into()),
    ];
    write_npz(path, &arrays)?;
    Ok(found.len())
}

/// A verified point and where it belongs.
struct Found<'a> {
    row: usize,
    index: usize,
    point: &'a Adversarial,
}
