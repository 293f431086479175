//! How far long work is.

use std::fmt;

/// Whoever is told, of work that has one kind of step; see [`Observer`](crate::Observer) for the runs that have more.
#[derive(Clone, Copy, Default)]
pub(crate) struct Progress<'a>(Option<&'a (dyn Fn(usize, usize) + Sync)>);

impl<'a> Progress<'a> {
    /// `told` gets the steps that are done and how many there are; from any thread, in any order.
    pub(crate) fn new(told: &'a (dyn Fn(usize, usize) + Sync)) -> Self {
        Self(Some(told))
    }

    pub(crate) fn tell(self, done: usize, of: usize) {
        if let Some(told) = self.0 {
            told(done, of);
        }
    }
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(told)" } else { "Progress(none)" })
    }
}
