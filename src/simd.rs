//! The machine's vectors.

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// The widest that this machine has.
pub(crate) fn arch() -> Arch {
    *ARCH
}

/// Does `work`, whose loops the compiler makes wide vectors of where it and all that it calls is inlined. What comes of it does
/// not depend on their width: no operation is reordered or fused.
///
/// It is called by reference: the step from a closure that could be called again to one that is called once would not be inlined.
#[inline]
pub(crate) fn vectorized<T>(work: impl FnMut() -> T) -> T {
    struct Work<W>(W);

    impl<T, W: FnMut() -> T> WithSimd for Work<W> {
        type Output = T;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> T {
            (self.0)()
        }
    }

    arch().dispatch(Work(work))
}
