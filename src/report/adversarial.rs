//! The adversarial points as a data set.

use std::io;
use std::path::Path;

use npyz::WriterBuilder;
use zip::write::SimpleFileOptions;

use super::file::write_atomically;
use crate::error::Result;
use crate::evaluate::Results;

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
            if let Some(adversarial) = &attempt.adversarial {
                found.push((row, index, adversarial));
            }
        }
    }
    let count = found.len() as u64;
    let sample = results.model.shape.iter().map(|&axis| axis as u64);
    let shape: Vec<u64> = std::iter::once(count).chain(sample).collect();
    let eps = |row: usize| results.rows[row].threat.budget.largest();
    write_atomically(path.as_ref(), |file| {
        let mut npz = zip::ZipWriter::new(io::BufWriter::new(file));
        let x = found.iter().flat_map(|(.., point)| point.point.iter().copied());
        array(&mut npz, "x", &shape, x)?;
        let flat = &[count];
        array(&mut npz, "y", flat, found.iter().map(|f| results.labels[f.1] as i64))?;
        array(&mut npz, "prediction", flat, found.iter().map(|f| f.2.prediction as i64))?;
        array(&mut npz, "sample", flat, found.iter().map(|f| results.ids[f.1] as i64))?;
        array(&mut npz, "row", flat, found.iter().map(|f| f.0 as i64))?;
        array(&mut npz, "eps", flat, found.iter().map(|f| eps(f.0)))?;
        array(&mut npz, "distance", flat, found.iter().map(|f| f.2.distance))?;
        io::Write::flush(&mut npz.finish()?)
    })?;
    Ok(found.len())
}

/// Adds an array to an npz file.
fn array<T: npyz::AutoSerialize>(
    npz: &mut zip::ZipWriter<impl io::Write + io::Seek>,
    name: &str,
    shape: &[u64],
    values: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    // Fixed times and sizes, so that the same points give the same bytes.
    npz.start_file(format!("{name}.npy"), SimpleFileOptions::default().large_file(true))?;
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(shape).writer(npz).begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}
