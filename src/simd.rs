//! The machine's vectors.

use std::sync::LazyLock;

use pulp::Arch;

static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// The widest that this machine has.
pub(crate) fn arch() -> Arch {
    *ARCH
}

/// Does `work`, whose loops the compiler makes wide vectors of where it and all that it calls is inlined. What comes of it does
/// not depend on their width: no operation is reordered or fused.
#[inline]
pub(crate) fn vectorized<T>(work: impl FnOnce() -> T) -> T {
    arch().dispatch(work)
}
