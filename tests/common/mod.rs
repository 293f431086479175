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
