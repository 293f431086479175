//! Where samples are.

use std::borrow::Cow;

use super::results::DataInfo;
use crate::data::{Dataset, Grouping, StreamedDataset};
use crate::error::Result;

/// Samples in memory or in a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    Memory(&'a Dataset),
    File(&'a StreamedDataset),
}

impl<'a> Source<'a> {
    pub(super) fn is_stream(self) -> bool {
        matches!(self, Self::File(_))
    }

    pub(super) fn len(self) -> usize {
        self.labels().len()
    }

    pub(super) fn labels(self) -> &'a [usize] {
        match self {
            Self::Memory(data) => data.labels(),
            Self::File(stream) => stream.labels(),
        }
    }

    pub(super) fn id(self, place: usize) -> usize {
        match self {
            Self::Memory(data) => data.id(place),
            Self::File(_) => place,
        }
    }

    pub(super) fn info(self) -> DataInfo {
        match self {
            Self::Memory(data) => data.into(),
            Self::File(stream) => {
                let (path, sha256) = (stream.path().into(), stream.sha256().into());
                DataInfo { path, sha256, class_names: stream.class_names().to_vec() }
            }
        }
    }

    /// The groups that columns of the data make, of all samples of the file.
    pub(super) fn groups(self) -> &'a [Grouping] {
        match self {
            Self::Memory(data) => data.groups(),
            Self::File(stream) => stream.groups(),
        }
    }

    /// Those at these places.
    pub(super) fn read(self, places: &[usize]) -> Result<Cow<'a, Dataset>> {
        Ok(Cow::Owned(match self {
            Self::Memory(data) => data.select(places),
            Self::File(stream) => stream.read(places)?,
        }))
    }
}
