//! Parts of a run that other processes or machines do.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// One of several parts of the samples of a run: part `index` of `count`, counted from 1, of neighbouring samples. The parts
/// differ in size by one sample at the most.
///
/// In text, "2/4".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All in one.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Part `index` of `count`, from 1.
    ///
    /// # Errors
    /// [`Error::Parameter`] when there is no such part.
    pub fn new(index: usize, count: usize) -> Result<Self> {
        if (1..=count).contains(&index) {
            return Ok(Self { index, count });
        }
        let expected = "expected a part and the number of parts, from 1/N to N/N";
        Err(Error::parameter("shard", format!("{index}/{count}"), expected))
    }

    /// Which part it is, from 1.
    #[must_use]
    pub fn index(self) -> usize {
        self.index
    }

    /// How many parts there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.count
    }

    /// This part, of as many as another one is of.
    pub(super) fn of_count(self, other: Self) -> Self {
        Self { count: other.count, ..self }
    }

    /// Which of `samples` samples belong to it.
    #[must_use]
    pub fn range(self, samples: usize) -> Range<usize> {
        let start = |part: usize| {
            // No overflow, however many there are.
            (samples / self.count) * part + (samples % self.count) * part / self.count
        };
        start(self.index - 1)..start(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.index, self.count))
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(index, count)| {
            Some((index.trim().parse().ok()?, count.trim().parse().ok()?))
        });
        match parts {
            Some((index, count)) => Self::new(index, count),
            None => {
                let expected = "expected a part and the number of parts, such as 2/4";
                Err(Error::parameter("shard", text, expected))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_neighbours_of_like_size_and_leave_nothing_out() {
        for samples in 0..40 {
            for count in 1..=9 {
                let mut next = 0;
                for index in 1..=count {
                    let range = Shard::new(index, count).unwrap().range(samples);
                    assert_eq!(range.start, next);
                    assert!([samples / count, samples.div_ceil(count)].contains(&range.len()));
                    next = range.end;
                }
                assert_eq!(next, samples);
            }
        }
        assert_eq!(Shard::new(2, 2).unwrap().range(usize::MAX), usize::MAX / 2..usize::MAX);
    }

    #[test]
    fn a_part_that_is_not_there_is_refused() {
        let part: Shard = " 2/ 4".parse().unwrap();
        assert_eq!((part.index(), part.count(), part.to_string()), (2, 4, "2/4".into()));
        for text in ["0/4", "5/4", "1/0", "4", "a/b", "1/2/3", ""] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(
                error.starts_with("`shard` is ") && error.contains("expected a part"),
                "{error}"
            );
        }
    }
}
