//! Labelled samples: read them, line them up with the model's input, check them, write them.

mod dataset;
mod header;
pub(crate) mod json;
mod labels;
mod load;
mod npy;
mod npz;
mod points;
mod realisable;
mod shape;
#[cfg(test)]
mod tests;
mod validate;
mod write;

pub use dataset::Dataset;
pub(crate) use dataset::hex;
pub use points::AdversarialPoints;
pub use shape::Layout;
pub use write::{NpzArray, NpzValues, write_npz};
