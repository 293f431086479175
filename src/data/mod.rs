//! Labelled samples: read them, line them up with the model's input, check them, write them.

mod cifar;
mod dataset;
mod file;
mod folder;
mod groups;
mod header;
mod idx;
mod images;
pub(crate) mod json;
mod labels;
mod load;
mod npy;
mod npz;
mod open;
mod points;
mod realisable;
mod rows;
mod shape;
mod streamed;
mod table;
#[cfg(test)]
mod tests;
mod texts;
mod validate;
mod write;

pub use dataset::Dataset;
pub(crate) use dataset::hex;
pub use groups::Grouping;
pub use open::{DataKind, DataOptions};
pub use points::AdversarialPoints;
pub(crate) use realisable::Snapped;
pub use shape::Layout;
pub use streamed::StreamedDataset;
pub use write::{NpzArray, NpzValues, write_npz};
