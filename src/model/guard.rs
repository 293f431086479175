//! Keeps a panic inside tract from ending the program.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// Runs a part of tract; a panic in it, as a malformed file may cause, becomes an error.
pub(super) fn guard<T>(part: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    catch_unwind(AssertUnwindSafe(part)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        bail!("panic in tract: {}", text.unwrap_or("no reason given"))
    })
}
