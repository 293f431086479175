//! What several tests share.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses another part")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a failing test panics")]

pub mod example;
pub mod fixture;
pub mod npz;
pub mod quantised;
pub mod recorder;

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file of the reference data beside the repository; prints what is skipped where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    // Past the test harness, which would swallow a print.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} is not there", path.display());
    None
}

/// Generic values in [0, 1], no two equal.
pub fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i as f64 + 1.0) * 0.618_033_988_749_895).fract() as f32).collect()
}

/// Writes an npz file as `np.savez` does, not compressed: `x` of this dtype (such as "<f4"), whose bytes `write` writes, and `y`.
pub fn write_stored(
    path: &Path,
    (dtype, shape): (&str, &[usize]),
    write: impl FnOnce(&mut dyn Write),
    labels: &[usize],
) {
    let method = zip::CompressionMethod::Stored;
    let options =
        zip::write::SimpleFileOptions::default().compression_method(method).large_file(true);
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    archive.start_file("x.npy", options).unwrap();
    archive.write_all(&npy_header(dtype, shape)).unwrap();
    let mut out = std::io::BufWriter::new(&mut archive);
    write(&mut out);
    drop(out);
    archive.start_file("y.npy", options).unwrap();
    archive.write_all(&npy_header("<i8", &[labels.len()])).unwrap();
    for label in labels {
        archive.write_all(&(*label as u64).to_le_bytes()).unwrap();
    }
    archive.finish().unwrap();
}

fn npy_header(dtype: &str, shape: &[usize]) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let text = format!(
        "{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({}), }}\n",
        axes.trim_end()
    );
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    header.extend(text.as_bytes());
    header
}
