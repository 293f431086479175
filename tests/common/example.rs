//! The built examples.

use std::path::{Path, PathBuf};

/// The binary of the example of that name, which `cargo test` builds before the tests run.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is not there: cargo build --example {name}", binary.display());
    binary
}
